package reflect

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"openmediator/d2m"
)

// naiveQueue says what a Queue should hold, as slowly and plainly as can be.
type naiveQueue struct {
	messages []*naiveMessage // numbers rising; all that were ever appended and whose chunk is not deleted
	reported map[uint64]bool // keys of chunks that Dead has returned
}

type naiveMessage struct {
	number uint64
	sender d2m.DeviceID
	size   int
	chunk  *Chunk
	at     Location
	waits  map[d2m.DeviceID]bool
}

func (n *naiveQueue) waiting(device d2m.DeviceID) (numbers []uint64, bytes int64) {
	for _, m := range n.messages {
		if m.waits[device] {
			numbers = append(numbers, m.number)
			bytes += int64(m.size)
		}
	}
	return numbers, bytes
}

func (n *naiveQueue) all() (messages int, bytes int64) {
	for _, m := range n.messages {
		if len(m.waits) > 0 {
			messages++
			bytes += int64(m.size)
		}
	}
	return messages, bytes
}

// dead returns the keys of stored chunks that have no waiting message and were not reported.
func (n *naiveQueue) dead() []uint64 {
	alive := make(map[uint64]bool)
	for _, m := range n.messages {
		if key := m.chunk.Key; key != 0 && !n.reported[key] {
			alive[key] = alive[key] || len(m.waits) > 0
		}
	}
	maps.DeleteFunc(alive, func(_ uint64, waits bool) bool { return waits })
	return slices.Sorted(maps.Keys(alive))
}

// queueMachine drives a Queue and the naive one through the same history.
type queueMachine struct {
	queue   *Queue
	naive   naiveQueue
	cursors map[d2m.DeviceID]*Cursor
	next    uint64 // number that is drawn next
	open    *Chunk // collects messages; not stored
	lastKey uint64
}

func newQueueMachine(first uint64) *queueMachine {
	return &queueMachine{
		queue:   new(Queue),
		naive:   naiveQueue{reported: make(map[uint64]bool)},
		cursors: make(map[d2m.DeviceID]*Cursor),
		next:    first,
	}
}

func (q *queueMachine) join(device d2m.DeviceID) {
	q.cursors[device] = q.queue.Join(device, q.next)
}

func (q *queueMachine) leave(device d2m.DeviceID) {
	q.queue.Leave(q.cursors[device])
	delete(q.cursors, device)
	for _, m := range q.naive.messages {
		delete(m.waits, device)
	}
}

func (q *queueMachine) add(sender d2m.DeviceID, size int) bool {
	if q.open == nil {
		q.open = NewChunk(chunkGroup, 0)
	}
	at := q.open.Append(Message{Place: q.next, Sender: sender, Envelope: make([]byte, size)})
	m := &naiveMessage{number: q.next, sender: sender, size: size, chunk: q.open, at: at, waits: make(map[d2m.DeviceID]bool)}
	for device := range q.cursors {
		if device != sender {
			m.waits[device] = true
		}
	}
	q.naive.messages = append(q.naive.messages, m)
	q.next++
	return q.queue.Append(m.number, sender, q.open, at) == (len(m.waits) > 0)
}

func (q *queueMachine) store() {
	if q.open != nil {
		q.lastKey++
		q.queue.Stored(q.open, q.lastKey)
		q.open = nil
	}
}

func (q *queueMachine) ack(device d2m.DeviceID, number uint64) bool {
	waited := false
	for _, m := range q.naive.messages {
		if m.number == number {
			waited = m.waits[device]
			delete(m.waits, device)
		}
	}
	return q.queue.Ack(q.cursors[device], number) == waited
}

func (q *queueMachine) takeDead() (got, want []uint64) {
	want = q.naive.dead()
	got = slices.Sorted(slices.Values(q.queue.Dead()))
	for _, key := range want {
		q.naive.reported[key] = true
	}
	return got, want
}

