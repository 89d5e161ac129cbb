package model

import (
	"bytes"
	"slices"
	"time"

	"openmediator/d2m"
)

// stagedOverhead is what a staged message counts beside its envelope, bytes (B26).
const stagedOverhead = 64

// lock is the transaction lock while it is held. One that is being committed is held until that is stored (B27).
type lock struct {
	device d2m.DeviceID
	conn   *Conn
	scope  []byte
	until  time.Time
	staged []*Message // what its holder has reflected, in order

	committing bool
	gate       gate // of its end, if it is being committed
}

// holds says whether a connection holds the lock and has not committed.
func (m *Model) holds(c *Conn) bool { return m.lock != nil && m.lock.conn == c && !m.lock.committing }

// deferring says whether the others see nothing new (B26).
func (m *Model) deferring() bool { return m.lock != nil && !m.lock.committing }

// Committing says whether a connection is one of a device whose commit is not stored yet: what it sends waits (B27).
func (m *Model) Committing(c *Conn) bool {
	return m.lock != nil && m.lock.committing && c.slot != nil && c.slot.device == m.lock.device
}

// CertainLock says whether it is certain that the lock is held, or that it is free: it may be uncertain whether there is
// anything to be stored of a commit.
func (m *Model) CertainLock() bool {
	return m.lock == nil || !m.lock.committing || m.mustWait(m.lock.gate) == m.mayWait(m.lock.gate)
}

// Doubtful says, once, that something came in the middle of an event when the lock was not certain. What follows from
// that cannot be judged.
func (m *Model) Doubtful() bool {
	doubt := m.doubt
	m.doubt = false
	return doubt
}

// Staged returns how much is staged, each message counted 64 bytes more than its envelope (B26).
func (m *Model) Staged() int {
	if m.lock == nil {
		return 0
	}
	return m.lock.size()
}

func (l *lock) size() (size int) {
	for _, message := range l.staged {
		size += len(message.envelope) + stagedOverhead
	}
	return size
}

// stores returns how many bytes of what is staged are to be stored, and whether there is anything.
func (l *lock) stores() (bytes int, some bool) {
	for _, message := range l.staged {
		if !message.ephemeral {
			bytes, some = bytes+len(message.envelope), true
		}
	}
	return bytes, some
}

// SetCrowded says whether all groups together have staged what they may (B26).
func (m *Model) SetCrowded(crowded bool) { m.crowded = crowded }

// beginTransaction takes the lock for a connection, or tells it who has it (B24, B25, B29).
func (m *Model) beginTransaction(c *Conn, b d2m.BeginTransaction) {
	switch {
	case !m.CertainLock():
		m.doubt = true
	case m.lock == nil:
		m.takeLock(c, b)
	case m.lock.conn != c:
		m.reject(c)
	case slices.ContainsFunc(c.stream, isType(d2m.TypeBeginTransactionAck)):
		m.reach(BeganWhileAckWaits)
	default:
		m.reach(BeganTwice)
		m.detach(c, d2m.CloseProtocolError, m.here())
	}
}

func (m *Model) takeLock(c *Conn, b d2m.BeginTransaction) {
	m.reach(LockTaken)
	if slices.ContainsFunc(c.stream, isType(d2m.TypeReflected)) {
		m.reach(LockBehindReflected)
	}
	lasts := time.Duration(b.TTL) * time.Second
	switch {
	case b.TTL == 0:
		m.reach(TTLZero)
		lasts = m.config.MaxTTL
	case lasts > m.config.MaxTTL:
		m.reach(TTLTooLong)
		lasts = m.config.MaxTTL
	default:
		m.reach(TTLTaken)
	}
	m.lock = &lock{device: c.slot.device, conn: c, scope: bytes.Clone(b.Scope), until: m.now.Add(lasts)}
	m.place(c, d2m.BeginTransactionAck{}, m.here())
}

// reject tells a device who has the lock, and sees to it that it hears of the end after that (B25). Of a lock that is
// being committed it may have heard before; where it is not certain that it has not, it may or may not be told again.
func (m *Model) reject(c *Conn) {
	m.reach(RejectedLock)
	m.answer(c, d2m.TransactionRejected{DeviceID: m.lock.device, Scope: m.lock.scope}, nil)
	if !m.lock.committing {
		return
	}
	m.reach(RejectedDuringCommit)
	told := &item{gate: m.here(), frame: m.ended()}
	for _, i := range c.stream {
		switch {
		case !isType(d2m.TypeTransactionEnded)(i):
		case !i.optional && !m.changedAfter(i.must, false):
			return // it shows together with the rejection
		case !m.changedAfter(i.may, true):
			told.optional = true
		}
	}
	c.stream = append(c.stream, told)
}

// changedAfter says whether something durable has changed after an event and is not stored, certainly or perhaps.
func (m *Model) changedAfter(event int, certain bool) bool {
	return slices.ContainsFunc(m.changes, func(c change) bool { return c.event > event && (c.certain || !certain) })
}

