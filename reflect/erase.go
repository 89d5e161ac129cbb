package reflect

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
)

// ErrErased says that a message was deleted while its chunk had to stay for the sake of others, and that its envelope has
// been taken out of the store (B17). Nobody waits for it.
var ErrErased = errors.New("stored message: erased")

// Eraser takes out of a group's chunks the envelopes that nobody waits for, as far as a stored state of the group knows.
//
// A chunk is deleted as a whole, so what is deleted of it alone has to be overwritten. The record of an erased message
// keeps its place, its size and its header; its envelope is zeros, and its checksum is the complement of what it should
// be, so that it is told from damage and is never taken for a message. Locations of the others stay valid.
//
// It may be used on chunks that were stored with the state or before it: a message that came later could be waited for
// by a slot that the state does not know. It is not for concurrent use.
type Eraser struct {
	slots    []SlotState
	starts   map[uint32]uint64
	lastLock uint32
}

// NewEraser returns an eraser that goes by a group's state. The state must not be changed any more.
func NewEraser(s *State) *Eraser {
	return &Eraser{slots: s.Slots, starts: s.starts(), lastLock: s.LastLock}
}

// Erase returns the data of a chunk without the envelopes that nobody waits for, and how many it has taken out. data is
// not changed; it is returned itself if there was nothing to take out, and if it is damaged.
func (e *Eraser) Erase(data []byte) ([]byte, int) {
	stored, err := AppendStored(nil, 0, data)
	if err != nil {
		return data, 0
	}
	erased := 0
	for i := range stored {
		at := stored[i].At
		if stored[i].Envelope == 0 || e.waits(&stored[i].Message) || isErased(data[at.Offset:][:at.Size]) {
			continue
		}
		if erased == 0 {
			data = slices.Clone(data)
		}
		erase(data[at.Offset:][:at.Size])
		erased++
	}
	return data, erased
}

// waits says whether some slot waits for a message, or may come to wait for it when a transaction lock ends.
func (e *Eraser) waits(m *Message) bool {
	number := m.Place
	if m.Lock != 0 {
		start, ended := e.starts[m.Lock]
		if !ended {
			return m.Lock > e.lastLock
		}
		number += start
	}
	return slices.ContainsFunc(e.slots, func(s SlotState) bool {
		if number < s.First || m.Sender == s.Device {
			return false
		}
		_, gap := slices.BinarySearch(s.Gaps, number)
		return gap || number >= s.Next
	})
}

// erase takes the envelope out of a record.
func erase(record []byte) {
	clear(record[recordHeaderSize:])
	binary.LittleEndian.PutUint32(record, ^crc32.Checksum(record[4:], castagnoli))
}

func isErased(record []byte) bool {
	return binary.LittleEndian.Uint32(record) == ^crc32.Checksum(record[4:], castagnoli)
}