// restore goes on with what a claim would find. Deletions of chunks for which undone says true have not happened;
// the messages from the number lockedFrom on were stored behind a lock that has ended.
func (q *queueMachine) restore(undone func(key uint64) bool, lockedFrom uint64, shuffle func([]Stored) []Stored) error {
	q.store()
	state := State{LastLock: 7, Locks: []LockStart{{Lock: 7, Start: lockedFrom}}}
	for _, c := range q.queue.cursors {
		s := SlotState{Device: c.device}
		c.Save(&s)
		state.Slots = append(state.Slots, s)
	}
	parsed, err := ParseState(state.Append(nil))
	if err != nil {
		return err
	}
	q.naive.messages = slices.DeleteFunc(q.naive.messages, func(m *naiveMessage) bool {
		return q.naive.reported[m.chunk.Key] && !undone(m.chunk.Key)
	})
	var stored []Stored
	for _, m := range q.naive.messages {
		s := Stored{Message: Message{Place: m.number, Sender: m.sender}, Envelope: m.size, At: m.at}
		s.At.Key = m.chunk.Key
		if m.number >= lockedFrom {
			s.Lock, s.Place = 7, m.number-lockedFrom
		}
		stored = append(stored, s)
	}
	clear(q.naive.reported)
	q.queue = new(Queue)
	cursors, deferred := q.queue.Restore(parsed, shuffle(stored))
	if len(deferred) != 0 {
		return fmt.Errorf("%d messages are deferred, want none", len(deferred))
	}
	clear(q.cursors)
	for i, c := range cursors {
		if c.device != parsed.Slots[i].Device {
			return fmt.Errorf("cursor %d is of device %d, want %d", i, c.device, parsed.Slots[i].Device)
		}
		q.cursors[c.device] = c
	}
	return nil
}

// check compares all that can be asked of a Queue.
func (q *queueMachine) check() error {
	messages, bytes := q.naive.all()
	if q.queue.Len() != messages || q.queue.Bytes() != bytes {
		return fmt.Errorf("%d messages wait with %d bytes, want %d with %d", q.queue.Len(), q.queue.Bytes(), messages, bytes)
	}
	if dead := q.naive.dead(); q.queue.HasDead() != (len(dead) > 0) {
		return fmt.Errorf("there are dead chunks: %v, want %v", q.queue.HasDead(), dead)
	}
	if len(q.queue.cursors) != len(q.cursors) {
		return fmt.Errorf("%d cursors, want %d", len(q.queue.cursors), len(q.cursors))
	}
	for device, c := range q.cursors {
		if err := q.checkCursor(device, c); err != nil {
			return fmt.Errorf("device %d: %w", device, err)
		}
	}
	return nil
}

func (q *queueMachine) checkCursor(device d2m.DeviceID, c *Cursor) error {
	want, wantBytes := q.naive.waiting(device)
	messages, bytes := c.Waiting()
	if messages != len(want) || bytes != wantBytes {
		return fmt.Errorf("waits for %d messages with %d bytes, want %d with %d", messages, bytes, len(want), wantBytes)
	}
	if len(want) > 0 && c.Oldest() > want[0] {
		return fmt.Errorf("the oldest is %d, but %d waits", c.Oldest(), want[0])
	}
	got, err := q.walk(c)
	if err != nil {
		return err
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("waits for %v, want %v", got, want)
	}
	return nil
}

// walk returns the numbers that Next gives one after the other, each with its place in a chunk.
func (q *queueMachine) walk(c *Cursor) (numbers []uint64, err error) {
	for from := uint64(0); len(numbers) <= len(q.naive.messages); {
		item, ok := q.queue.Next(c, from, math.MaxUint64)
		if !ok {
			return numbers, nil
		}
		if _, early := q.queue.Next(c, from, item.Number); early {
			return nil, fmt.Errorf("next gives a message that is not below %d", item.Number)
		}
		i := slices.IndexFunc(q.naive.messages, func(m *naiveMessage) bool { return m.number == item.Number })
		m := q.naive.messages[i]
		at := m.at
		at.Key = m.chunk.Key
		if item.At != at || item.Chunk.Key != at.Key {
			return nil, fmt.Errorf("message %d stands at %+v in chunk %d, want %+v", item.Number, item.At, item.Chunk.Key, at)
		}
		numbers = append(numbers, item.Number)
		from = item.Number + 1
	}
	return nil, fmt.Errorf("next gives more messages than there are: %v", numbers)
}

