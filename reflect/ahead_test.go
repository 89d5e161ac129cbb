package reflect

import (
	"slices"
	"testing"
	"time"
)

func TestB14_MoveAhead(t *testing.T) {
	made := time.UnixMilli(1_000_000)
	now := made.Add(time.Hour)
	before := State{
		LastTimestamp: 900_000, Bound: 5000, LastLock: 3, Locks: []LockStart{{Lock: 3, Start: 700, Count: 2}},
		Slots: []SlotState{
			{Device: 1, Confirmed: true, Since: 800_000, First: 1, Next: 600, Gaps: []uint64{500}},
			{Device: 2, Connected: true, Confirmed: true, Since: 850_000, First: 1, Next: 10},
		},
	}
	snapshot := Snapshot{State: before.Append(nil), Messages: []Stored{{Message: Message{Place: 500, Timestamp: 1}}}}
	after, err := snapshot.MoveAhead(made, now)
	if err != nil {
		t.Fatal(err)
	}
	if after.Bound != 5000+ahead || after.LastTimestamp != uint64(now.UnixMilli()) || after.LastLock != 3 || !slices.Equal(after.Locks, before.Locks) {
		t.Errorf("%+v", after)
	}
	away, connected := after.Slots[0], after.Slots[1]
	if away.Confirmed || away.Since != 800_000+3_600_000 || away.Next != 600 || !slices.Equal(away.Gaps, []uint64{500}) {
		t.Errorf("the slot that was away: %+v", away)
	}
	if connected.Confirmed || connected.Since != 850_000 || !connected.Connected {
		t.Errorf("the slot that was connected: %+v", connected)
	}
}

// The clock of this machine may be behind that of the one before: no time goes back (B15), and no absence becomes shorter.
func TestMoveAheadWithClockBehind(t *testing.T) {
	made := time.UnixMilli(1_000_000)
	before := State{LastTimestamp: 900_000, Bound: 1, Slots: []SlotState{{Since: 800_000}}}
	snapshot := Snapshot{State: before.Append(nil), Messages: []Stored{{Message: Message{Timestamp: 2_000_000}}}}
	for _, now := range []time.Time{made.Add(-time.Minute), made.Add(-time.Hour), {}} {
		after, err := snapshot.MoveAhead(made, now)
		if err != nil || after.LastTimestamp != 2_000_000 || after.Slots[0].Since != 800_000 {
			t.Errorf("%+v, %v", after, err)
		}
	}
	if after, err := snapshot.MoveAhead(time.Time{}, made); err != nil || after.Slots[0].Since != 1_000_000 {
		t.Errorf("a backup of the year 1: %+v, %v", after, err)
	}
}

// However often a backup of what was restored is restored: what waits can be acknowledged, so it stays within 2^31 (B19), and
// the bound never goes back.
func TestB19_MoveAheadAgain(t *testing.T) {
	state := State{Bound: 5000, Slots: []SlotState{{Device: 1}, {Device: 2}}}
	messages := []Stored{{Message: Message{Lock: 1, Place: 10}}}
	state.Locks = []LockStart{{Lock: 1, Start: 490, Count: 20}}
	moved := 0
	for range 20 {
		snapshot := Snapshot{State: state.Append(nil), Messages: messages}
		after, err := snapshot.MoveAhead(time.Now(), time.Now())
		if err != nil || after.Bound < state.Bound || after.Bound-500 >= 1<<31 {
			t.Fatalf("bound %d becomes %d (%v)", state.Bound, after.Bound, err)
		}
		if after.Bound == state.Bound+ahead {
			moved++
		}
		state = *after
	}
	if moved < 7 {
		t.Errorf("it was moved ahead %d times only", moved)
	}
}

func TestMoveAheadOfDamagedState(t *testing.T) {
	snapshot := Snapshot{State: []byte("damaged")}
	if _, err := snapshot.MoveAhead(time.Now(), time.Now()); err == nil {
		t.Error("no error")
	}
}
