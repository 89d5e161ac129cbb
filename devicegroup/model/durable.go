package model

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"openmediator/d2m"
)

// lazyAfter is how old what is written lazily may be when a commit leaves it out (B17).
const lazyAfter = 500 * time.Millisecond

// lazies says what is to be written lazily.
type lazies struct {
	some bool
	soon bool // a connection has ended: it is not to wait
	from time.Time
}

// lazily notes that something changed that may be written within a second.
func (m *Model) lazily() {
	if !m.lazies.some {
		m.lazies.some, m.lazies.from = true, m.now
	}
}

// due says whether what is written lazily has to be in a commit that is sealed now.
func (m *Model) due(now time.Time, all bool) bool {
	l := m.lazies
	return len(m.slots) > 0 && (l.soon || l.some && (all || now.Sub(l.from) >= lazyAfter))
}

// Record is a message as a commit stores it.
type Record struct {
	Sender    d2m.DeviceID
	Timestamp uint64 // Unix milliseconds
	Envelope  []byte
}

// Unsealed checks that there was nothing to be stored, lazily or not.
func (m *Model) Unsealed(now time.Time, all bool) error {
	if slices.ContainsFunc(m.changes, func(c change) bool { return c.certain }) {
		return fmt.Errorf("B15: something durable is not to be stored")
	}
	if m.due(now, all) {
		return fmt.Errorf("B17: what is written lazily is not to be stored")
	}
	return nil
}

// Sealed notes that all that has happened goes into one commit, and which messages it appends. lazily says whether it
// holds what is written lazily, all whether that was asked for. It returns whose records these are.
func (m *Model) Sealed(now time.Time, all bool, records []Record, lazily bool) ([]*Message, error) {
	if !lazily && m.due(now, all) {
		return nil, fmt.Errorf("B17: what is written lazily is left out")
	}
	messages, err := m.recorded(records)
	if err != nil {
		return nil, err
	}
	m.flight = m.state.sealed(lazily, m.durable.stamp)
	for i, message := range messages {
		m.learnTime(message, records[i].Timestamp)
		m.flight.stamp = max(m.flight.stamp, records[i].Timestamp)
	}
	m.accepted = nil
	m.flightEnds = m.event
	if lazily {
		m.lazies = lazies{}
	}
	return messages, nil
}

// recorded finds the messages of records: what was accepted since the commit before, each once (B17), and no ephemeral
// (B20). One that nobody waits for any more may be left out.
func (m *Model) recorded(records []Record) (messages []*Message, err error) {
	rest := m.accepted
	for i, r := range records {
		for len(rest) > 0 && !rest[0].is(r) && !m.WaitedFor(rest[0]) {
			rest = rest[1:]
		}
		if len(rest) == 0 || !rest[0].is(r) {
			return nil, fmt.Errorf("B17: record %d of a commit is not of a message that is to be stored", i)
		}
		if err := m.checkTime(rest[0], r.Timestamp); err != nil {
			return nil, err
		}
		messages = append(messages, rest[0])
		rest = rest[1:]
	}
	for _, message := range rest {
		if m.WaitedFor(message) {
			return nil, fmt.Errorf("B15: a message is missing in the commit")
		}
	}
	return messages, nil
}

func (m *Message) is(r Record) bool {
	return m.sender == r.Sender && bytes.Equal(m.envelope, r.Envelope)
}

// sealed copies a state as a commit stores it. Without what is written lazily, that stays as it was stored before.
func (s *state) sealed(lazily bool, stamp uint64) state {
	copied := state{shared: bytes.Clone(s.shared), stamp: s.stamp, order: s.order, deferred: storedDeferred(s.deferred)}
	if !lazily && len(s.slots) > 0 {
		copied.stamp = stamp
	}
	for _, from := range s.slots {
		if lazily {
			from.written, from.unwritten = from.presence, nil
		}
		copied.slots = append(copied.slots, &slot{
			device:     from.device,
			expiration: from.expiration,
			info:       from.info,
			queue:      merge(from.queue, from.unwritten),
			presence:   from.written,
		})
	}
	return copied
}

// merge puts two lists of messages into one, in the order of acceptance.
func merge(a, b []*Message) []*Message {
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(x, y *Message) int { return x.place - y.place })
	return all
}

// Shown notes that nothing of what has happened waits for the store: all that is owed shows. It returns an error if
// something has to.
func (m *Model) Shown() error {
	if slices.ContainsFunc(m.changes, func(c change) bool { return c.certain }) {
		return fmt.Errorf("B15: something durable is not to be stored")
	}
	m.changes = nil
	for _, c := range m.conns {
		c.stream = slices.DeleteFunc(c.stream, func(i *item) bool { return i.lost && i.may == m.event })
	}
	m.settleLock()
	return nil
}