// A random history of all that can be done to a queue gives what the naive one gives.
func TestQueueIsTheNaiveQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := newQueueMachine(rapid.SampledFrom([]uint64{1, 1<<32 - 3}).Draw(t, "first number"))
		q.join(0) // it stays, so that there is always one
		drawDevice := func(t *rapid.T) d2m.DeviceID {
			return rapid.SampledFrom(slices.Sorted(maps.Keys(q.cursors))).Draw(t, "device")
		}
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				device := d2m.DeviceID(rapid.IntRange(0, 4).Draw(t, "device"))
				if q.cursors[device] == nil {
					q.join(device)
				}
			},
			"leave": func(t *rapid.T) {
				if device := drawDevice(t); device != 0 && rapid.IntRange(0, 3).Draw(t, "really") == 0 {
					q.leave(device)
				}
			},
			"skip numbers": func(t *rapid.T) { q.next += rapid.Uint64Range(1, 3).Draw(t, "count") },
			"append": func(t *rapid.T) {
				sender, count := drawDevice(t), rapid.IntRange(1, 40).Draw(t, "count")
				for range count {
					if !q.add(sender, rapid.IntRange(0, 9).Draw(t, "size")) {
						t.Fatal("append reports wrongly whether anybody waits")
					}
				}
			},
			"store": func(t *rapid.T) { q.store() },
			"ack": func(t *rapid.T) {
				device := drawDevice(t)
				for range rapid.IntRange(1, 40).Draw(t, "count") {
					number := rapid.Uint64Range(q.next-min(q.next, 100), q.next+1).Draw(t, "number")
					if numbers, _ := q.naive.waiting(device); len(numbers) > 0 && rapid.Bool().Draw(t, "waits") {
						number = rapid.SampledFrom(numbers).Draw(t, "number")
					}
					if !q.ack(device, number) {
						t.Fatalf("ack of %d reports wrongly whether it was waited for", number)
					}
				}
			},
			"dead": func(t *rapid.T) {
				if got, want := q.takeDead(); !slices.Equal(got, want) {
					t.Fatalf("dead chunks %v, want %v", got, want)
				}
			},
			"restore": func(t *rapid.T) {
				undone := func(uint64) bool { return rapid.Bool().Draw(t, "deletion undone") }
				lockedFrom := rapid.Uint64Range(q.next-min(q.next, 50), q.next).Draw(t, "locked from")
				shuffle := func(list []Stored) []Stored { return rapid.Permutation(list).Draw(t, "order") }
				if err := q.restore(undone, lockedFrom, shuffle); err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				if err := q.check(); err != nil {
					t.Fatal(err)
				}
			},
		})
	})
}

func TestQueueIsReadyWhenZero(t *testing.T) {
	q := new(Queue)
	c := q.Join(1, 5)
	if _, waits := q.Next(c, 0, math.MaxUint64); waits || q.Len() != 0 || q.Bytes() != 0 || q.HasDead() || q.Dead() != nil {
		t.Error("an empty queue holds something")
	}
	if q.Ack(c, 5) || q.Ack(c, 0) || q.Ack(c, math.MaxUint64) {
		t.Error("something was acknowledged in an empty queue")
	}
	q.Leave(c)
	if q.Append(5, 1, NewChunk(chunkGroup, 0), Location{Size: recordHeaderSize}) {
		t.Error("somebody waits in a queue without slots")
	}
}

func mustCheck(t *testing.T, q *queueMachine) {
	t.Helper()
	if err := q.check(); err != nil {
		t.Fatal(err)
	}
}

// A million messages come and are acknowledged above one that is not: the queue does not hold them.
func TestQueueForgetsAMillionAboveOneThatWaits(t *testing.T) {
	const million, window = 1_000_000, 1000
	var q Queue
	c := q.Join(2, 1)
	q.Join(1, 1)
	var chunk *Chunk
	add := func(number uint64) {
		if chunk == nil {
			chunk = NewChunk(chunkGroup, 0)
		}
		q.Append(number, 1, chunk, Location{Offset: 32, Size: recordHeaderSize + 300})
	}
	add(1)
	dead := 0
	for start := uint64(2); start < million; start += window {
		for i := range uint64(window) {
			add(start + i)
		}
		q.Stored(chunk, start)
		chunk = nil
		for i := range uint64(window) {
			if !q.Ack(c, start+i) {
				t.Fatalf("message %d did not wait", start+i)
			}
		}
		dead += len(q.Dead())
	}
	if q.Len() != 1 || q.Bytes() != 300 || dead != million/window-1 {
		t.Errorf("%d messages wait, %d chunks died", q.Len(), dead)
	}
	if len(q.entries) > 2*window || cap(q.entries) > 8*window {
		t.Errorf("%d entries are held, room for %d", len(q.entries), cap(q.entries))
	}
	var s SlotState
	if c.Save(&s); !slices.Equal(s.Gaps, []uint64{1}) {
		t.Errorf("gaps %v, want 1 alone", s.Gaps)
	}
}

