package devicegroup

import (
	"cmp"
	"slices"
	"time"

	"openmediator/d2m"
	"openmediator/reflect"
	"openmediator/transactions"
)

// locking is the group's transaction lock and what waits for its end.
type locking struct {
	lock       *transactions.Lock // nil while it is free
	holder     *Conn              // of lock
	committing bool               // the commit has been taken and is not durable yet

	deferred      []reflect.Deferred // reflected by other devices while the lock is held, in order
	deferredBytes int64

	lastLock uint32              // highest number of a lock that has been taken, or of one with stored messages
	ended    uint32              // highest number of a lock that has ended
	starts   []reflect.LockStart // of ended locks whose deferred messages somebody waits for
	crowded  bool                // all groups together have staged what they may (B26)
}

// held says whether the others must not see anything new (B26). What arrives once a commit has been taken comes behind it
// anyway.
func (g *Group) held() bool { return g.lock != nil && !g.committing }

// begin takes the lock for c, or says who has it (B24, B25).
func (g *Group) begin(c *Conn, b d2m.BeginTransaction) {
	switch {
	case g.lock == nil:
		g.lastLock++
		g.lock = transactions.Begin(g.now, g.lastLock, c.slot.device, b.Scope, b.TTL, g.config.MaxTTL)
		g.holder = c
		g.tally.Begun++
		c.begins++
		g.emit(effect{kind: effectPlace, conn: c, mark: markBegin, frame: d2m.BeginTransactionAck{}.Append(nil)})
	case g.holder != c:
		g.reject(c)
	case c.begins == 0:
		g.detach(c, Close{d2m.CloseProtocolError, "BeginTransaction: this device holds the lock already"})
	}
}

// reject says who has the lock (B25). The device then waits for TransactionEnded; while a commit is being written, that
// may have been told before c came, or be due before the rejection is: then it is told again.
func (g *Group) reject(c *Conn) {
	rejected := d2m.TransactionRejected{DeviceID: g.lock.Holder, Scope: g.lock.Scope}
	g.emit(effect{kind: effectAnswer, conn: c, frame: rejected.Append(nil)})
	comes := func(e effect) bool { return e.conn == c && e.mark == markEnded && e.after >= g.gate() }
	if g.committing && !slices.ContainsFunc(g.waiting, comes) {
		g.emit(g.ending(c))
	}
}

// stage keeps what the holder reflects until the commit, and acks it at once (B26).
func (g *Group) stage(c *Conn, r d2m.Reflect) {
	m := transactions.Staged{
		Ephemeral: r.Flags&d2m.FlagEphemeral != 0,
		Timestamp: g.stamp(),
		Envelope:  r.Envelope,
	}
	err := g.lock.Stage(m, g.config.StagedBytes)
	if err == nil && g.crowded {
		err = transactions.ErrStagedLimit
	}
	if err != nil {
		g.note(StagedLimit)
		g.detach(c, Close{d2m.CloseProtocolError, err.Error()})
		return
	}
	g.storeLazily()
	if m.Ephemeral {
		g.tally.Ephemerals++
	} else {
		g.tally.Reflected++
		g.emit(effect{kind: effectAck, conn: c, number: uint64(r.ID), timestamp: m.Timestamp})
	}
}

// deferReflect stores what another device reflects while the lock is held; it is delivered when the lock has ended (B26).
func (g *Group) deferReflect(c *Conn, r d2m.Reflect, timestamp uint64) {
	m := reflect.Message{
		Lock:      g.lock.Number,
		Place:     g.lock.Defer(),
		Timestamp: timestamp,
		Sender:    c.slot.device,
		Envelope:  r.Envelope,
	}
	chunk := g.storeMessage(len(r.Envelope))
	at := chunk.Append(m)
	m.Envelope = nil
	g.queue.Hold(chunk)
	g.deferred = append(g.deferred, reflect.Deferred{Message: m, Chunk: chunk, At: at})
	g.deferredBytes += int64(len(r.Envelope))
	for _, s := range g.slots {
		if s.device != m.Sender {
			s.deferred++
			s.deferredBytes += int64(len(r.Envelope))
		}
	}
}

// commit makes everything staged a part of the queue (B27).
func (g *Group) commit(c *Conn, _ d2m.CommitTransaction) {
	if g.holder != c || g.lock == nil {
		g.detach(c, Close{d2m.CloseProtocolError, misplaced(d2m.TypeCommitTransaction).Error()})
		return
	}
	if bytes := g.lock.StoredBytes(); len(g.slots) > 1 && bytes > 0 && !g.roomFor(bytes) {
		g.note(GroupLimit)
		g.detach(c, Close{d2m.CloseInternal, "storage limit reached"})
		return
	}
	g.committing = true
	c.committing = true
	if g.commitStores() {
		g.urgent = true // nothing of it, an ephemeral in front either, goes out if the rest fails
	}
	for _, m := range g.lock.Staged() {
		g.publishStaged(c, m)
	}
	g.emit(effect{kind: effectCommitted, conn: c, frame: d2m.CommitTransactionAck{}.Append(nil)})
	g.tellEnd()
	g.placeDeferred()
	g.emit(effect{kind: effectUnlock})
}

