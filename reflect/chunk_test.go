package reflect

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"openmediator/d2m"
)

var chunkGroup = d2m.GroupID{0xaa, 31: 0xbb}

// chunkMessages are messages with extreme values in every field.
func chunkMessages() []Message {
	return []Message{
		{Place: 1, Timestamp: 2, Sender: 3, Envelope: []byte("envelope")},
		{Envelope: []byte{}},
		{Lock: 1<<32 - 1, Place: 1<<64 - 1, Timestamp: 1<<64 - 1, Sender: 1<<64 - 1, Envelope: bytes.Repeat([]byte{7}, d2m.MaxEnvelopeSize)},
		{Lock: 9, Place: 1 << 32, Envelope: []byte{0}},
	}
}

func makeChunk(messages []Message) (*Chunk, []Location) {
	chunk := NewChunk(chunkGroup, 0)
	var at []Location
	for _, m := range messages {
		at = append(at, chunk.Append(m))
	}
	return chunk, at
}

func sameMessage(a, b Message) bool {
	return a.Lock == b.Lock && a.Place == b.Place && a.Timestamp == b.Timestamp && a.Sender == b.Sender &&
		bytes.Equal(a.Envelope, b.Envelope)
}

// What is on disk must not change between versions.
func TestChunkLayout(t *testing.T) {
	chunk := NewChunk(d2m.GroupID{0: 0x11, 31: 0x22}, 1000)
	chunk.Append(Message{Lock: 0x01020304, Place: 0x1112131415161718, Timestamp: 0x2122232425262728, Sender: 0x3132333435363738, Envelope: []byte{0xe0, 0xe1}})
	want := "1100000000000000000000000000000000000000000000000000000000000022" +
		"1031ea7f" + "02000000" + "04030201" + "1817161514131211" + "2827262524232221" + "3837363534333231" + "e0e1"
	if got := hex.EncodeToString(chunk.Data); got != want {
		t.Fatalf("chunk is\n%s, want\n%s", got, want)
	}
}

func TestChunkBack(t *testing.T) {
	messages := chunkMessages()
	chunk, at := makeChunk(messages)
	if group, err := ChunkGroup(chunk.Data); err != nil || group != chunkGroup {
		t.Fatalf("group is %x, %v", group, err)
	}
	list := []Stored{{Envelope: 77}}
	list, err := AppendStored(list, 42, chunk.Data)
	if err != nil || len(list) != 1+len(messages) || list[0].Envelope != 77 {
		t.Fatalf("AppendStored gave %d messages, %v", len(list), err)
	}
	for i, want := range messages {
		stored := list[1+i]
		at[i].Key = 42
		if stored.At != at[i] || stored.Envelope != len(want.Envelope) || stored.Message.Envelope != nil {
			t.Fatalf("message %d is stored as %+v, want it at %+v with %d bytes", i, stored, at[i], len(want.Envelope))
		}
		record, err := Record(chunk.Data, stored.At)
		if err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
		got, err := ParseRecord(record)
		if err != nil || !sameMessage(got, want) {
			t.Fatalf("message %d is %+v, %v, want %+v", i, got, err, want)
		}
		stored.Message.Envelope = want.Envelope
		if !sameMessage(stored.Message, want) {
			t.Fatalf("message %d is stored as %+v, want %+v", i, stored.Message, want)
		}
	}
	if size := at[2].Size; size != MaxRecordSize {
		t.Fatalf("the largest record has %d bytes, MaxRecordSize is %d", size, MaxRecordSize)
	}
}

// A record that lost or changed a bit anywhere is never taken for a message.
func TestRecordDamage(t *testing.T) {
	chunk, at := makeChunk(chunkMessages()[:1])
	record, _ := Record(chunk.Data, at[0])
	for bit := range len(record) * 8 {
		damaged := bytes.Clone(record)
		damaged[bit/8] ^= 1 << (bit % 8)
		_, err := ParseRecord(damaged)
		inSize := bit/8 >= 4 && bit/8 < 8
		if err == nil || !inSize && !errors.Is(err, ErrDamaged) {
			t.Fatalf("bit %d flipped: %v", bit, err)
		}
	}
	for size := range len(record) {
		if _, err := ParseRecord(record[:size]); err == nil {
			t.Fatalf("%d of %d bytes are a record", size, len(record))
		}
	}
	if _, err := ParseRecord(append(bytes.Clone(record), 0)); err == nil {
		t.Fatal("a record and a byte more is a record")
	}
}

func TestChunkDamage(t *testing.T) {
	messages := []Message{chunkMessages()[0], chunkMessages()[3]}
	chunk, at := makeChunk(messages)
	for size := range len(chunk.Data) {
		list, err := AppendStored(nil, 1, chunk.Data[:size])
		whole := 0
		for size >= chunkHeaderSize && whole < len(at) && size >= int(at[whole].Offset+at[whole].Size) {
			whole++
		}
		atEnd := size == chunkHeaderSize || whole > 0 && size == int(at[whole-1].Offset+at[whole-1].Size)
		if (err == nil) != atEnd || len(list) != whole {
			t.Fatalf("%d bytes of a chunk: %d messages, %v", size, len(list), err)
		}
	}
	for _, location := range []Location{
		{Offset: at[1].Offset, Size: at[1].Size + 1},
		{Offset: uint32(len(chunk.Data)), Size: 1},
		{Offset: 1<<32 - 1, Size: 1<<32 - 1},
	} {
		if record, err := Record(chunk.Data, location); err == nil {
			t.Fatalf("record at %+v has %d bytes", location, len(record))
		}
	}
	if record, err := Record(chunk.Data, at[0]); err != nil || cap(record) != len(record) {
		t.Fatalf("record can be appended to: cap %d, len %d, %v", cap(record), len(record), err)
	}
}

func FuzzParseRecord(f *testing.F) {
	chunk, at := makeChunk(chunkMessages())
	for _, location := range at {
		record, _ := Record(chunk.Data, location)
		f.Add(record)
	}
	f.Add([]byte{})
	f.Add(make([]byte, recordHeaderSize))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseRecord(data)
		if err != nil {
			return
		}
		again := NewChunk(chunkGroup, 0)
		at := again.Append(m)
		if record, err := Record(again.Data, at); err != nil || !bytes.Equal(record, data) {
			t.Fatalf("%x is read as %+v and written as %x, %v", data, m, record, err)
		}
	})
}

func FuzzAppendStored(f *testing.F) {
	for n := range len(chunkMessages()) + 1 {
		chunk, _ := makeChunk(chunkMessages()[:n])
		f.Add(chunk.Data)
	}
	f.Add([]byte{})
	f.Add(make([]byte, 200))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := AppendStored(nil, 5, data)
		end := uint32(chunkHeaderSize)
		for _, s := range list {
			if s.At.Key != 5 || s.At.Offset != end || int(s.At.Size) != recordHeaderSize+s.Envelope || s.Envelope > d2m.MaxEnvelopeSize {
				t.Fatalf("message at %+v with %d bytes, the one before ends at %d", s.At, s.Envelope, end)
			}
			if _, err := Record(data, s.At); err != nil {
				t.Fatal(err)
			}
			end += s.At.Size
		}
		if err == nil && int(end) != len(data) {
			t.Fatalf("messages end at byte %d of %d", end, len(data))
		}
	})
}