// A long queue that is worked off gives its memory back.
func TestQueueShrinks(t *testing.T) {
	const long = 100_000
	var q Queue
	q.Join(1, 1)
	c := q.Join(2, 1)
	chunk := NewChunk(chunkGroup, 0)
	for number := range uint64(long) {
		q.Append(number+1, 1, chunk, Location{Size: recordHeaderSize})
	}
	for number := range uint64(long - 1) {
		q.Ack(c, number+1)
	}
	if q.Len() != 1 || len(q.entries) > 1000 || cap(q.entries) > long/4 {
		t.Errorf("%d messages wait, %d entries are held, room for %d", q.Len(), len(q.entries), cap(q.entries))
	}
}

// What is swept away in the middle is not found any more, and what stays is.
func TestQueueSweepsInTheMiddle(t *testing.T) {
	q := newQueueMachine(1)
	q.join(1)
	q.join(2)
	for range 200 {
		q.add(1, 1)
	}
	for number := uint64(1); number <= 200; number++ {
		if number%10 != 0 && !q.ack(2, number) {
			t.Fatalf("message %d did not wait", number)
		}
		mustCheck(t, q)
	}
	if len(q.queue.entries) >= 200 {
		t.Error("nothing was swept")
	}
	for number := uint64(200); number > 0; number-- {
		if !q.ack(2, number) {
			t.Fatalf("ack of %d reports wrongly", number)
		}
		mustCheck(t, q)
	}
}

func TestQueueDeadChunks(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(q *queueMachine) // what kills the chunk 1
	}{
		{"the last ack", func(q *queueMachine) {
			q.store()
			q.ack(2, 1)
			q.ack(2, 2)
		}},
		{"the last ack before it is stored", func(q *queueMachine) {
			q.ack(2, 1)
			q.ack(2, 2)
			q.store()
		}},
		{"the last slot that waits leaves", func(q *queueMachine) {
			q.store()
			q.leave(2)
		}},
		{"the last slot leaves before it is stored", func(q *queueMachine) {
			q.leave(2)
			q.store()
		}},
		{"half and half", func(q *queueMachine) {
			q.ack(2, 2)
			q.store()
			q.leave(2)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := newQueueMachine(1)
			q.join(1)
			q.join(2)
			q.add(1, 10)
			q.add(1, 10)
			chunk := q.open
			if q.queue.HasDead() {
				t.Error("a chunk is dead at once")
			}
			test.do(q)
			mustCheck(t, q)
			if got := q.queue.Dead(); !slices.Equal(got, []uint64{1}) {
				t.Errorf("dead %v, want 1", got)
			}
			if chunk.Data != nil {
				t.Error("a dead chunk is held in memory")
			}
			if q.queue.HasDead() || q.queue.Dead() != nil {
				t.Error("a chunk dies twice")
			}
		})
	}
}

func TestQueueChunkLivesWhileOneMessageWaits(t *testing.T) {
	q := newQueueMachine(1)
	q.join(1)
	q.join(2)
	q.join(3)
	q.add(1, 10)
	q.add(2, 10)
	chunk := q.open
	q.store()
	q.ack(2, 1)
	q.ack(3, 1)
	q.ack(1, 2)
	mustCheck(t, q)
	if q.queue.HasDead() || chunk.Data == nil {
		t.Error("a chunk died while device 3 waited for message 2")
	}
	q.ack(3, 2)
	if !q.queue.HasDead() {
		t.Error("a chunk for which nobody waits is alive")
	}
}

func TestQueueRestoreOfNothing(t *testing.T) {
	var q Queue
	cursors, deferred := q.Restore(new(State), nil)
	if len(cursors) != 0 || len(deferred) != 0 || q.Len() != 0 || q.HasDead() {
		t.Error("nothing was restored as something")
	}
}