// commitStores says whether a commit has anything to store.
func (g *Group) commitStores() bool {
	stored := func(m transactions.Staged) bool { return !m.Ephemeral }
	return len(g.deferred) > 0 || len(g.slots) > 1 && slices.ContainsFunc(g.lock.Staged(), stored)
}

func (g *Group) publishStaged(c *Conn, m transactions.Staged) {
	switch {
	case m.Ephemeral:
		g.sendEphemeral(c.slot.device, g.draw(), m.Timestamp, m.Envelope)
	case len(g.slots) > 1:
		end := g.enqueue(c.slot.device, m.Timestamp, m.Envelope)
		g.emit(effect{kind: effectPublish, number: end})
	}
}

// abort ends the lock without a commit: what was staged is gone (B28).
func (g *Group) abort() {
	g.tally.Aborted++
	g.tellEnd()
	g.placeDeferred()
	g.unlock()
}

// unlock makes the lock free.
func (g *Group) unlock() {
	g.lock, g.holder, g.committing = nil, nil, false
}

// tellEnd sends TransactionEnded to all but the holder, behind what they have been given by then (B27, B28).
func (g *Group) tellEnd() {
	for _, s := range g.slots {
		if s.conn != nil && s.conn != g.holder {
			g.emit(g.ending(s.conn))
		}
	}
}

// ending is the TransactionEnded of the lock for a connection.
func (g *Group) ending(c *Conn) effect {
	frame := d2m.TransactionEnded{DeviceID: g.lock.Holder, Scope: g.lock.Scope}.Append(nil)
	return effect{kind: effectPlace, conn: c, mark: markEnded, frame: frame}
}

// placeDeferred gives their numbers to what other devices have sent behind the lock (B26).
func (g *Group) placeDeferred() {
	added := g.committing || len(g.deferred) > 0
	start := g.endLock(g.lock.Number, g.lock.Deferred(), len(g.deferred) > 0)
	for i := range g.deferred {
		d := &g.deferred[i]
		g.queue.Place(start+d.Place, d)
		g.emit(effect{kind: effectPublish, number: start + d.Place + 1})
	}
	for _, e := range g.lock.Ephemerals() { // their numbers place them between the others
		g.sendEphemeral(e.Sender, start+e.Ordinal, e.Timestamp, e.Envelope)
	}
	g.deferred, g.deferredBytes = nil, 0
	for _, s := range g.slots {
		s.deferred, s.deferredBytes = 0, 0
	}
	if added { // else nobody's queue is longer than before
		g.limitQueues()
	}
}

// endLock draws the numbers of what is deferred behind a lock and returns the first of them. If messages are stored
// behind it, the start is stored, too.
func (g *Group) endLock(number uint32, count uint64, stored bool) (start uint64) {
	start = g.next
	for range count {
		g.draw()
	}
	if stored {
		g.ended = number
		g.starts = append(g.starts, reflect.LockStart{Lock: number, Start: start, Count: count})
		g.storeState()
	}
	return start
}

// livingStarts returns the starts that are still needed to number what is stored.
func (g *Group) livingStarts() []reflect.LockStart {
	g.starts = slices.DeleteFunc(g.starts, func(l reflect.LockStart) bool {
		return !g.queue.AnyIn(l.Start, l.Start+l.Count)
	})
	return g.starts
}

// restoreDeferred numbers what was deferred behind locks that were held when the server ended (B26, B28).
func (g *Group) restoreDeferred(deferred []reflect.Deferred) {
	slices.SortStableFunc(deferred, func(a, b reflect.Deferred) int { return cmp.Compare(a.Lock, b.Lock) })
	for len(deferred) > 0 {
		lock, count := deferred[0].Lock, uint64(0)
		n := 0
		for ; n < len(deferred) && deferred[n].Lock == lock; n++ {
			count = max(count, deferred[n].Place+1)
		}
		start := g.endLock(lock, count, true)
		for i := range deferred[:n] {
			g.queue.Place(start+deferred[i].Place, &deferred[i])
		}
		g.lastLock = max(g.lastLock, lock)
		deferred = deferred[n:]
	}
	g.emit(effect{kind: effectPublish, number: g.next})
}

// expireLock ends the transaction whose time has run out (B28). One that is being committed has made it.
func (g *Group) expireLock() {
	if g.lock != nil && !g.committing && !g.lock.Deadline.After(g.now) {
		g.detach(g.holder, Close{d2m.CloseTransactionExpired, "transaction time-to-live reached"})
	}
}

// lockDeadline returns when the lock's time runs out.
func (g *Group) lockDeadline() (time.Time, bool) {
	if g.lock == nil || g.committing {
		return time.Time{}, false
	}
	return g.lock.Deadline, true
}

// Locked says whether a transaction is under way.
func (g *Group) Locked() bool { return g.lock != nil }

// Staged returns how much the group has staged, in bytes, each message counted 64 bytes more than its envelope (B26).
func (g *Group) Staged() int {
	if g.lock == nil {
		return 0
	}
	return g.lock.Size()
}

// SetCrowded says whether all groups together have staged what they may: then a transaction that stages more is over.
func (g *Group) SetCrowded(crowded bool) { g.crowded = crowded }