func (m *Model) ended() d2m.TransactionEnded {
	return d2m.TransactionEnded{DeviceID: m.lock.device, Scope: m.lock.scope}
}

// stage keeps what the holder reflects, and acknowledges it at once (B26).
func (m *Model) stage(c *Conn, r d2m.Reflect) {
	message := &Message{sender: c.slot.device, ephemeral: r.Ephemeral(), envelope: bytes.Clone(r.Envelope)}
	full := m.lock.size()+len(r.Envelope)+stagedOverhead > m.config.StagedBytes
	if full || m.crowded {
		if full {
			m.reach(StagedTooMuch)
		} else {
			m.reach(StagedCrowded)
		}
		m.latest = max(m.latest, unixMilli(m.now), m.stamp)
		m.detach(c, d2m.CloseProtocolError, m.here())
		return
	}
	m.lazily()
	m.accept(message)
	message.staged = true
	m.lock.staged = append(m.lock.staged, message)
	if message.ephemeral {
		m.reach(StagedEphemeral)
		return
	}
	m.reach(StagedMessage)
	m.answer(c, d2m.ReflectAck{ID: r.ID}, message)
}

// deferReflect stores and acknowledges what another device reflects while the lock is held, and shows it to nobody (B26).
func (m *Model) deferReflect(c *Conn, r d2m.Reflect, message *Message) {
	m.reach(DeferredMessage)
	m.change(true)
	m.accept(message)
	message.stored = true
	m.accepted = append(m.accepted, message)
	m.putOff(message)
	m.answer(c, d2m.ReflectAck{ID: r.ID}, message)
	m.limitQueues()
}

// putOff puts a message behind the lock.
func (m *Model) putOff(message *Message) {
	message.ordinal = len(m.deferred)
	m.deferred = append(m.deferred, message)
}

const (
	// keptEphemerals is of the deferred ephemerals the last that are kept, bytes of envelopes (B26); an ephemeral counts
	// leastEphemeral at least (B44).
	keptEphemerals = 64 << 10
	leastEphemeral = 16
)

// deferEphemeral keeps an ephemeral until the lock ends, if there are not too many after it (B20, B26).
func (m *Model) deferEphemeral(message *Message) {
	m.reach(DeferredEphemeral)
	m.lazily()
	m.accept(message)
	m.putOff(message)
	kept := 0
	for _, e := range slices.Backward(m.deferred) {
		if !e.ephemeral || e.lost {
			continue
		}
		kept += max(len(e.envelope), leastEphemeral)
		if kept > keptEphemerals {
			m.reach(DeferredEphemeralLost)
			e.lost = true
		}
	}
}

// storedDeferred are the deferred messages that a claim finds.
func storedDeferred(deferred []*Message) []*Message {
	return slices.DeleteFunc(slices.Clone(deferred), func(message *Message) bool { return message.ephemeral })
}

// commit makes all that is staged a part of the queue, in one step (B27).
func (m *Model) commit(c *Conn) {
	if m.lock == nil || m.lock.conn != c {
		m.reach(CommitWithoutLock)
		m.detach(c, d2m.CloseProtocolError, m.here())
		return
	}
	bytes, some := m.lock.stores()
	some = some && len(m.slots) > 1
	if some && bytes > 0 && m.beyondLimit(bytes) {
		m.reach(CommitWithoutRoom)
		m.detach(c, d2m.CloseInternal, m.here())
		return
	}
	m.reach(Committed)
	g := gate{m.event - 1, m.event}
	if !some {
		m.reach(CommittedNothing)
	}
	if some || len(storedDeferred(m.deferred)) > 0 {
		g = m.here()
		m.change(true)
	}
	for _, message := range m.lock.staged {
		m.publishStaged(message, g)
	}
	m.answerCommit(c, g)
	m.lock.committing = true
	m.tellEnd(g)
	m.release(g)
	m.lock.gate = m.here()
	m.settleLock()
}

func (m *Model) publishStaged(message *Message, g gate) {
	if message.ephemeral {
		m.sendEphemeral(message, g)
		return
	}
	if len(m.slots) > 1 {
		m.draw(true)
		m.number(message)
		message.stored = true
		m.accepted = append(m.accepted, message)
		m.enqueue(message)
	}
}

// answerCommit owes CommitTransactionAck: ahead of the stream, unless the BeginTransactionAck is still there (B27, B38).
func (m *Model) answerCommit(c *Conn, g gate) {
	i := &item{gate: g, frame: d2m.CommitTransactionAck{}, size: d2m.HeaderSize}
	if slices.ContainsFunc(c.stream, isType(d2m.TypeBeginTransactionAck)) {
		m.reach(CommitAckBehindBeginAck)
		c.stream = append(c.stream, i)
		return
	}
	c.ahead = append(c.ahead, i)
}

