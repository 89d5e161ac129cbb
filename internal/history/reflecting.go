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
	if t := d.connection.open; t != nil {
		m.transaction = t
		t.messages = append(t.messages, m)
	}
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
	k.showHandled(m.at.event, e.At)
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
