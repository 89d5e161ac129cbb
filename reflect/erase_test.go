package reflect

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"openmediator/d2m"
)

// What an eraser takes out is exactly what a claim of the same state lets nobody wait for.
func TestB17_EraserTakesOutWhatNobodyWaitsFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state := drawStateOfChunk(t)
		group := d2m.GroupID{1}
		chunk := NewChunk(group, 0)
		for range rapid.IntRange(1, 20).Draw(t, "messages") {
			chunk.Append(Message{
				Lock:     rapid.Uint32Range(0, 4).Draw(t, "lock"),
				Place:    rapid.Uint64Range(0, 40).Draw(t, "place"),
				Sender:   d2m.DeviceID(rapid.Uint64Range(1, 4).Draw(t, "sender")),
				Envelope: bytes.Repeat([]byte("secret"), rapid.IntRange(1, 5).Draw(t, "size")),
			})
		}
		before := bytes.Clone(chunk.Data)
		data, erased := NewEraser(state).Erase(chunk.Data)
		if !bytes.Equal(before, chunk.Data) || len(data) != len(before) {
			t.Fatal("what was given has been changed")
		}
		stored, err := AppendStored(nil, 7, data)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, m := range stored {
			var q Queue
			_, deferred := q.Restore(state, []Stored{m})
			waits := q.Len()+len(deferred) > 0
			record, _ := Record(data, m.At)
			_, err := ParseRecord(record)
			switch {
			case waits && err != nil:
				t.Fatalf("a message that is waited for: %v", err)
			case !waits && !errors.Is(err, ErrErased):
				t.Fatalf("a message that nobody waits for: %v", err)
			case !waits && bytes.Contains(record, []byte("secret")):
				t.Fatal("an erased record holds its envelope")
			case !waits:
				found++
			}
		}
		again, more := NewEraser(state).Erase(data)
		if found != erased || more != 0 || !bytes.Equal(again, data) {
			t.Fatalf("%d messages are erased, %d were reported, and %d the second time", found, erased, more)
		}
	})
}

func drawStateOfChunk(t *rapid.T) *State {
	state := &State{LastLock: rapid.Uint32Range(0, 3).Draw(t, "last lock")}
	for lock := uint32(1); lock <= state.LastLock; lock++ {
		if rapid.Bool().Draw(t, "waited for") {
			state.Locks = append(state.Locks, LockStart{Lock: lock, Start: rapid.Uint64Range(0, 40).Draw(t, "start"), Count: 1})
		}
	}
	for device := range rapid.IntRange(0, 3).Draw(t, "slots") {
		s := SlotState{Device: d2m.DeviceID(device + 1), First: rapid.Uint64Range(0, 20).Draw(t, "first")}
		s.Next = s.First
		for range rapid.IntRange(0, 30).Draw(t, "numbers") {
			if rapid.Bool().Draw(t, "gap") {
				s.Gaps = append(s.Gaps, s.Next)
			}
			s.Next++
		}
		state.Slots = append(state.Slots, s)
	}
	return state
}

func TestEraserLeavesDamageAlone(t *testing.T) {
	chunk := NewChunk(d2m.GroupID{1}, 0)
	chunk.Append(Message{Envelope: []byte("secret")})
	for _, data := range [][]byte{nil, chunk.Data[:10], chunk.Data[:40], append(bytes.Clone(chunk.Data), 1)} {
		if got, n := NewEraser(new(State)).Erase(data); n != 0 || !bytes.Equal(got, data) {
			t.Fatalf("%x became %x", data, got)
		}
	}
}
