package reflect

import (
	"math"
	"slices"
	"sort"

	"openmediator/d2m"
)

// Queue is the index of a group's reflection queue: every message that some slot waits for, ordered by number, and the
// cursors of the slots. It holds no envelope; where one is says its chunk.
//
// The zero Queue is empty and ready. It is not for concurrent use.
type Queue struct {
	entries []entry // numbers rising; acknowledged ones stay, with waiting 0, until they are swept
	head    int     // all entries before it are acknowledged by all
	gone    int     // how many entries are, those before head included
	cursors []*Cursor
	bytes   int64    // of the envelopes that wait
	dead    []uint64 // keys of chunks that nobody waits for any more
}

// entry is one message. A million of them should be cheap: 32 bytes.
type entry struct {
	number  uint64
	sender  d2m.DeviceID
	chunk   *Chunk
	offset  uint32 // of the record in the chunk's data
	size    uint16 // of the envelope
	waiting uint16 // slots that have not acknowledged
}

// An envelope's size fits.
const _ = math.MaxUint16 - uint(d2m.MaxEnvelopeSize)

// Item is a message that waits for a slot.
type Item struct {
	Number uint64
	Chunk  *Chunk
	At     Location // Key is 0 while the chunk has not been stored
}

// Join adds a slot that gets what is appended from now on; next is the number that will be drawn next.
func (q *Queue) Join(device d2m.DeviceID, next uint64) *Cursor {
	c := &Cursor{device: device, first: next, next: next}
	q.cursors = append(q.cursors, c)
	return c
}

// Leave removes a slot. What only it waited for is deleted.
func (q *Queue) Leave(c *Cursor) {
	for i := q.search(c.Oldest()); i < len(q.entries); i++ {
		if e := &q.entries[i]; e.waiting > 0 && c.waits(e) {
			q.release(e)
		}
	}
	if i := slices.Index(q.cursors, c); i >= 0 {
		q.cursors = slices.Delete(q.cursors, i, i+1)
	}
	q.sweep()
}

// Bytes returns how many bytes of envelopes wait.
func (q *Queue) Bytes() int64 { return q.bytes }

// Len returns how many messages wait.
func (q *Queue) Len() int { return len(q.entries) - q.gone }

// Append adds a message that stands in a chunk at a location. Every slot but its sender's waits for it (B14). number
// must be above all numbers appended before. It reports whether anybody waits.
func (q *Queue) Append(number uint64, sender d2m.DeviceID, chunk *Chunk, at Location) bool {
	e := entry{number: number, sender: sender, chunk: chunk, offset: at.Offset, size: uint16(at.Size - recordHeaderSize)}
	for _, c := range q.cursors {
		if !c.waits(&e) {
			continue
		}
		e.waiting++
		c.count++
		c.bytes += int64(e.size)
	}
	if e.waiting == 0 {
		return false
	}
	chunk.waited++
	chunk.end = number + 1
	q.bytes += int64(e.size)
	q.entries = append(q.entries, e)
	return true
}

// Ack notes that the slot has acknowledged the message with this number. It reports false, and changes nothing, if the
// slot does not wait for such a message (B19).
func (q *Queue) Ack(c *Cursor, number uint64) bool {
	i := q.search(number)
	if i == len(q.entries) || q.entries[i].number != number {
		return false
	}
	e := &q.entries[i]
	if e.waiting == 0 || !c.waits(e) {
		return false
	}
	if number < c.next {
		c.take(number)
	} else {
		for j := q.search(c.next); j < i; j++ {
			if skipped := &q.entries[j]; skipped.waiting > 0 && c.waits(skipped) {
				c.gaps = append(c.gaps, skipped.number)
			}
		}
		c.next = number + 1
	}
	c.count--
	c.bytes -= int64(e.size)
	q.release(e)
	q.sweep()
	return true
}

// Next returns the first message with at least this number, and below end, that waits for the slot.
func (q *Queue) Next(c *Cursor, from, end uint64) (Item, bool) {
	for i := q.search(from); i < len(q.entries) && q.entries[i].number < end; i++ {
		e := &q.entries[i]
		if e.waiting > 0 && c.waits(e) {
			at := Location{Key: e.chunk.Key, Offset: e.offset, Size: recordHeaderSize + uint32(e.size)}
			return Item{Number: e.number, Chunk: e.chunk, At: at}, true
		}
	}
	return Item{}, false
}

// Stored notes that a chunk has been stored under a key.
func (q *Queue) Stored(chunk *Chunk, key uint64) {
	chunk.Key = key
	if chunk.waited == 0 {
		q.bury(chunk)
	}
}

// Dead returns the keys of the stored chunks that nobody waits for since the last call. The slice is the caller's.
func (q *Queue) Dead() []uint64 {
	dead := q.dead
	q.dead = nil
	return dead
}

