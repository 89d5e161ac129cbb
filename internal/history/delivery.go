package history

import "openmediator/d2m"

// receive takes a Reflected.
func (c *checker) receive(d *device, p place, e *Event) *Violation {
	m := c.messages[e.Content]
	switch {
	case m == nil:
		return c.violation("B14", []place{p}, "device %d received what nobody has sent", d.id)
	case m.at.device == d.index:
		return c.violation("B14", []place{m.at, p}, "device %d received its own message %v", d.id, m)
	case e.At < m.sentAt:
		return c.violation("history", []place{m.at, p}, "device %d received message %v before it was sent", d.id, m)
	case e.Ephemeral != m.ephemeral:
		return c.violation("B20", []place{m.at, p}, "message %v is ephemeral for its sender or for device %d alone", m, d.id)
	}
	if v := c.number(m, p, e); v != nil {
		return v
	}
	if v := c.timestamp(m, p, e); v != nil {
		return v
	}
	if v := c.inOrder(d, m, p); v != nil {
		return v
	}
	d.connection.showAlive(m, p)
	d.connection.heard = max(d.connection.heard, m.sentAt)
	return c.deliver(d, m, p)
}

// unwrap continues a reflected-id beyond 32 bits: of the numbers that it may stand for, the nearest to the latest.
func (c *checker) unwrap(id d2m.ReflectedID) uint64 {
	if c.latest == 0 {
		return 1<<32 + uint64(id) // so that there is room for lower ones
	}
	return c.latest + uint64(int64(int32(uint32(id)-uint32(c.latest))))
}

// number compares the reflected-id with the one that the message had elsewhere.
func (c *checker) number(m *message, p place, e *Event) *Violation {
	number := c.unwrap(e.ID)
	if m.received && m.number != number {
		return c.violation("B14", []place{m.receivedAt, p},
			"message %v has two ids, %d and %d", m, d2m.ReflectedID(m.number), e.ID)
	}
	if other := c.numbers[number]; other != nil && other != m {
		return c.violation("B14", []place{other.receivedAt, p}, "messages %v and %v have one id, %d", other, m, e.ID)
	}
	if !m.received {
		m.received, m.receivedAt, m.number = true, p, number
		c.numbers[number] = m
		c.latest = max(c.latest, number)
	}
	return nil
}

// inOrder checks that the message is not out of its place in the stream.
func (c *checker) inOrder(d *device, m *message, p place) *Violation {
	k, s := d.connection, d.slot
	if m.number <= k.last {
		before := c.numbers[k.last]
		return c.violation("B14", []place{s.receipts[before].at, p},
			"device %d received message %v as %d after %v as %d on one connection",
			d.id, m, d2m.ReflectedID(m.number), before, d2m.ReflectedID(k.last))
	}
	k.last = m.number
	if s.receipts[m] == nil && m.number < s.last {
		before := c.numbers[s.last]
		return c.violation("B14", []place{s.receipts[before].at, p},
			"device %d received message %v for the first time after %v, which is behind it in the order", d.id, m, before)
	}
	s.last = max(s.last, m.number)
	return nil
}

// deliver notes that a slot has received a message, and checks that it may have come again if it did.
func (c *checker) deliver(d *device, m *message, p place) *Violation {
	if m.ephemeral && m.connection.server != d.connection.server {
		return c.violation("B20", []place{m.at, p}, "ephemeral message %v outlived its server", m)
	}
	r := d.slot.receipts[m]
	switch {
	case r == nil:
		r = &receipt{message: m, first: p}
		d.slot.receipts[m] = r
	case m.ephemeral:
		return c.violation("B20", []place{r.at, p}, "device %d received the ephemeral message %v again", d.id, m)
	case r.acked && c.taken(r):
		return c.violation("B17", []place{r.ackedAt, p},
			"device %d received message %v again, %.3f s after its ack had left", d.id, m,
			(c.history.at(p).At - c.history.at(r.ackedAt).At).Seconds())
	}
	r.at, r.connection, r.acked = p, d.connection, false
	if w := d.connection.wait; w != nil {
		w.received = append(w.received, passage{m, p})
	}
	if !m.ephemeral {
		d.slot.owed[r] = struct{}{}
	}
	return nil
}

