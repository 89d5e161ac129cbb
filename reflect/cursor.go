package reflect

import (
	"slices"

	"openmediator/d2m"
)

// Cursor is one slot's place in its group's queue: which messages are meant for it and which of them it still waits for.
// It is made by Queue.Join and changed by the queue's methods only.
type Cursor struct {
	device d2m.DeviceID
	first  uint64   // lowest number that is meant for this slot
	next   uint64   // it and all above are not acknowledged
	gaps   []uint64 // numbers below next that are not acknowledged, rising

	count int   // messages waited for
	bytes int64 // of their envelopes
}

// Waiting returns how many messages wait for the slot and how many bytes their envelopes have together.
func (c *Cursor) Waiting() (messages int, bytes int64) { return c.count, c.bytes }

// Oldest returns a number such that nothing below it waits for the slot.
func (c *Cursor) Oldest() uint64 {
	if len(c.gaps) > 0 {
		return c.gaps[0]
	}
	return c.next
}

// Save fills in what State keeps of a cursor. The gaps are the cursor's until it changes.
func (c *Cursor) Save(s *SlotState) { s.First, s.Next, s.Gaps = c.first, c.next, c.gaps }

// waits says whether the slot waits for the message of e, if it is one that was not deleted.
func (c *Cursor) waits(e *entry) bool {
	if e.number < c.first || e.sender == c.device {
		return false
	}
	if e.number >= c.next {
		return true
	}
	_, found := slices.BinarySearch(c.gaps, e.number)
	return found
}

// take removes a gap. The common case, the oldest one, costs nothing.
func (c *Cursor) take(number uint64) {
	if c.gaps[0] == number {
		c.gaps = c.gaps[1:]
		return
	}
	i, _ := slices.BinarySearch(c.gaps, number)
	c.gaps = slices.Delete(c.gaps, i, i+1)
}
