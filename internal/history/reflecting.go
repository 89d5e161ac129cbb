package history

import (
	"cmp"
	"slices"
)

// reflect takes a Reflect of a device.
func (c *checker) reflect(d *device, e *Event) *Violation {
	m := c.messages[e.Content]
	m.connection = d.connection
	c.sent = append(c.sent, m)
	if !m.ephemeral {
		d.connection.unacked = append(d.connection.unacked, m)
	}
	return nil
}

// ack takes a ReflectAck, which can only be meant for the connection's oldest Reflect without one.
func (c *checker) ack(d *device, p place, e *Event) *Violation {
	k := d.connection
	if len(k.unacked) == 0 {
		return c.violation("B15", []place{p}, "device %d was acked reflect-id %d, and waits for no ack", d.id, e.ReflectID)
	}
	m := k.unacked[0]
	if want := c.history.at(m.at).ReflectID; e.ReflectID != want {
		return c.violation("B15", []place{m.at, p},
			"device %d was acked reflect-id %d, and waits for that of message %v, %d", d.id, e.ReflectID, m, want)
	}
	k.unacked = k.unacked[1:]
	m.acked, m.ackedAt = true, p
	k.showAlive(m, p)
	return c.timestamp(m, p, e)
}

// timestamp compares a timestamp of a message with the one seen before.
func (c *checker) timestamp(m *message, p place, e *Event) *Violation {
	if m.hasTimestamp && e.Timestamp != m.timestamp {
		return c.violation("B15", []place{m.timestampAt, p}, "message %v has two timestamps, %d and %d", m, m.timestamp, e.Timestamp)
	}
	if !m.hasTimestamp {
		m.hasTimestamp, m.timestamp, m.timestampAt = true, e.Timestamp, p
	}
	return nil
}

// checkNumbers compares the order of the numbers with what is known of the order of acceptance.
func (c *checker) checkNumbers() *Violation {
	onConnection := make(map[*connection]*message) // the one sent last
	acked := c.byAck()
	var highest *message // of those acked before
	for _, m := range c.sent {
		for len(acked) > 0 && c.history.at(acked[0].ackedAt).At < m.sentAt {
			if acked[0].received && (highest == nil || acked[0].number > highest.number) {
				highest = acked[0]
			}
			acked = acked[1:]
		}
		if !m.received {
			continue
		}
		if before := onConnection[m.connection]; before != nil && before.number > m.number {
			return c.violation("B14", []place{before.at, m.at, before.receivedAt, m.receivedAt},
				"message %v was sent before %v on one connection, and comes after it", before, m)
		}
		onConnection[m.connection] = m
		if highest != nil && highest.number > m.number {
			return c.violation("B14", []place{highest.ackedAt, m.at, highest.receivedAt, m.receivedAt},
				"message %v was acked before %v was sent, and comes after it", highest, m)
		}
	}
	return nil
}

// checkTimestamps looks for timestamps that go back, in the order of the numbers and from acks to what was sent later.
func (c *checker) checkTimestamps() *Violation {
	var before *message
	for _, m := range c.byNumber() {
		if before != nil && m.timestamp < before.timestamp {
			return c.violation("B15", []place{before.receivedAt, m.receivedAt},
				"message %v comes after %v, and its timestamp is lower", m, before)
		}
		before = m
	}
	acked := c.byAck()
	before = nil
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

// byAck returns the acked messages in the order in which their acks arrived.
func (c *checker) byAck() []*message {
	acked := slices.DeleteFunc(slices.Clone(c.sent), func(m *message) bool { return !m.acked })
	slices.SortFunc(acked, func(a, b *message) int {
		return cmp.Compare(c.history.at(a.ackedAt).At, c.history.at(b.ackedAt).At)
	})
	return acked
}

// byNumber returns the messages that anybody has received, in their order.
func (c *checker) byNumber() []*message {
	received := slices.DeleteFunc(slices.Clone(c.sent), func(m *message) bool { return !m.received })
	slices.SortFunc(received, func(a, b *message) int { return cmp.Compare(a.number, b.number) })
	return received
}
