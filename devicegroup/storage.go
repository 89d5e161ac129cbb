package devicegroup

import (
	"slices"
	"time"

	"openmediator/reflect"
)

const (
	// numberBlock is by how many numbers the stored bound is ahead of those drawn (B14).
	numberBlock = 1024

	// lazyAfter is how long what is written lazily may wait for a commit that is due anyway (B17).
	lazyAfter = 500 * time.Millisecond

	// maxChunkGuess bounds the memory that is allocated for a chunk ahead of its messages, bytes.
	maxChunkGuess = 16 << 10
)

// storage is what a group has to write and where the writing stands. At most one batch is in flight; meanwhile the next
// one is collected.
type storage struct {
	urgent bool           // something is collected that visible effects wait for
	state  bool           // the state belongs to it
	erase  bool           // so does the end of all that was stored before
	full   bool           // the whole store has reached its limit (B22)
	failed bool           // the group is dead (B43)
	lazy   bool           // the state has changed in a way that can wait
	since  time.Time      // when it did; zero: it should not wait any longer
	chunk  *reflect.Chunk // messages collected
	guess  int            // bytes of the chunk before: the next one is often as large
	blobs  []reflect.Blob // blobs collected

	flight      *reflect.Batch // handed out by Seal
	flightChunk *reflect.Chunk
	sealed      uint64 // batches handed out that effects wait for
	durable     uint64 // of these, how many are stored

	bound uint64 // numbers below it are reserved by what is stored or collected

	failure Close // how its connections end

	tail      []tailChunk // stored lately and still in memory, oldest first
	tailBytes int
}

// draw returns the next number of the group's sequence, reserved durably before it can show (B14).
func (g *Group) draw() uint64 {
	n := g.next
	g.next++
	if n >= g.bound {
		g.bound = n + numberBlock
		g.storeState()
	}
	return n
}

func (g *Group) storeState()  { g.urgent, g.state = true, true }
func (g *Group) storeShared() { g.storeBlob(reflect.Blob{Shared: true, Data: g.shared}) }
func (g *Group) storeInfo(s *slot) {
	g.storeBlob(reflect.Blob{Device: s.device, Data: s.info})
}

// storeBlob collects a blob; of one that was collected already only the last counts.
func (g *Group) storeBlob(b reflect.Blob) {
	g.urgent = true
	for i := range g.blobs {
		if g.blobs[i].Shared == b.Shared && g.blobs[i].Device == b.Device {
			g.blobs[i] = b
			return
		}
	}
	g.blobs = append(g.blobs, b)
}

// forget collects the end of a slot; with the last one everything goes (B34).
func (g *Group) forget(s *slot) {
	g.storeState()
	g.storeBlob(reflect.Blob{Device: s.device})
	if len(g.slots) == 0 {
		g.erase = true
		g.shared = nil
		g.blobs = nil
	}
}

// storeMessage returns the chunk that the next message is to be appended to.
func (g *Group) storeMessage(envelope int) *reflect.Chunk {
	g.urgent = true
	if g.chunk == nil {
		g.chunk = reflect.NewChunk(g.id, max(envelope+128, min(g.guess, maxChunkGuess)))
	}
	return g.chunk
}

// storeLazily notes that the state has changed, and may be written within a second (B17).
func (g *Group) storeLazily() {
	if !g.lazy {
		g.lazy = true
		g.since = g.now
	}
}

// storeSoon notes that the state has changed, and nothing waits for it, but it should not wait either.
func (g *Group) storeSoon() { g.lazy, g.since = true, time.Time{} }

// Need says how urgently a group wants Seal to be called.
type Need uint8

const (
	NeedNothing Need = iota
	NeedLater        // within a second
	NeedNow
)

// Needs returns how urgently Seal is to be called. While a batch is in flight it is not.
func (g *Group) Needs() Need {
	switch {
	case g.failed || g.flight != nil:
		return NeedNothing
	case g.urgent || g.lazy && g.since.IsZero():
		return NeedNow
	case g.lazy:
		return NeedLater
	}
	return NeedNothing
}

// Seal returns what is to be stored next, or nil. Until Committed is called with it, Seal returns nil. What can wait is
// left out while it is younger than half a second, unless all is asked for.
func (g *Group) Seal(now time.Time, all bool) *reflect.Batch {
	if g.failed || g.flight != nil {
		return nil
	}
	due := g.lazy && (all || now.Sub(g.since) >= lazyAfter)
	if !g.urgent && !due {
		return nil
	}
	b := &reflect.Batch{Group: g.id, Epoch: g.epoch, Erase: g.erase, Blobs: g.blobs}
	if g.urgent {
		g.sealed++
	}
	if len(g.slots) > 0 {
		g.sealContent(b, due)
	} else {
		g.sealEnd(b)
	}
	g.flight, g.flightChunk = b, g.chunk
	g.urgent, g.state, g.erase, g.chunk, g.blobs = false, false, false, nil, nil
	return b
}

// sealEnd makes b the end of a group that has no slots any more.
func (g *Group) sealEnd(b *reflect.Batch) {
	*b = reflect.Batch{Group: b.Group, Epoch: b.Epoch, Erase: true}
	g.lazy = false
	g.queue.Dead()
}

// sealContent fills in what a group with slots stores.
func (g *Group) sealContent(b *reflect.Batch, due bool) {
	if g.chunk != nil {
		b.Chunk = g.chunk.Data
		g.guess = len(b.Chunk)
	}
	if g.urgent && g.bound-g.next < numberBlock/2 {
		g.bound = g.next + numberBlock
		g.state = true
	}
	if !g.state && !due {
		return
	}
	g.lazy = false
	if !g.anyConnected() {
		g.bound = g.next // nobody is left to draw: who claims the group next knows which numbers were drawn (B19)
	}
	b.Delete = g.queue.Dead()
	b.State = g.encodeState()
}

func (g *Group) anyConnected() bool {
	return slices.ContainsFunc(g.slots, func(s *slot) bool { return s.conn != nil })
}

func (g *Group) encodeState() []byte {
	state := reflect.State{
		LastTimestamp: g.stamped,
		Bound:         g.bound,
		LastLock:      g.ended,
		Locks:         g.livingStarts(),
		Slots:         make([]reflect.SlotState, len(g.slots)),
	}
	for i, s := range g.slots {
		out := &state.Slots[i]
		out.Device = s.device
		out.Expiration = s.expiration
		out.Connected = s.conn != nil
		out.Confirmed = s.confirmed
		out.Since = s.since
		s.cursor.Save(out)
	}
	return state.Append(nil)
}

// Committed takes the store's answer to the batch that Seal gave. With an error the group is dead: nothing that waited
// for it is shown, all connections are closed, and the group has to be claimed again (B43).
func (g *Group) Committed(now time.Time, b *reflect.Batch, err error) {
	g.now = now
	chunk := g.flightChunk
	g.flight, g.flightChunk = nil, nil
	if err != nil {
		g.Fail(err)
		return
	}
	if chunk != nil && b.Chunk != nil {
		g.queue.Stored(chunk, b.Key)
		g.keep(chunk)
	}
	g.durable = g.sealed
	g.release()
	g.replayBacklogs()
	if g.queue.HasDead() {
		g.storeLazily()
	}
}
