package model

import (
	"bytes"
	"fmt"
	"slices"

	"openmediator/d2m"
)

// Observe is a frame that a connection gets. An error names the rule that is broken.
func (m *Model) Observe(c *Conn, frame []byte) error {
	got, err := d2m.Parse(frame)
	if err != nil {
		return fmt.Errorf("B40: what a device gets is no message: %w", err)
	}
	if !bytes.Equal(got.Append(nil), frame) {
		return fmt.Errorf("B40: %s is not written as the wire wants it", Words(got))
	}
	list := &c.ahead
	switch got.(type) {
	case d2m.Reflected, d2m.ReflectionQueueDry, d2m.RolePromotedToLeader, d2m.BeginTransactionAck, d2m.TransactionEnded:
		list = &c.stream
		if !c.served {
			return fmt.Errorf("B10: %s comes before ServerInfo", Words(got))
		}
	}
	if got.Type() == d2m.TypeCommitTransactionAck {
		list = c.committed()
	}
	for len(*list) > 0 {
		i := (*list)[0]
		left, perhaps := m.superseded(*list, i)
		if left {
			m.reach(EndedLeftOut)
			*list = (*list)[1:]
			continue
		}
		if err = m.explain(i, got); err != nil && !i.optional && !perhaps {
			return err
		}
		*list = (*list)[1:]
		if err == nil {
			m.handed(c, i)
			if perhaps {
				m.maybeTheSame(c)
			}
			return nil
		}
	}
	return fmt.Errorf("%s: %s is not owed", ruleOf(got), Words(got))
}

// committed returns where a CommitTransactionAck is owed. One that may go ahead does.
func (c *Conn) committed() *[]*item {
	is := isType(d2m.TypeCommitTransactionAck)
	i := slices.IndexFunc(c.stream, is)
	switch {
	case slices.ContainsFunc(c.ahead, is) || i < 0:
		return &c.ahead
	case c.stream[i].either:
		c.toAhead(i)
		return &c.ahead
	}
	return &c.stream
}

// maybeTheSame notes that a TransactionEnded that was handed over may be a later one.
func (m *Model) maybeTheSame(c *Conn) {
	for _, later := range c.stream {
		if isType(d2m.TypeTransactionEnded)(later) && m.mayWait(later.gate) && !m.mustWait(later.gate) {
			later.optional = true
		}
	}
}

// explain says why a frame is not the one that is owed now.
func (m *Model) explain(i *item, got d2m.Message) error {
	var same bool
	switch got := got.(type) {
	case d2m.ReflectAck:
		owed, ok := i.frame.(d2m.ReflectAck)
		same = ok && owed.ID == got.ID
	case d2m.Reflected:
		same = i.frame.Type() == got.Type() && i.message.ephemeral == got.Ephemeral() &&
			bytes.Equal(i.message.envelope, got.Envelope)
	default:
		same = bytes.Equal(i.frame.Append(nil), got.Append(nil))
	}
	switch {
	case !same:
		return fmt.Errorf("%s: %s comes where %s is owed", ruleOf(i.frame), Words(got), i.words())
	case m.mustWait(i.gate):
		return fmt.Errorf("B15: %s comes before what it depends on is stored", Words(got))
	}
	return m.learn(i.message, got)
}

// learn checks what the group chose for a message, and remembers it.
func (m *Model) learn(message *Message, got d2m.Message) error {
	switch got := got.(type) {
	case d2m.ReflectAck:
		if err := m.checkTime(message, got.Timestamp); err != nil {
			return fmt.Errorf("%w (%s)", err, Words(got))
		}
		m.learnTime(message, got.Timestamp)
	case d2m.Reflected:
		number, err := m.checkNumber(message, got.ID)
		if err == nil {
			err = m.checkTime(message, got.Timestamp)
		}
		if err != nil {
			return fmt.Errorf("%w (%s)", err, Words(got))
		}
		m.learnNumber(message, number)
		m.learnTime(message, got.Timestamp)
	}
	return nil
}

// handed notes what a connection has got.
func (m *Model) handed(c *Conn, i *item) {
	switch i.frame.(type) {
	case d2m.ServerInfo:
		c.served = true
	case d2m.ReflectAck:
		m.reach(Acked)
	case d2m.RolePromotedToLeader:
		m.reach(Promoted)
	case d2m.BeginTransactionAck:
		m.begun(c)
	case d2m.TransactionRejected:
		c.rejected = true
	case d2m.TransactionEnded:
		m.reach(EndedTold)
		c.rejected = false
	case d2m.Reflected:
		c.highest = max(c.highest, i.message.number)
		if i.message.ephemeral {
			m.reach(EphemeralDelivered)
			return
		}
		m.reach(Delivered)
		if i.message.life != m.life {
			m.reach(DeliveredAfterClaim)
		}
		if i.message.delivered == nil {
			i.message.delivered = make(map[d2m.DeviceID]bool)
		}
		if i.message.delivered[c.slot.device] {
			m.reach(DeliveredAgain)
		}
		i.message.delivered[c.slot.device] = true
		c.given = append(c.given, i.message)
	}
}

// ObserveClose is the end of a connection from the group's side, with this code.
func (m *Model) ObserveClose(c *Conn, code d2m.CloseCode) error {
	switch e := c.ending; {
	case e == nil:
		return fmt.Errorf("B45: connection is closed with %d, and was to go on", code)
	case !slices.Contains(e.codes, code):
		return fmt.Errorf("B45: connection is closed with %d, not with %d", code, e.codes[0])
	case m.mustWait(e.gate):
		return fmt.Errorf("B45: connection is closed with %d before what that depends on is stored", code)
	}
	for _, i := range c.ahead {
		if !i.optional {
			return fmt.Errorf("B45: connection is closed with %d, and %s is owed before", code, i.words())
		}
	}
	m.reach(Closed)
	c.over = true
	c.ahead, c.ending = nil, nil
	m.conns = slices.DeleteFunc(m.conns, func(other *Conn) bool { return other == c })
	return nil
}

// Complete says what is still owed to a connection when all was stored and taken, to the last Drained.
func (m *Model) Complete(c *Conn) error {
	switch {
	case c.over:
		return nil
	case c.ending != nil:
		return fmt.Errorf("B45: connection is not closed with %d", c.ending.codes[0])
	}
	for _, i := range slices.Concat(c.ahead, c.stream) {
		if left, _ := m.superseded(c.stream, i); !left && !i.optional {
			return fmt.Errorf("%s: %s never comes", ruleOf(i.frame), i.words())
		}
	}
	if c.rejected && m.lock == nil {
		return fmt.Errorf("B25: a device was rejected and never hears of the end")
	}
	if c.slot != nil && !c.dry {
		return fmt.Errorf("B10: queue never runs dry")
	}
	return nil
}

// ruleOf is the rule that says most about when a frame comes.
func ruleOf(frame d2m.Message) string {
	switch frame.(type) {
	case d2m.ServerInfo:
		return "B7"
	case d2m.ReflectionQueueDry:
		return "B10"
	case d2m.RolePromotedToLeader:
		return "B12"
	case d2m.Reflected:
		return "B14"
	case d2m.ReflectAck:
		return "B15"
	case d2m.DevicesInfo:
		return "B31"
	case d2m.DropDeviceAck:
		return "B32"
	case d2m.BeginTransactionAck:
		return "B24"
	case d2m.TransactionRejected:
		return "B25"
	case d2m.CommitTransactionAck, d2m.TransactionEnded:
		return "B27"
	}
	return "B40"
}
