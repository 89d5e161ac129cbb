package boltstore

import (
	"encoding/binary"
	"errors"

	"openmediator/reflect"
)

// Tally says what a store, or an export of one, holds.
type Tally struct {
	Groups   int
	Devices  int   // slots
	Messages int   // that were not deleted; those that wait are among them
	Bytes    int64 // of their envelopes
	Damaged  int   // states and messages that are not what was written
}

// Content looks through the pieces of an export, and counts what is valid when all of them have been added. It takes some 60
// bytes of memory per group and chunk. The zero value is ready.
type Content struct {
	groups map[string]int // slots, or damagedState
	chunks map[string]chunkTally
}

const damagedState = -1

type chunkTally struct {
	messages, damaged int
	bytes             int64
}

// Add looks through a piece. The error says that it is none: a damaged state or message is counted.
func (c *Content) Add(piece []byte) error {
	entries, err := parsePiece(piece)
	if err != nil {
		return err
	}
	for i := range entries {
		if err := c.add(&entries[i]); err != nil {
			return err
		}
	}
	return nil
}

func (c *Content) add(e *entry) error {
	if c.groups == nil {
		c.groups, c.chunks = make(map[string]int), make(map[string]chunkTally)
	}
	switch e.part {
	case partState:
		delete(c.groups, e.key)
		if e.value != nil {
			c.groups[e.key] = slotsOf(e.value)
		}
	case partLog:
		delete(c.chunks, e.key)
		if e.value == nil {
			return nil
		}
		if _, err := reflect.ChunkGroup(e.value); err != nil {
			return err
		}
		c.chunks[e.key] = tallyChunk(e.key, e.value)
	}
	return nil
}

func slotsOf(encoded []byte) int {
	state, err := reflect.ParseState(encoded)
	if err != nil || len(encoded) == 0 {
		return damagedState
	}
	return len(state.Slots)
}

// tallyChunk counts the messages of a chunk. What lies behind a damaged header cannot be told apart, and is one damage.
func tallyChunk(key string, data []byte) (t chunkTally) {
	messages, err := reflect.AppendStored(nil, binary.BigEndian.Uint64([]byte(key)), data)
	if err != nil {
		t.damaged++
	}
	for _, m := range messages {
		record, err := reflect.Record(data, m.At)
		if err == nil {
			_, err = reflect.ParseRecord(record)
		}
		switch {
		case err == nil:
			t.messages++
			t.bytes += int64(m.Envelope)
		case !errors.Is(err, reflect.ErrErased):
			t.damaged++
		}
	}
	return t
}

// Tally returns the counts.
func (c *Content) Tally() (t Tally) {
	t.Groups = len(c.groups)
	for _, slots := range c.groups {
		if slots == damagedState {
			t.Damaged++
			continue
		}
		t.Devices += slots
	}
	for _, chunk := range c.chunks {
		t.Messages += chunk.messages
		t.Bytes += chunk.bytes
		t.Damaged += chunk.damaged
	}
	return t
}

// Above says whether a chunk has a key above the last one given, which no sound store has.
func (c *Content) Above(lastKey uint64) bool {
	for key := range c.chunks {
		if binary.BigEndian.Uint64([]byte(key)) > lastKey {
			return true
		}
	}
	return false
}
