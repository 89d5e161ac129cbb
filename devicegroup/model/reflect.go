package model

import (
	"bytes"
	"slices"

	"openmediator/d2m"
)

// reflect takes a message for all other slots (B14 to B16, B20, B22, B23, B26).
func (m *Model) reflect(c *Conn, r d2m.Reflect) {
	if m.holds(c) {
		m.stage(c, r)
		return
	}
	if r.Ephemeral() {
		m.reflectEphemeral(c, r)
		return
	}
	if c.ids[r.ID] {
		m.reach(SameReflectID)
	}
	c.ids[r.ID] = true
	message := &Message{sender: c.slot.device, envelope: bytes.Clone(r.Envelope)}
	if len(m.slots) == 1 {
		m.reach(Alone)
		m.lazily()
		m.accept(message)
		m.answer(c, d2m.ReflectAck{ID: r.ID}, message)
		return
	}
	if m.beyondLimit(len(message.envelope)) {
		m.latest = max(m.latest, unixMilli(m.now))
		m.detach(c, d2m.CloseInternal, m.here())
		return
	}
	if m.deferring() {
		m.deferReflect(c, r, message)
		return
	}
	m.draw(true)
	m.change(true)
	m.accept(message)
	m.number(message)
	message.stored = true
	m.accepted = append(m.accepted, message)
	m.answer(c, d2m.ReflectAck{ID: r.ID}, message)
	m.enqueue(message)
	m.limitQueues()
}

// enqueue puts a message into the queue of every slot but its sender's.
func (m *Model) enqueue(message *Message) {
	for _, s := range m.slots {
		if s.device == message.sender {
			continue
		}
		m.reach(ToEveryOther)
		s.queue = append(s.queue, message)
		if s.conn != nil {
			m.reflected(s.conn, message, m.here())
		}
	}
}

// beyondLimit says whether so many bytes of envelopes cannot be stored for the limit of the group or of the whole store
// (B22).
func (m *Model) beyondLimit(more int) bool {
	_, waiting := m.Waiting()
	for _, message := range storedDeferred(m.deferred) {
		waiting += int64(len(message.envelope))
	}
	switch {
	case m.full:
		m.reach(StoreFull)
	case waiting+int64(more) > m.config.GroupBytes:
		m.reach(GroupFull)
	default:
		return false
	}
	return true
}

// limitQueues drops the slots for which too much waits, and warns of those for which half as much does (B22).
func (m *Model) limitQueues() {
	for i := 0; i < len(m.slots); i++ {
		s := m.slots[i]
		messages, bytes := m.fill(s)
		switch {
		case messages > m.config.QueueMessages:
			m.reach(TooManyMessages)
		case bytes > m.config.QueueBytes:
			m.reach(TooManyBytes)
		case s.warned || 2*messages <= m.config.QueueMessages && 2*bytes <= m.config.QueueBytes:
			continue
		default:
			m.reach(HalfFull)
			s.warned = true
			continue
		}
		m.drop(s, d2m.CloseQueueLimit)
		i--
	}
}

// fill returns how many messages count against the limits of a slot and how many bytes their envelopes have: those in
// its queue, and those that have been deferred since it came (B26).
func (m *Model) fill(s *slot) (messages int, bytes int64) {
	for _, message := range slices.Concat(s.queue, storedDeferred(m.deferred)) {
		if message.sender != s.device && (message.numbered || message.came > s.came) {
			messages++
			bytes += int64(len(message.envelope))
		}
	}
	return messages, bytes
}

// reflectEphemeral takes a message for all that are connected (B20).
func (m *Model) reflectEphemeral(c *Conn, r d2m.Reflect) {
	message := &Message{sender: c.slot.device, ephemeral: true, envelope: bytes.Clone(r.Envelope)}
	if m.deferring() {
		m.deferEphemeral(message)
		return
	}
	m.lazily()
	m.accept(message)
	m.sendEphemeral(message, m.here())
}

// sendEphemeral gives an ephemeral its place in the order, and owes it to all that are connected.
func (m *Model) sendEphemeral(message *Message, g gate) {
	var receivers []*Conn
	for _, s := range m.slots {
		if s.conn != nil && s.device != message.sender {
			receivers = append(receivers, s.conn)
		}
	}
	m.draw(len(receivers) > 0)
	m.change(false)
	m.number(message)
	for _, receiver := range receivers {
		m.deliverEphemeral(receiver, message, g)
	}
}

// maxEphemeral is how much of ephemerals waits for one connection at most, bytes of Reflected frames (B21).
const maxEphemeral = 256 << 10

// deliverEphemeral owes an ephemeral to a connection, unless it is too far behind (B21).
func (m *Model) deliverEphemeral(c *Conn, message *Message, g gate) {
	sure, perhaps := 0, frameSize(message)
	open := false
	for _, i := range c.stream {
		if i.message == nil || !i.message.ephemeral {
			continue
		}
		perhaps += frameSize(i.message)
		switch {
		case i.lost && i.may == m.event: // as this one, if it is
		case i.optional:
			open = true
		default:
			sure += frameSize(i.message)
		}
	}
	if perhaps <= maxEphemeral {
		m.reflected(c, message, g)
		return
	}
	m.reach(EphemeralLost)
	i := m.reflected(c, message, g)
	i.optional = true
	i.lost = !open && sure+frameSize(message) > maxEphemeral
}

// frameSize is the size of a message as a Reflected, bytes: container 4 · header 16 · envelope.
func frameSize(message *Message) int { return 20 + len(message.envelope) }

// acknowledge takes a ReflectedAck (B7, B17 to B19). See CertainAck.
func (m *Model) acknowledge(c *Conn, a d2m.ReflectedAck) {
	number, drawn, _ := m.drawnNumber(a.ID)
	if !drawn {
		m.reach(NeverDrawn)
		m.detach(c, d2m.CloseUnknownMessageAcked, m.here())
		return
	}
	if number < 0 || uint64(number) > c.highest || c.highest == 0 {
		m.reach(NotGiven)
		return
	}
	m.confirm(c.slot, ConfirmedByAck)
	for _, message := range c.given {
		if message.number == uint64(number) {
			m.take(c.slot, message)
			return
		}
	}
	m.reach(AckOfNothing)
}

// take removes a message that was acknowledged from a slot's queue.
func (m *Model) take(s *slot, message *Message) {
	i := index(s.queue, message)
	if i < 0 {
		m.reach(AckedTwice)
		return
	}
	if i > 0 {
		m.reach(AckedOutOfOrder)
	}
	s.queue = append(s.queue[:i:i], s.queue[i+1:]...)
	s.unwritten = append(s.unwritten, message)
	m.lazily()
	if messages, bytes := m.fill(s); 4*messages < m.config.QueueMessages && 4*bytes < m.config.QueueBytes {
		s.warned = false
	}
	if !m.WaitedFor(message) {
		m.reach(AckedByAll)
	}
}

// CertainAck says whether it is certain what becomes of an acknowledgement of this number: after a claim it is not known
// which number was drawn last, until one has been seen.
func (m *Model) CertainAck(id d2m.ReflectedID) bool {
	_, _, certain := m.drawnNumber(id)
	return certain
}
