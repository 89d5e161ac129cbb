package reflect

import (
	"bytes"
	"encoding/hex"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"openmediator/d2m"
)

func fullState() *State {
	return &State{
		LastTimestamp: 1_700_000_000_000,
		Bound:         1<<32 + 1024,
		LastLock:      1<<32 - 1,
		Locks:         []LockStart{{Lock: 3, Start: 1 << 32, Count: 1}, {Lock: 1<<32 - 1, Start: 1<<64 - 1, Count: 1<<64 - 1}},
		Slots: []SlotState{
			{Device: 1<<64 - 1, Expiration: d2m.Persistent, Connected: true, Confirmed: true, Since: 1_700_000_000_001,
				First: 5, Next: 900, Gaps: []uint64{5, 6, 300, 899}},
			{Device: 2, Confirmed: true, Since: 1<<64 - 1, First: 1<<64 - 1, Next: 1<<64 - 1},
			{},
		},
	}
}

func sameState(a, b *State) bool {
	return a.LastTimestamp == b.LastTimestamp && a.Bound == b.Bound && a.LastLock == b.LastLock && slices.Equal(a.Locks, b.Locks) &&
		slices.EqualFunc(a.Slots, b.Slots, func(a, b SlotState) bool {
			return a.Device == b.Device && a.Expiration == b.Expiration && a.Connected == b.Connected && a.Confirmed == b.Confirmed &&
				a.Since == b.Since && a.First == b.First && a.Next == b.Next && slices.Equal(a.Gaps, b.Gaps)
		})
}

// What is on disk must not change between versions.
func TestStateLayout(t *testing.T) {
	s := State{LastTimestamp: 300, Bound: 1024, LastLock: 2, Locks: []LockStart{{1, 200, 3}}, Slots: []SlotState{
		{Device: 0x0102030405060708, Expiration: d2m.Persistent, Connected: true, Since: 5, First: 6, Next: 200, Gaps: []uint64{7, 150}},
	}}
	want := "01" + "ac02" + "8008" + "02" + "01" + "01c80103" + "01" + "0807060504030201" + "01" + "01" + "05" + "06" + "c801" + "02" + "01" + "8f01"
	if got := hex.EncodeToString(s.Append(nil)); got != want {
		t.Fatalf("state is\n%s, want\n%s", got, want)
	}
}

func TestStateBack(t *testing.T) {
	for _, s := range []*State{{}, fullState()} {
		data := s.Append([]byte("before"))
		got, err := ParseState(data[len("before"):])
		if err != nil || !bytes.HasPrefix(data, []byte("before")) || !sameState(got, s) {
			t.Fatalf("%+v is read as %+v, %v", s, got, err)
		}
	}
	if s, err := ParseState(nil); err != nil || !sameState(s, new(State)) {
		t.Fatalf("nothing is read as %+v, %v", s, err)
	}
	rapid.Check(t, func(t *rapid.T) {
		s := drawState(t)
		if got, err := ParseState(s.Append(nil)); err != nil || !sameState(got, s) {
			t.Fatalf("%+v is read as %+v, %v", s, got, err)
		}
	})
}

func drawState(t *rapid.T) *State {
	s := &State{LastTimestamp: rapid.Uint64().Draw(t, "timestamp"), Bound: rapid.Uint64().Draw(t, "bound")}
	s.LastLock = rapid.Uint32().Draw(t, "last lock")
	for range rapid.IntRange(0, 3).Draw(t, "locks") {
		s.Locks = append(s.Locks, LockStart{
			Lock:  rapid.Uint32().Draw(t, "lock"),
			Start: rapid.Uint64().Draw(t, "start"),
			Count: rapid.Uint64().Draw(t, "count"),
		})
	}
	for range rapid.IntRange(0, 10).Draw(t, "slots") {
		slot := SlotState{
			Device:     d2m.DeviceID(rapid.Uint64().Draw(t, "device")),
			Expiration: rapid.SampledFrom([]d2m.ExpirationPolicy{d2m.Volatile, d2m.Persistent}).Draw(t, "expiration"),
			Connected:  rapid.Bool().Draw(t, "connected"),
			Confirmed:  rapid.Bool().Draw(t, "confirmed"),
			Since:      rapid.Uint64().Draw(t, "since"),
		}
		numbers := rapid.SliceOfN(rapid.Uint64(), 2, 20).Draw(t, "numbers")
		slices.Sort(numbers)
		numbers = slices.Compact(numbers)
		slot.First, slot.Next = numbers[0], numbers[len(numbers)-1]
		slot.Gaps = numbers[:len(numbers)-1]
		s.Slots = append(s.Slots, slot)
	}
	return s
}

func TestStateDamage(t *testing.T) {
	data := fullState().Append(nil)
	for size := 1; size < len(data); size++ {
		if s, err := ParseState(data[:size]); err == nil {
			t.Fatalf("%d of %d bytes are read as %+v", size, len(data), s)
		}
	}
	for name, damaged := range map[string][]byte{
		"a byte more":           append(bytes.Clone(data), 0),
		"another version":       append([]byte{stateVersion + 1}, data[1:]...),
		"version 0":             {0, 0, 0, 0, 0},
		"an endless number":     append([]byte{stateVersion}, bytes.Repeat([]byte{0xff}, 20)...),
		"more locks than bytes": {stateVersion, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0},
		"more slots than bytes": {stateVersion, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f},
		"more gaps than bytes":  append(append([]byte{stateVersion, 0, 0, 0, 1}, make([]byte, 13)...), 0xff, 0xff, 0x03),
	} {
		if s, err := ParseState(damaged); err == nil {
			t.Errorf("%s is read as %+v", name, s)
		}
	}
}

func FuzzParseState(f *testing.F) {
	f.Add([]byte{})
	f.Add(new(State).Append(nil))
	f.Add(fullState().Append(nil))
	f.Add((&State{Slots: []SlotState{{Device: 1, Next: 10, Gaps: []uint64{0, 1, 2}}}}).Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseState(data)
		if err != nil {
			return
		}
		again, err := ParseState(s.Append(nil))
		if err != nil || !sameState(s, again) {
			t.Fatalf("%x is read as %+v, written and read as %+v, %v", data, s, again, err)
		}
	})
}
