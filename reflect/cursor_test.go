package reflect

import (
	"slices"
	"testing"

	"openmediator/d2m"
)

// cursorScene is a queue with messages 1 to count of device 1 and a cursor of device 2 that waits for them.
func cursorScene(count int) (*queueMachine, *Cursor) {
	q := newQueueMachine(1)
	q.join(1)
	q.join(2)
	for range count {
		q.add(1, 1)
	}
	return q, q.cursors[2]
}

func expectGaps(t *testing.T, c *Cursor, next uint64, gaps ...uint64) {
	t.Helper()
	var s SlotState
	c.Save(&s)
	if s.First != 1 || s.Next != next || !slices.Equal(s.Gaps, gaps) {
		t.Errorf("saved %+v, want next %d and gaps %v", s, next, gaps)
	}
}

func TestCursorGaps(t *testing.T) {
	q, c := cursorScene(6)
	expectGaps(t, c, 1)
	for _, step := range []struct {
		number uint64
		oldest uint64
		next   uint64
		gaps   []uint64
	}{
		{3, 1, 4, []uint64{1, 2}},
		{3, 1, 4, []uint64{1, 2}},
		{2, 1, 4, []uint64{1}},
		{6, 1, 7, []uint64{1, 4, 5}},
		{7, 1, 7, []uint64{1, 4, 5}},
		{1, 4, 7, []uint64{4, 5}},
		{5, 4, 7, []uint64{4}},
		{4, 7, 7, nil},
		{4, 7, 7, nil},
		{0, 7, 7, nil},
	} {
		if !q.ack(2, step.number) {
			t.Errorf("ack of %d reports wrongly whether it was waited for", step.number)
		}
		if c.Oldest() != step.oldest {
			t.Errorf("after the ack of %d the oldest is %d, want %d", step.number, c.Oldest(), step.oldest)
		}
		expectGaps(t, c, step.next, step.gaps...)
		mustCheck(t, q)
	}
}

// Numbers that were never given to a message, and the slot's own messages, are no gaps: they would never be filled.
func TestCursorGapsAreMessagesOnly(t *testing.T) {
	q := newQueueMachine(1)
	q.join(1)
	q.join(2)
	q.add(1, 1) // 1
	q.next += 5
	q.add(2, 1) // 7, its own
	q.add(1, 1) // 8
	q.add(1, 1) // 9
	q.ack(2, 8)
	q.ack(2, 9)
	expectGaps(t, q.cursors[2], 10, 1)
	q.ack(2, 1)
	expectGaps(t, q.cursors[2], 10)
	mustCheck(t, q)
}

// A message that all others have dropped is no gap either.
func TestCursorGapsWithoutWhatIsGone(t *testing.T) {
	q := newQueueMachine(1)
	for _, device := range []d2m.DeviceID{1, 2, 3} {
		q.join(device)
	}
	q.add(3, 1) // 1, for 1 and 2
	q.add(1, 1) // 2, for 2 and 3
	q.leave(3)
	q.ack(1, 1)
	q.ack(2, 2)
	expectGaps(t, q.cursors[2], 3, 1)
	expectGaps(t, q.cursors[1], 2)
	mustCheck(t, q)
}

func TestCursorAcksFromTheEnd(t *testing.T) {
	q, c := cursorScene(1000)
	for number := uint64(1000); number > 0; number-- {
		if !q.ack(2, number) {
			t.Fatalf("ack of %d reports wrongly", number)
		}
	}
	expectGaps(t, c, 1001)
	mustCheck(t, q)
}

// A slot that joins waits for what is appended from then on, and for nothing of its own.
func TestCursorJoinsLate(t *testing.T) {
	q, _ := cursorScene(3)
	q.join(3)
	q.add(3, 1)
	q.add(1, 1)
	mustCheck(t, q)
	if messages, _ := q.cursors[3].Waiting(); messages != 1 {
		t.Errorf("waits for %d messages, want 1", messages)
	}
	if !q.ack(3, 1) || !q.ack(3, 4) {
		t.Error("an ack of what is not meant for the slot was taken")
	}
	mustCheck(t, q)
}

// The same device id in a new slot has nothing to do with the old one's messages.
func TestCursorOfADeviceThatComesBackAnew(t *testing.T) {
	q, _ := cursorScene(2)
	q.add(2, 1)
	q.leave(2)
	q.join(2)
	if messages, bytes := q.cursors[2].Waiting(); messages != 0 || bytes != 0 {
		t.Errorf("waits for %d messages", messages)
	}
	q.add(1, 1)
	mustCheck(t, q)
	if !q.ack(2, 2) || !q.ack(2, 4) {
		t.Error("an ack reports wrongly")
	}
	mustCheck(t, q)
}