// taken says whether an ack must have been kept: nothing has happened for so long that could have undone it.
func (c *checker) taken(r *receipt) bool {
	k := r.connection
	since := c.history.at(r.ackedAt).At
	if k.unsure {
		if since = k.handledAt(r.ackedAt.event); since == never {
			return false
		}
	}
	safe := since + AckGrace
	if server := c.history.Servers[k.server-1]; server.Killed && server.At <= safe+max(server.Stalled, server.Slowest) {
		return false
	}
	return k.unsure || !k.over || k.orderly || k.overAt > safe
}

// acknowledge takes a ReflectedAck. One for what this connection was not given has no effect (B19).
func (c *checker) acknowledge(d *device, p place, e *Event) *Violation {
	m := c.numbers[c.unwrap(e.ID)]
	if m == nil {
		return nil
	}
	if r := d.slot.receipts[m]; r != nil && r.connection == d.connection && !r.acked {
		r.acked, r.ackedAt = true, p
		delete(d.slot.owed, r)
	}
	return nil
}

// runDry takes a ReflectionQueueDry: what is owed to the slot has come on this connection.
func (c *checker) runDry(d *device, p place) *Violation {
	if d.connection.dry {
		return c.violation("B10", []place{d.connection.at, p}, "device %d ran dry twice on one connection", d.id)
	}
	d.connection.dry = true
	var missing *receipt
	for r := range d.slot.owed {
		if r.connection != d.connection && (missing == nil || r.message.number < missing.message.number) {
			missing = r
		}
	}
	if missing != nil {
		return c.violation("B18", []place{missing.at, p},
			"device %d has not acknowledged message %v, and did not receive it again", d.id, missing.message)
	}
	return nil
}

// checkDelivery looks for messages that were accepted and have not reached a slot to which they are due.
func (c *checker) checkDelivery() *Violation {
	for _, m := range c.sent {
		if !m.accepted() {
			continue
		}
		for _, s := range c.slots {
			if s.device.index == m.at.device || s.receipts[m] != nil || !s.isDue(m) {
				continue
			}
			if !s.dropped || m.received && m.number < s.last {
				return c.missing(m, s)
			}
		}
	}
	return nil
}

// accepted says whether a message is known to have a place in the queue.
func (m *message) accepted() bool {
	switch t := m.transaction; {
	case m.ephemeral:
		return false
	case t == nil:
		return m.acked || m.received
	case t.answer == granted:
		return t.kept
	default:
		return m.received
	}
}

// isDue says whether a message is due to a slot: that was there before the message could be taken or the commit of its
// transaction could, or was given another message of it.
func (s *slot) isDue(m *message) bool {
	t := m.staged()
	if t == nil {
		return s.since < m.sentAt
	}
	if s.since < t.commitAt {
		return true
	}
	for _, other := range t.messages {
		if !other.ephemeral && s.receipts[other] != nil {
			return true
		}
	}
	return false
}

func (c *checker) missing(m *message, s *slot) *Violation {
	gap := c.gap(s, m)
	switch t := m.staged(); {
	case t != nil && t.acked:
		return c.violation("B27", []place{m.at, t.ackedAt, gap},
			"transaction %v was committed, and its message %v never reached device %d", t, m, s.device.id)
	case t != nil:
		return c.violation("B27", []place{m.at, t.first.receivedAt, gap},
			"message %v of transaction %v reached another device, and message %v never device %d", t.first, t, m, s.device.id)
	case m.acked:
		return c.violation("B15", []place{m.ackedAt, gap}, "message %v was acked and never reached device %d", m, s.device.id)
	default:
		return c.violation("B14", []place{m.at, m.receivedAt, gap},
			"message %v reached another device and never device %d", m, s.device.id)
	}
}

// gap returns where a slot should have received a message.
func (c *checker) gap(s *slot, m *message) place {
	events := c.history.Devices[s.device.index].Events
	for i := range events {
		e := &events[i]
		if !m.received && e.At > m.sentAt {
			return place{s.device.index, i}
		}
		if e.Kind == Received && e.At > m.sentAt && m.received && c.messages[e.Content].number > m.number {
			return place{s.device.index, i}
		}
	}
	return place{s.device.index, len(events) - 1}
}
