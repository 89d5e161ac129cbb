package history

import (
	"cmp"
	"slices"
	"time"
)

// bound is when a message had its place in the order at the latest.
type bound struct {
	message *message
	at      time.Duration
	shown   place
}

// placeAfter returns the time after which a message got its place: when it was sent, or its transaction committed.
func (m *message) placeAfter() time.Duration {
	if t := m.staged(); t != nil && t.kept {
		return t.commitAt
	}
	return m.sentAt
}

// placeBefore returns the time before which a message that somebody has received got its place. An ack shows that only of
// one that was neither staged nor held back.
func (c *checker) placeBefore(m *message) bound {
	b := bound{m, c.history.at(m.receivedAt).At, m.receivedAt}
	t := m.transaction
	switch {
	case t != nil && t.answer == granted && t.acked:
		if at := c.history.at(t.ackedAt).At; at < b.at {
			b.at, b.shown = at, t.ackedAt
		}
	case t == nil && m.acked:
		if at := c.releasedBy(m); at < b.at {
			b.at, b.shown = at, m.ackedAt
		}
	}
	return b
}

// releasedBy returns when an acked message was no longer held back by any transaction.
func (c *checker) releasedBy(m *message) time.Duration {
	acked := c.history.at(m.ackedAt).At
	at := acked
	for _, t := range c.transactions {
		if t.begin.device != m.at.device && t.answer != rejected && t.begunAt <= acked && t.freeAt >= m.sentAt {
			at = max(at, t.freeAt)
		}
	}
	return at
}

// checkNumbers compares the order of the numbers with what is known of the order of acceptance.
func (c *checker) checkNumbers() *Violation {
	onConnection := make(map[*connection]*message) // the one sent last
	received := c.byNumber()
	for _, m := range c.sent {
		if !m.received {
			continue
		}
		if before := onConnection[m.connection]; before != nil && before.number > m.number {
			return c.violation("B14", []place{before.at, m.at, before.receivedAt, m.receivedAt},
				"message %v was sent before %v on one connection, and comes after it", before, m)
		}
		onConnection[m.connection] = m
	}
	bounds := make([]bound, len(received))
	for i, m := range received {
		bounds[i] = c.placeBefore(m)
	}
	slices.SortFunc(bounds, func(a, b bound) int { return cmp.Compare(a.at, b.at) })
	slices.SortStableFunc(received, func(a, b *message) int { return cmp.Compare(a.placeAfter(), b.placeAfter()) })
	var highest bound // of those placed before
	for _, m := range received {
		for ; len(bounds) > 0 && bounds[0].at < m.placeAfter(); bounds = bounds[1:] {
			if highest.message == nil || bounds[0].message.number > highest.message.number {
				highest = bounds[0]
			}
		}
		if before := highest.message; before != nil && before.number > m.number {
			return c.outOfOrder(highest, m)
		}
	}
	return nil
}

func (c *checker) outOfOrder(before bound, m *message) *Violation {
	first, then := "acked", "was sent"
	switch {
	case before.shown == before.message.receivedAt:
		first = "received"
	case before.message.transaction != nil:
		first = "committed"
	}
	if t := m.staged(); t != nil {
		then = "was committed"
	}
	return c.violation("B14", []place{before.shown, m.at, before.message.receivedAt, m.receivedAt},
		"message %v was %s before %v %s, and comes after it", before.message, first, m, then)
}

// checkTimestamps looks for timestamps that go back in the order of acceptance: as the numbers show it, and from acks to
// what was sent later.
func (c *checker) checkTimestamps() *Violation {
	var accepted acceptance
	for _, m := range c.byNumber() {
		if before := accepted.next(m); before != nil {
			return c.violation("B15", []place{before.receivedAt, m.receivedAt},
				"message %v comes after %v, and its timestamp is lower", m, before)
		}
	}
	acked := c.byAck()
	var before *message
	for _, m := range c.sent {
		for len(acked) > 0 && c.history.at(acked[0].ackedAt).At < m.sentAt {
			if before == nil || acked[0].timestamp > before.timestamp {
				before = acked[0]
			}
			acked = acked[1:]
		}
		if m.hasTimestamp && before != nil && m.timestamp < before.timestamp {
			return c.violation("B15", []place{before.ackedAt, m.at, m.timestampAt},
				"message %v was acked before %v was sent, and its timestamp is higher", before, m)
		}
	}
	return nil
}

// acceptance goes through the messages by their numbers. A message behind a transaction may have been accepted while the
// transaction's were: these two are not compared. All else was accepted in the order of the numbers, for one that stands
// before a transaction was accepted before its lock was taken.
type acceptance struct {
	latest *message // highest timestamp of all that are compared with what follows
	inside *message // highest timestamp of the last transaction
	last   *transaction
}

// next returns a message that was accepted before m and has a higher timestamp, or nil.
func (a *acceptance) next(m *message) *message {
	t := m.staged()
	if m.transaction != nil && t == nil {
		return nil // nobody knows whether it was staged
	}
	if t != nil && t != a.last {
		a.latest, a.inside, a.last = higher(a.latest, a.inside), nil, t
	}
	if t == nil && a.last != nil && a.last.freeAt < m.sentAt {
		a.latest = higher(a.latest, a.inside)
	}
	before := a.latest
	if t != nil {
		before = higher(a.latest, a.inside)
		a.inside = higher(a.inside, m)
	} else {
		a.latest = higher(a.latest, m)
	}
	if before != nil && m.timestamp < before.timestamp {
		return before
	}
	return nil
}

// higher returns the message with the higher timestamp. Each may be nil.
func higher(a, b *message) *message {
	if a == nil || b != nil && b.timestamp > a.timestamp {
		return b
	}
	return a
}