// A crash has undone deletions: what nobody waits for is found out anew.
func TestQueueRestoreBuriesWhatNobodyWaitsFor(t *testing.T) {
	state := &State{Slots: []SlotState{
		{Device: 1, First: 1, Next: 4},
		{Device: 2, First: 3, Next: 5},
	}}
	stored := []Stored{
		{Message: Message{Place: 1, Sender: 2}, Envelope: 5, At: Location{Key: 10, Offset: 32, Size: recordHeaderSize + 5}},
		{Message: Message{Place: 2, Sender: 3}, Envelope: 6, At: Location{Key: 10, Offset: 73, Size: recordHeaderSize + 6}},
		{Message: Message{Place: 4, Sender: 2}, Envelope: 7, At: Location{Key: 11, Offset: 32, Size: recordHeaderSize + 7}},
		{Message: Message{Place: 5, Sender: 1}, Envelope: 8, At: Location{Key: 12, Offset: 32, Size: recordHeaderSize + 8}},
	}
	var q Queue
	cursors, _ := q.Restore(state, stored)
	if got := q.Dead(); !slices.Equal(got, []uint64{10}) {
		t.Errorf("dead %v, want 10", got)
	}
	if q.Len() != 2 || q.Bytes() != 15 {
		t.Errorf("%d messages wait with %d bytes, want 2 with 15", q.Len(), q.Bytes())
	}
	for i, want := range []Item{
		{Number: 4, At: Location{Key: 11, Offset: 32, Size: recordHeaderSize + 7}},
		{Number: 5, At: Location{Key: 12, Offset: 32, Size: recordHeaderSize + 8}},
	} {
		got, waits := q.Next(cursors[i], 0, math.MaxUint64)
		if !waits || got.Number != want.Number || got.At != want.At || got.Chunk.Key != want.At.Key || got.Chunk.Data != nil {
			t.Errorf("cursor %d: next %+v, want %+v", i, got, want)
		}
	}
}

// Messages behind a lock get their numbers from where it ended; if that is not known they wait, in order of arrival.
func TestQueueRestoreBehindLocks(t *testing.T) {
	at := func(key uint64) Location { return Location{Key: key, Offset: 32, Size: recordHeaderSize + 1} }
	stored := []Stored{
		{Message: Message{Place: 1, Sender: 1}, Envelope: 1, At: at(1)},
		{Message: Message{Lock: 4, Place: 0, Sender: 1}, Envelope: 1, At: at(2)},
		{Message: Message{Lock: 4, Place: 1, Sender: 2}, Envelope: 1, At: at(3)},
		{Message: Message{Place: 2, Sender: 1}, Envelope: 1, At: at(4)}, // committed by the holder, stored later
		{Message: Message{Place: 3, Sender: 1}, Envelope: 1, At: at(4)},
		{Message: Message{Lock: 5, Place: 0, Sender: 1}, Envelope: 1, At: at(5)},
		{Message: Message{Lock: 5, Place: 1, Sender: 1}, Envelope: 1, At: at(6)},
	}
	state := &State{
		LastLock: 4,
		Locks:    []LockStart{{Lock: 4, Start: 4, Count: 2}},
		Slots:    []SlotState{{Device: 1, First: 1, Next: 1}, {Device: 2, First: 1, Next: 1}},
	}
	var q Queue
	cursors, deferred := q.Restore(state, stored)
	var numbers []uint64
	for from := range uint64(10) {
		if item, waits := q.Next(cursors[1], from, from+1); waits {
			numbers = append(numbers, item.Number)
		}
	}
	if want := []uint64{1, 2, 3, 4}; !slices.Equal(numbers, want) {
		t.Errorf("device 2 waits for %v, want %v", numbers, want)
	}
	if item, _ := q.Next(cursors[0], 0, math.MaxUint64); item.Number != 5 || item.At != at(3) {
		t.Errorf("device 1 waits for %+v first, want 5", item)
	}
	if len(deferred) != 2 || deferred[0].At != at(5) || deferred[1].At != at(6) || deferred[1].Place != 1 || deferred[1].Lock != 5 {
		t.Fatalf("deferred: %+v", deferred)
	}
	if q.HasDead() {
		t.Error("a chunk with a deferred message is dead")
	}
	state.Locks, state.LastLock = nil, 5
	if _, deferred = q.Restore(state, stored); len(deferred) != 0 || q.Len() != 3 {
		t.Errorf("locks that ended long ago: %d messages wait and %d are deferred, want 3 and 0", q.Len(), len(deferred))
	}
	if dead := q.Dead(); len(dead) != 4 {
		t.Errorf("chunks of which nobody waits for anything: %v, want 4", dead)
	}
}