// HasDead says whether Dead would return anything.
func (q *Queue) HasDead() bool { return len(q.dead) > 0 }

// release takes one waiting slot off a message.
func (q *Queue) release(e *entry) {
	e.waiting--
	if e.waiting > 0 {
		return
	}
	chunk := e.chunk
	e.chunk = nil
	q.bytes -= int64(e.size)
	q.gone++
	q.letGo(chunk)
}

// letGo takes one reason to keep it off a chunk.
func (q *Queue) letGo(chunk *Chunk) {
	chunk.waited--
	if chunk.waited == 0 && chunk.Key != 0 {
		q.bury(chunk)
	}
}

func (q *Queue) bury(chunk *Chunk) {
	chunk.Data = nil
	q.dead = append(q.dead, chunk.Key)
}

// sweep forgets acknowledged entries once they are the larger part, so that a message costs a constant on average and
// one that is left alone under a million acknowledged ones costs nothing.
func (q *Queue) sweep() {
	for q.head < len(q.entries) && q.entries[q.head].waiting == 0 {
		q.head++
	}
	if q.head < len(q.entries) && (q.gone < 32 || q.gone <= len(q.entries)/2) {
		return
	}
	kept := q.entries[:0]
	if cap(kept) > 1024 && cap(kept) > 8*q.Len() {
		kept = make([]entry, 0, q.Len())
	}
	for i := q.head; i < len(q.entries); i++ {
		if q.entries[i].waiting > 0 {
			kept = append(kept, q.entries[i])
		}
	}
	clear(q.entries[min(len(kept), len(q.entries)):])
	q.entries, q.head, q.gone = kept, 0, 0
}

// search returns the index of the first entry with at least this number.
func (q *Queue) search(number uint64) int {
	if n := len(q.entries); n == q.head || q.entries[n-1].number < number {
		return n
	}
	rest := q.entries[q.head:]
	return q.head + sort.Search(len(rest), func(i int) bool { return rest[i].number >= number })
}

// Restore makes the queue what it was when slots and messages were stored. It returns the cursors in the order of slots,
// and the messages that have no number yet because the lock they arrived behind never ended, in order of arrival (B26).
func (q *Queue) Restore(state *State, messages []Stored) (cursors []*Cursor, deferred []Deferred) {
	*q = Queue{}
	for i := range state.Slots {
		s := &state.Slots[i]
		q.cursors = append(q.cursors, &Cursor{device: s.Device, first: s.First, next: s.Next, gaps: s.Gaps})
	}
	starts := state.starts()
	chunks := chunksOf(messages)
	numbered := make([]Deferred, 0, len(messages))
	for i := range messages {
		m := Deferred{Message: messages[i].Message, Chunk: chunks[messages[i].At.Key], At: messages[i].At}
		start, known := starts[m.Lock]
		switch {
		case m.Lock == 0 || known:
			m.Place += start
			numbered = append(numbered, m)
		case m.Lock > state.LastLock:
			q.Hold(m.Chunk)
			deferred = append(deferred, m)
		}
	}
	sort.SliceStable(numbered, func(i, j int) bool { return numbered[i].Place < numbered[j].Place })
	q.entries = make([]entry, 0, len(numbered))
	for _, m := range numbered {
		q.Append(m.Place, m.Sender, m.Chunk, m.At)
	}
	for key, chunk := range chunks {
		if chunk.waited == 0 {
			q.dead = append(q.dead, key)
		}
	}
	return q.cursors, deferred
}

// Deferred is a stored message that has no place in the queue yet (B26).
type Deferred struct {
	Message // Envelope is nil
	Chunk   *Chunk
	At      Location
}

// Hold keeps a chunk that a deferred message stands in.
func (q *Queue) Hold(chunk *Chunk) { chunk.waited++ }

// Place gives a deferred message its number, as Append does, and ends what Hold began.
func (q *Queue) Place(number uint64, d *Deferred) bool {
	waits := q.Append(number, d.Sender, d.Chunk, d.At)
	q.letGo(d.Chunk)
	return waits
}

// AnyIn says whether somebody waits for a message with a number from start up to, not including, end.
func (q *Queue) AnyIn(start, end uint64) bool {
	for i := q.search(start); i < len(q.entries) && q.entries[i].number < end; i++ {
		if q.entries[i].waiting > 0 {
			return true
		}
	}
	return false
}

func chunksOf(messages []Stored) map[uint64]*Chunk {
	chunks := make(map[uint64]*Chunk)
	for i := range messages {
		key := messages[i].At.Key
		if chunks[key] == nil {
			chunks[key] = &Chunk{Key: key}
		}
	}
	return chunks
}
