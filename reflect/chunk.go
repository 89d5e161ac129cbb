package reflect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"openmediator/d2m"
)

// Chunk is what one commit appends for one group: the messages accepted since the commit before, stored under one key.
//
// Layout of Data, all integers little-endian: device group id (32), then one record per message:
//
//	CRC-32C of the rest of the record u32 · envelope size u32 · lock u32 · place u64 · timestamp u64 · sender u64 · envelope
//
// A record with the complement of its checksum is an erased one (see Eraser).
type Chunk struct {
	Key  uint64 // given by the store; rises with the order of appending; 0 until the group has heard of it
	Data []byte // nil once it is not kept in memory any more

	waited int    // messages of this chunk that some slot waits for
	end    uint64 // all numbers of its messages are below
}

const (
	chunkHeaderSize  = len(d2m.GroupID{})
	recordHeaderSize = 36

	// MaxRecordSize is the size of the largest record, header included, bytes.
	MaxRecordSize = recordHeaderSize + d2m.MaxEnvelopeSize
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrDamaged says that stored bytes are not what was written.
var ErrDamaged = errors.New("stored message: checksum does not match")

// Message is a reflected message as it is stored.
type Message struct {
	// Lock is 0 for a message with a number. A message that arrived while another device held the transaction lock
	// gets its number when the lock ends (B26): until then Lock is the lock's number in its group, and Place counts
	// from 0.
	Lock      uint32
	Place     uint64 // the number, or the place behind the lock
	Timestamp uint64 // Unix milliseconds
	Sender    d2m.DeviceID
	Envelope  []byte // up to d2m.MaxEnvelopeSize bytes
}

// NewChunk returns a chunk without messages for a group. capacity is a guess of its final size in bytes.
func NewChunk(group d2m.GroupID, capacity int) *Chunk {
	data := make([]byte, 0, max(capacity, chunkHeaderSize))
	return &Chunk{Data: append(data, group[:]...)}
}

// End returns a number that is above those of all its messages in the queue.
func (c *Chunk) End() uint64 { return c.end }

// Append adds the record of m and returns where it stands; the Key of the location is not known yet. The envelope is
// copied.
func (c *Chunk) Append(m Message) Location {
	start := len(c.Data)
	c.Data = append(c.Data, 0, 0, 0, 0)
	c.Data = binary.LittleEndian.AppendUint32(c.Data, uint32(len(m.Envelope)))
	c.Data = binary.LittleEndian.AppendUint32(c.Data, m.Lock)
	c.Data = binary.LittleEndian.AppendUint64(c.Data, m.Place)
	c.Data = binary.LittleEndian.AppendUint64(c.Data, m.Timestamp)
	c.Data = binary.LittleEndian.AppendUint64(c.Data, uint64(m.Sender))
	c.Data = append(c.Data, m.Envelope...)
	record := c.Data[start:]
	binary.LittleEndian.PutUint32(record, crc32.Checksum(record[4:], castagnoli))
	return Location{Offset: uint32(start), Size: uint32(len(record))}
}

// ParseRecord reads one record and checks it. The envelope aliases record. The error is ErrDamaged, ErrErased or one that
// says what is wrong with the header.
func ParseRecord(record []byte) (Message, error) {
	m, size, err := parseRecordHeader(record)
	if err != nil {
		return Message{}, err
	}
	if len(record) != recordHeaderSize+size {
		return Message{}, fmt.Errorf("stored message: record has %d bytes, its header says %d", len(record), recordHeaderSize+size)
	}
	switch sum := crc32.Checksum(record[4:], castagnoli); binary.LittleEndian.Uint32(record) {
	case sum:
	case ^sum:
		return Message{}, ErrErased
	default:
		return Message{}, ErrDamaged
	}
	m.Envelope = record[recordHeaderSize:]
	return m, nil
}

func parseRecordHeader(b []byte) (m Message, envelope int, err error) {
	if len(b) < recordHeaderSize {
		return m, 0, fmt.Errorf("stored message: %d bytes left for a record header of %d", len(b), recordHeaderSize)
	}
	envelope = int(binary.LittleEndian.Uint32(b[4:]))
	if envelope > d2m.MaxEnvelopeSize || recordHeaderSize+envelope > len(b) {
		return m, 0, fmt.Errorf("stored message: envelope of %d bytes runs past the end of its chunk", envelope)
	}
	m.Lock = binary.LittleEndian.Uint32(b[8:])
	m.Place = binary.LittleEndian.Uint64(b[12:])
	m.Timestamp = binary.LittleEndian.Uint64(b[20:])
	m.Sender = d2m.DeviceID(binary.LittleEndian.Uint64(b[28:]))
	return m, envelope, nil
}

// ChunkGroup returns the group that the chunk with this data belongs to.
func ChunkGroup(data []byte) (d2m.GroupID, error) {
	if len(data) < chunkHeaderSize {
		return d2m.GroupID{}, fmt.Errorf("stored chunk: %d bytes, want at least %d", len(data), chunkHeaderSize)
	}
	return d2m.GroupID(data[:chunkHeaderSize]), nil
}

// AppendStored appends to list the messages of the chunk with this key and data, without reading their envelopes.
func AppendStored(list []Stored, key uint64, data []byte) ([]Stored, error) {
	if _, err := ChunkGroup(data); err != nil {
		return list, err
	}
	for offset := chunkHeaderSize; offset < len(data); {
		m, envelope, err := parseRecordHeader(data[offset:])
		if err != nil {
			return list, err
		}
		at := Location{Key: key, Offset: uint32(offset), Size: uint32(recordHeaderSize + envelope)}
		list = append(list, Stored{Message: m, Envelope: envelope, At: at})
		offset += int(at.Size)
	}
	return list, nil
}

// Record returns the record at a location of data, the data of its chunk.
func Record(data []byte, at Location) ([]byte, error) {
	end := uint64(at.Offset) + uint64(at.Size)
	if end > uint64(len(data)) {
		return nil, fmt.Errorf("stored message: record ends at byte %d of a chunk of %d", end, len(data))
	}
	return data[at.Offset:end:end], nil
}