// A deferred message keeps its chunk, and is in nobody's queue before it has its place (B26).
func TestQueueHoldAndPlace(t *testing.T) {
	for _, storedFirst := range []bool{true, false} {
		t.Run(fmt.Sprintf("stored first %v", storedFirst), func(t *testing.T) {
			var q Queue
			one, two := q.Join(1, 1), q.Join(2, 1)
			chunk := NewChunk(d2m.GroupID{}, 0)
			m := Message{Lock: 1, Sender: 1, Envelope: []byte("four")}
			d := Deferred{Message: m, Chunk: chunk, At: chunk.Append(m)}
			q.Hold(chunk)
			if storedFirst {
				q.Stored(chunk, 9)
			}
			if q.HasDead() || q.Len() != 0 || q.Bytes() != 0 || q.AnyIn(0, math.MaxUint64) {
				t.Errorf("held: dead %v, %d messages wait", q.HasDead(), q.Len())
			}
			if !q.Place(5, &d) {
				t.Error("nobody waits for what was deferred")
			}
			if !storedFirst {
				q.Stored(chunk, 9)
			}
			item, waits := q.Next(two, 0, math.MaxUint64)
			if !waits || item.Number != 5 || item.At != (Location{Key: 9, Offset: d.At.Offset, Size: d.At.Size}) || chunk.End() != 6 {
				t.Errorf("device 2 waits for %+v", item)
			}
			if _, waits := q.Next(one, 0, math.MaxUint64); waits {
				t.Error("a device waits for what it has sent itself")
			}
			if q.Bytes() != 4 || q.HasDead() {
				t.Errorf("placed: %d bytes wait, dead %v", q.Bytes(), q.HasDead())
			}
			q.Ack(two, 5)
			if got := q.Dead(); !slices.Equal(got, []uint64{9}) {
				t.Errorf("dead %v, want 9", got)
			}
		})
	}
}

// A chunk with several deferred messages is let go once, with the last of them.
func TestQueueHoldCountsEachMessage(t *testing.T) {
	var q Queue
	q.Join(1, 1)
	chunk := NewChunk(d2m.GroupID{}, 0)
	var deferred []Deferred
	for place := range uint64(2) {
		m := Message{Lock: 1, Place: place, Sender: 1}
		deferred = append(deferred, Deferred{Message: m, Chunk: chunk, At: chunk.Append(m)})
		q.Hold(chunk)
	}
	q.Stored(chunk, 9)
	if q.Place(1, &deferred[0]) || q.HasDead() {
		t.Error("its only sender waits, or the chunk is dead too early")
	}
	if q.Place(2, &deferred[1]) {
		t.Error("its only sender waits")
	}
	if got := q.Dead(); !slices.Equal(got, []uint64{9}) {
		t.Errorf("dead %v, want 9", got)
	}
}

func TestQueueAnyIn(t *testing.T) {
	var q Queue
	c := q.Join(1, 1)
	chunk := NewChunk(d2m.GroupID{}, 0)
	for _, number := range []uint64{3, 5, 7} {
		q.Append(number, 2, chunk, chunk.Append(Message{}))
	}
	q.Ack(c, 5)
	for _, test := range []struct {
		start, end uint64
		want       bool
	}{
		{0, 3, false},
		{0, 4, true},
		{3, 4, true},
		{4, 7, false}, // 5 is acknowledged
		{5, 6, false},
		{4, 8, true},
		{7, 7, false},
		{8, math.MaxUint64, false},
	} {
		if got := q.AnyIn(test.start, test.end); got != test.want {
			t.Errorf("from %d up to %d: %v, want %v", test.start, test.end, got, test.want)
		}
	}
	q.Leave(c)
	if q.AnyIn(0, math.MaxUint64) {
		t.Error("somebody waits though nobody is left")
	}
}

// The lock whose record is gone was waited for by nobody: its messages do not come again, and they are not taken for those
// of the lock that is held when the server is killed.
func TestQueueRestoreTellsLocksApart(t *testing.T) {
	at := func(key uint64) Location { return Location{Key: key, Offset: 32, Size: recordHeaderSize + 1} }
	message := func(lock uint32, key uint64) Stored {
		return Stored{Message: Message{Lock: lock, Sender: 1}, Envelope: 1, At: at(key)}
	}
	state := &State{
		LastLock: 8,
		Locks:    []LockStart{{Lock: 7, Start: 20, Count: 1}},
		Slots:    []SlotState{{Device: 2, First: 1, Next: 1}},
	}
	var q Queue
	cursors, deferred := q.Restore(state, []Stored{message(6, 1), message(7, 2), message(8, 3), message(9, 4)})
	if item, waits := q.Next(cursors[0], 0, math.MaxUint64); !waits || item.Number != 20 || q.Len() != 1 {
		t.Errorf("waits for %+v, %d in all, want one with number 20", item, q.Len())
	}
	if len(deferred) != 1 || deferred[0].Lock != 9 || deferred[0].Envelope != nil {
		t.Errorf("deferred %+v, want that of lock 9", deferred)
	}
	if got := slices.Sorted(slices.Values(q.Dead())); !slices.Equal(got, []uint64{1, 3}) {
		t.Errorf("dead %v, want 1 and 3", got)
	}
}