// Stored notes that the commit that was sealed is done. What was sent behind a CommitTransaction is handled then.
func (m *Model) Stored(now time.Time) {
	m.begin(now)
	m.durable = m.flight
	m.changes = slices.DeleteFunc(m.changes, func(c change) bool { return c.event <= m.flightEnds })
	m.flightEnds = 0
	m.settleLock()
}

// Failed notes that the store did not do what it was asked. The commit in progress, if there is one, may be stored all
// the same. The group is dead: what was not shown never is, and every connection ends with code (B43).
func (m *Model) Failed(stored bool, code d2m.CloseCode) {
	m.reach(StoreFailed)
	if m.flightEnds > 0 && stored {
		m.reach(FailedButStored)
		m.durable = m.flight
	}
	m.flightEnds = 0
	m.failure = code
	m.reachLost(FailedWithLock, FailedDuringCommit)
	m.lock, m.deferred = nil, nil
	for _, c := range m.conns {
		m.abandon(c)
	}
	m.changes = nil
}

// abandon ends a connection of a group that has failed.
func (m *Model) abandon(c *Conn) {
	c.ahead = slices.DeleteFunc(c.ahead, func(i *item) bool { return m.mustWait(i.gate) })
	for _, i := range c.ahead {
		i.optional = i.optional || m.mayWait(i.gate)
	}
	c.loseStream()
	c.slot, c.backlog = nil, nil
	codes := []d2m.CloseCode{m.failure}
	if e := c.ending; e != nil && !m.mustWait(e.gate) {
		codes = e.codes
		if m.mayWait(e.gate) {
			codes = append(codes, m.failure)
		}
	} else if e != nil {
		m.reach(CloseNotDurable)
	}
	c.ending = &closing{codes: codes}
}

// Claim begins again with what is stored, after Failed or after a crash, of which nobody was told. left is when devices
// count as gone that were connected when the group was last stored (B31). stored says whether a commit in progress was
// stored.
func (m *Model) Claim(left time.Time, stored bool) {
	if m.flightEnds > 0 && stored {
		m.durable = m.flight
	}
	if m.failure == 0 {
		m.reach(Crashed)
		m.reachLost(CrashedWithLock, CrashedDuringCommit)
	}
	m.begin(left)
	m.countLostAcks()
	m.restore(unixMilli(left))
	m.life++
	m.order.claim()
	if len(m.slots) == 0 {
		m.order = m.order.successor()
	}
	m.changes, m.accepted, m.flightEnds, m.lazies, m.failure = nil, nil, 0, lazies{}, 0
	m.conns, m.leader, m.dry = nil, nil, nil
	m.lock, m.doubt = nil, false
	m.releaseRestored()
}

// reachLost notes what a crash or a failure does to a transaction.
func (m *Model) reachLost(held, committing Case) {
	switch {
	case m.lock == nil:
	case m.lock.committing:
		m.reach(committing)
	default:
		m.reach(held)
	}
}

// releaseRestored gives their place to the messages that were deferred behind a lock of before (B26). There were others
// between them, perhaps.
func (m *Model) releaseRestored() {
	deferred := m.deferred
	m.deferred = nil
	place := 0
	for _, message := range deferred {
		m.reach(DeferredAfterClaim)
		m.change(true)
		for ; place < message.ordinal; place++ {
			m.draw(false)
		}
		place++
		m.draw(true)
		m.number(message)
		m.enqueue(message)
	}
}

func (m *Model) countLostAcks() {
	for _, from := range m.durable.slots {
		s := m.slot(from.device)
		if s != nil && slices.ContainsFunc(from.queue, func(message *Message) bool { return !s.waitsFor(message) }) {
			m.reach(AcksLost)
		}
	}
}

// restore makes the state what is stored. The times of those that were connected are the last known.
func (m *Model) restore(left uint64) {
	m.state = state{shared: bytes.Clone(m.durable.shared), stamp: m.durable.stamp, order: m.durable.order}
	m.deferred = slices.Clone(m.durable.deferred)
	for _, from := range m.durable.slots {
		s := &slot{
			device:     from.device,
			expiration: from.expiration,
			info:       from.info,
			queue:      slices.Clone(from.queue),
			presence:   from.presence,
			written:    from.presence,
		}
		if s.connected {
			s.connected, s.since = false, max(s.since, left)
		}
		m.slots = append(m.slots, s)
	}
}
