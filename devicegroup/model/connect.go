package model

import (
	"bytes"
	"slices"
	"time"

	"openmediator/d2m"
)

// Connect is a device that has proved its membership and registers (B7 to B11).
func (m *Model) Connect(now time.Time, hello d2m.ClientHello) *Conn {
	m.begin(now)
	c := &Conn{ids: make(map[d2m.ReflectID]bool)}
	m.conns = append(m.conns, c)
	if m.failure != 0 {
		c.ending = &closing{codes: []d2m.CloseCode{m.failure}}
		return c
	}
	s := m.slot(hello.DeviceID)
	if s != nil && hello.Expected == d2m.SlotNew && !s.confirmed {
		m.reach(NewAgain)
		m.drop(s, d2m.CloseReplaced)
		s = nil
	}
	if code := m.refusal(s, hello); code != 0 {
		c.ending = &closing{gate: m.here(), codes: []d2m.CloseCode{code}}
		return c
	}
	state := d2m.SlotExisting
	if s == nil {
		state = d2m.SlotNew
		s = m.newSlot(hello)
	} else if s.conn != nil {
		m.reach(Replaced)
		if m.holds(s.conn) {
			m.reach(HolderReplaced)
			if messages, _ := m.fill(s); messages > m.config.QueueMessages {
				m.reach(ReplacedAndOverLimit)
			}
		}
		if m.Committing(s.conn) {
			m.reach(ReplacedDuringCommit)
		}
		// What this login changes need not be stored for that, but it may be.
		m.detach(s.conn, d2m.CloseReplaced, gate{m.event - 1, m.event})
	}
	m.describe(s, hello)
	m.attach(s, c, state)
	return c
}

// refusal is the code with which a registration is refused, or 0.
func (m *Model) refusal(s *slot, hello d2m.ClientHello) d2m.CloseCode {
	switch {
	case s == nil && hello.Expected == d2m.SlotExisting:
		m.reach(NoSuchSlot)
		return d2m.CloseSlotState
	case s != nil && hello.Expected == d2m.SlotNew:
		m.reach(SlotConfirmed)
		return d2m.CloseSlotState
	case s == nil && len(m.slots) >= m.config.MaxSlots && hello.SlotsExhausted == d2m.Reject:
		m.reach(NoSlotFree)
		return d2m.CloseDeviceLimit
	}
	return 0
}

func (m *Model) newSlot(hello d2m.ClientHello) *slot {
	for len(m.slots) >= m.config.MaxSlots {
		least := m.leastRecent()
		if least.conn != nil && m.holds(least.conn) {
			m.reach(HolderEvicted)
		}
		m.drop(least, d2m.CloseDropped)
	}
	m.change(true)
	s := &slot{device: hello.DeviceID, came: m.event, expiration: hello.Expiration, info: bytes.Clone(hello.DeviceInfo)}
	m.slots = append(m.slots, s)
	return s
}

// leastRecent is whom DROP_LEAST_RECENT drops: of those that are away, if there are any, the one with the earliest time,
// and of several with the same time the one that registered first (B8).
func (m *Model) leastRecent() *slot {
	candidates := slices.DeleteFunc(slices.Clone(m.slots), func(s *slot) bool { return s.connected })
	if len(candidates) > 0 {
		m.reach(LongestAway)
	} else {
		m.reach(LongestConnected)
		candidates = m.slots
	}
	least := candidates[0]
	for _, s := range candidates {
		if s.since < least.since {
			least = s
		}
	}
	return least
}

// describe takes over what the ClientHello of a device says of it (B11).
func (m *Model) describe(s *slot, hello d2m.ClientHello) {
	if s.expiration == hello.Expiration && bytes.Equal(s.info, hello.DeviceInfo) {
		return
	}
	m.reach(InfoReplaced)
	m.change(true)
	s.expiration, s.info = hello.Expiration, bytes.Clone(hello.DeviceInfo)
}

// attach makes c the connection of a slot and owes it ServerInfo and all that waits for it (B10, B18).
func (m *Model) attach(s *slot, c *Conn, state d2m.SlotState) {
	if state == d2m.SlotExisting && len(m.changes) == 0 {
		m.reach(NothingWritten)
	}
	if m.deferring() {
		m.reach(JoinedDuring)
		if state == d2m.SlotNew {
			m.reach(LinkedDuring)
		}
	}
	s.conn, c.slot = c, s
	s.connected, s.since = true, unixMilli(m.now)
	m.lazily()
	m.answer(c, d2m.ServerInfo{
		MaxDeviceSlots:        uint32(m.config.MaxSlots),
		SlotState:             state,
		SharedDeviceData:      bytes.Clone(m.shared),
		CurrentTime:           unixMilli(m.now),
		ReflectionQueueLength: uint32(len(s.queue)),
	}, nil)
	for _, message := range s.queue {
		m.reflected(c, message, m.here())
	}
}

// Written notes that what Observe was told of a connection so far has been written (B7).
func (m *Model) Written(now time.Time, c *Conn) {
	if c.served && c.written == 0 {
		c.written = unixMilli(now)
	}
}

// End is the end of a connection, whoever ended it.
func (m *Model) End(now time.Time, c *Conn) {
	m.begin(now)
	c.over = true
	m.conns = slices.DeleteFunc(m.conns, func(other *Conn) bool { return other == c })
	if c.slot != nil {
		if m.holds(c) {
			m.reach(HolderEnds)
		}
		if m.Committing(c) {
			m.reach(EndsDuringCommit)
		}
		m.leave(c, m.here())
	}
}

// leave takes a connection out of the group. What follows from it stands behind g.
func (m *Model) leave(c *Conn, g gate) {
	s := c.slot
	s.conn, c.slot = nil, nil
	s.connected, s.since = false, unixMilli(m.now)
	c.loseStream()
	c.backlog = nil
	m.lazies.soon = true
	m.dry = slices.DeleteFunc(m.dry, func(other *Conn) bool { return other == c })
	if m.holds(c) {
		m.abort() // with which others may leave, too
	}
	m.stepDown(c, g)
}

// detach ends a connection from the group's side: it still gets what goes ahead, and then the code.
func (m *Model) detach(c *Conn, code d2m.CloseCode, g gate) {
	if m.holds(c) && len(storedDeferred(m.deferred)) > 0 {
		g = m.here() // the end of the lock is to be stored (B45)
	}
	m.leave(c, g)
	c.ending = &closing{gate: g, codes: []d2m.CloseCode{code}}
}

// drop frees a slot; with the last one all that the group has goes (B34). The code is for a connected device, which gets
// it when the drop is durable (B45).
func (m *Model) drop(s *slot, code d2m.CloseCode) {
	m.change(true)
	m.slots = slices.DeleteFunc(m.slots, func(other *slot) bool { return other == s })
	if s.conn != nil {
		m.reachDropped(s.conn, code)
		m.detach(s.conn, code, m.here())
	}
	if len(m.slots) == 0 {
		m.reach(LastSlot)
		m.shared, m.stamp = nil, 0
		m.order = m.order.successor()
	}
}

// reachDropped notes in which state of a transaction a device is dropped.
func (m *Model) reachDropped(c *Conn, code d2m.CloseCode) {
	switch {
	case m.Committing(c):
		m.reach(DroppedDuringCommit)
	case !m.holds(c):
	case code == d2m.CloseQueueLimit:
		m.reach(HolderOverLimit)
	case code == d2m.CloseReplaced:
		m.reach(HolderNewAgain)
	}
}