// begun notes that a BeginTransactionAck was handed over. A CommitTransactionAck that does not show yet then goes ahead;
// if it may show, either is right.
func (m *Model) begun(c *Conn) {
	n := slices.IndexFunc(c.stream, isType(d2m.TypeCommitTransactionAck))
	if n < 0 || slices.ContainsFunc(c.stream[:n], isType(d2m.TypeBeginTransactionAck)) {
		return
	}
	i := c.stream[n]
	switch {
	case m.mustWait(i.gate):
		c.toAhead(n)
	case m.mayWait(i.gate):
		i.either = true
	}
}

// toAhead moves a frame of the stream ahead of it, before what was answered later.
func (c *Conn) toAhead(n int) {
	i := c.stream[n]
	c.stream = slices.Delete(c.stream, n, n+1)
	at := slices.IndexFunc(c.ahead, func(later *item) bool { return later.must > i.may })
	if at < 0 {
		at = len(c.ahead)
	}
	c.ahead = slices.Insert(c.ahead, at, i)
}

// loseStream takes the stream from a connection. What may be ahead of it may still come.
func (c *Conn) loseStream() {
	for n := len(c.stream) - 1; n >= 0; n-- {
		if c.stream[n].either {
			c.stream[n].optional = true
			c.toAhead(n)
		}
	}
	c.stream = nil
}

// tellEnd tells all that the lock's end is due (B27, B28).
func (m *Model) tellEnd(g gate) {
	for _, s := range m.slots {
		if s.conn != nil && s.conn != m.lock.conn {
			if slices.ContainsFunc(s.conn.stream, isType(d2m.TypeTransactionEnded)) {
				m.reach(EndedTwiceWaiting)
			}
			m.place(s.conn, m.ended(), g)
		}
	}
}

// superseded says whether a TransactionEnded is left out because a later one waits (B21), or may be.
func (m *Model) superseded(stream []*item, i *item) (sure, perhaps bool) {
	if !isType(d2m.TypeTransactionEnded)(i) {
		return false, false
	}
	for _, later := range stream[slices.Index(stream, i)+1:] {
		if isType(d2m.TypeTransactionEnded)(later) {
			sure = sure || !later.optional && !m.mayWait(later.gate)
			perhaps = perhaps || !m.mustWait(later.gate)
		}
	}
	return sure, perhaps
}

// release gives their place to the messages that were deferred, in order (B26). If some are stored, that is to be stored,
// and all stand behind it; else they stand behind g.
func (m *Model) release(g gate) {
	deferred := m.deferred
	m.deferred = nil
	added := m.lock != nil // by the commit
	if len(storedDeferred(deferred)) > 0 {
		m.change(true)
		added, g = true, m.here()
	}
	for _, message := range deferred {
		switch {
		case message.lost:
			m.draw(false)
		case message.ephemeral:
			m.reach(DeferredEphemeralOut)
			m.sendEphemeral(message, g)
		default:
			m.reach(DeferredOut)
			m.draw(true)
			m.number(message)
			m.enqueue(message)
		}
	}
	if added {
		m.limitQueues()
	}
}

// abort ends the lock without a commit: what was staged is gone (B28).
func (m *Model) abort() {
	if len(m.lock.staged) > 0 {
		m.reach(StagedGone)
	}
	g := gate{m.event - 1, m.event}
	m.tellEnd(g)
	m.lock = nil
	m.release(g)
}

// settleLock ends a lock whose commit is stored, and takes what its device has sent behind it (B27).
func (m *Model) settleLock() {
	if m.lock == nil || !m.lock.committing {
		return
	}
	s := m.slot(m.lock.device)
	if m.mayWait(m.lock.gate) {
		if !m.mustWait(m.lock.gate) && s != nil && s.conn != nil && len(s.conn.backlog) > 0 {
			m.doubt = true
		}
		return
	}
	m.lock = nil
	if s == nil || s.conn == nil {
		m.reach(CommitOutlivesHolder)
		return
	}
	c := s.conn
	backlog := c.backlog
	c.backlog = nil
	for _, frame := range backlog {
		m.Receive(m.now, c, frame)
	}
}

// Close ends a connection for a reason that the group does not know.
func (m *Model) Close(now time.Time, c *Conn, code d2m.CloseCode) {
	m.begin(now)
	if c.slot == nil {
		return
	}
	if m.holds(c) {
		m.reach(HolderClosed)
	}
	m.detach(c, code, m.here())
}

// expireLock ends a transaction whose time has run out (B28). One that is being committed has made it.
func (m *Model) expireLock() {
	switch {
	case m.lock == nil || m.lock.until.After(m.now):
	case m.lock.committing:
		m.reach(TTLDuringCommit)
	default:
		m.reach(TTLRanOut)
		m.detach(m.lock.conn, d2m.CloseTransactionExpired, m.here())
	}
}

func isType(t d2m.Type) func(*item) bool {
	return func(i *item) bool { return i.frame.Type() == t }
}
