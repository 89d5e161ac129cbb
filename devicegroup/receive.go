package devicegroup

import (
	"slices"
	"time"

	"openmediator/d2m"
	"openmediator/reflect"
)

// Receive handles one D2M message of a device, any but Proxy. message is not kept. What cannot be understood, or does
// not belong here, ends this connection alone (B40).
func (g *Group) Receive(now time.Time, c *Conn, message []byte) {
	g.now = now
	if !g.has(c) {
		return
	}
	if c.committing {
		c.backlog = append(c.backlog, slices.Clone(message))
		return
	}
	if !c.informed.IsZero() && now.Sub(c.informed) > confirmAfter {
		g.confirm(c.slot)
	}
	kind, payload, err := d2m.Split(message)
	if err == nil {
		err = g.dispatch(c, kind, payload)
	}
	if err != nil {
		g.detach(c, Close{d2m.CloseProtocolError, err.Error()})
	}
}

// misplaced is the error of a message that may not be sent at this point.
type misplaced d2m.Type

func (m misplaced) Error() string { return d2m.Type(m).String() + " is out of place" }

func (g *Group) dispatch(c *Conn, kind d2m.Type, payload []byte) error {
	switch kind {
	case d2m.TypeReflect:
		return handle(g, c, payload, d2m.ParseReflect, (*Group).reflect)
	case d2m.TypeReflectedAck:
		return handle(g, c, payload, d2m.ParseReflectedAck, (*Group).acknowledge)
	case d2m.TypeGetDevicesInfo:
		return handle(g, c, payload, d2m.ParseGetDevicesInfo, (*Group).devicesInfo)
	case d2m.TypeDropDevice:
		return handle(g, c, payload, d2m.ParseDropDevice, (*Group).dropDevice)
	case d2m.TypeSetSharedDeviceData:
		return handle(g, c, payload, d2m.ParseSetSharedDeviceData, (*Group).setShared)
	case d2m.TypeBeginTransaction:
		return handle(g, c, payload, d2m.ParseBeginTransaction, (*Group).begin)
	case d2m.TypeCommitTransaction:
		return handle(g, c, payload, d2m.ParseCommitTransaction, (*Group).commit)
	default:
		return misplaced(kind)
	}
}

// handle parses a payload and gives it to the handler of its type.
func handle[M any](g *Group, c *Conn, payload []byte, parse func([]byte) (M, error), with func(*Group, *Conn, M)) error {
	m, err := parse(payload)
	if err == nil {
		with(g, c, m)
	}
	return err
}

// reflect takes a message for all other slots (B14 to B16, B20, B22, B23, B26).
func (g *Group) reflect(c *Conn, r d2m.Reflect) {
	switch ephemeral := r.Flags&d2m.FlagEphemeral != 0; {
	case g.holder == c:
		g.stage(c, r)
	case ephemeral:
		g.reflectEphemeral(c, r)
	case len(g.slots) == 1:
		g.tally.Reflected++
		g.storeLazily()
		g.emit(effect{kind: effectAck, conn: c, number: uint64(r.ID), timestamp: g.stamp()})
	case !g.roomFor(len(r.Envelope)):
		g.note(GroupLimit)
		g.detach(c, Close{d2m.CloseInternal, "storage limit reached"})
	default:
		g.reflectStored(c, r)
	}
}

// roomFor says whether so many bytes of envelopes may be stored for the group (B22).
func (g *Group) roomFor(bytes int) bool {
	return !g.full && g.queue.Bytes()+g.deferredBytes+int64(bytes) <= g.config.GroupBytes
}

// reflectStored takes a message that has to be stored before it is acknowledged.
func (g *Group) reflectStored(c *Conn, r d2m.Reflect) {
	g.tally.Reflected++
	timestamp := g.stamp()
	ack := effect{kind: effectAck, conn: c, number: uint64(r.ID), timestamp: timestamp, cost: len(r.Envelope)}
	if g.held() {
		g.deferReflect(c, r, timestamp)
		g.emit(ack)
	} else {
		end := g.enqueue(c.slot.device, timestamp, r.Envelope)
		g.emit(ack)
		g.emit(effect{kind: effectPublish, number: end})
	}
	g.limitQueues()
}

// enqueue appends a message to the queue and returns the number behind it.
func (g *Group) enqueue(sender d2m.DeviceID, timestamp uint64, envelope []byte) (end uint64) {
	m := reflect.Message{Place: g.draw(), Timestamp: timestamp, Sender: sender, Envelope: envelope}
	chunk := g.storeMessage(len(envelope))
	g.queue.Append(m.Place, m.Sender, chunk, chunk.Append(m))
	return m.Place + 1
}

// reflectEphemeral takes a message for those who are connected (B20), or keeps it for the end of the lock (B26).
func (g *Group) reflectEphemeral(c *Conn, r d2m.Reflect) {
	g.tally.Ephemerals++
	g.storeLazily()
	timestamp := g.stamp()
	if g.held() {
		if g.lock.DeferEphemeral(c.slot.device, timestamp, r.Envelope) > 0 {
			g.note(EphemeralsLost)
		}
		return
	}
	g.sendEphemeral(c.slot.device, g.draw(), timestamp, r.Envelope)
	g.emit(effect{kind: effectCredit, conn: c, cost: len(r.Envelope)})
}

// sendEphemeral gives an ephemeral its place in the streams of all connections but the sender's.
func (g *Group) sendEphemeral(sender d2m.DeviceID, number, timestamp uint64, envelope []byte) {
	frame := d2m.Reflected{
		Flags:     d2m.FlagEphemeral,
		ID:        d2m.ReflectedID(number),
		Timestamp: timestamp,
		Envelope:  envelope,
	}.Append(nil)
	for _, s := range g.slots {
		if s.conn != nil && s.device != sender {
			g.emit(effect{kind: effectEphemeral, conn: s.conn, number: number, frame: frame})
		}
	}
}

// queueLimit is how the connection of a slot ends for which too much waits.
var queueLimit = Close{d2m.CloseQueueLimit, "reflection queue limit reached"}

// limitQueues drops the slots for which too much waits, and warns at half (B22).
func (g *Group) limitQueues() {
	for i := 0; i < len(g.slots); i++ {
		s := g.slots[i]
		switch fill := g.fill(s); {
		case fill > 1:
			g.note(QueueLimit)
			g.drop(s, queueLimit)
			i--
		case fill > 0.5 && !s.warned:
			s.warned = true
			g.note(QueueHalfFull)
		}
	}
}

// fill returns how much waits for a slot, as a part of what may.
func (g *Group) fill(s *slot) float64 {
	messages, bytes := s.cursor.Waiting()
	messages, bytes = messages+s.deferred, bytes+s.deferredBytes
	return max(float64(messages)/float64(g.config.QueueMessages), float64(bytes)/float64(g.config.QueueBytes))
}

// acknowledge takes a ReflectedAck (B17 to B19).
func (g *Group) acknowledge(c *Conn, a d2m.ReflectedAck) {
	drawn := g.next - 1
	if ahead := uint32(a.ID) - uint32(drawn); ahead != 0 && ahead < 1<<31 {
		g.detach(c, Close{d2m.CloseUnknownMessageAcked, "acknowledged a message that was never sent"})
		return
	}
	behind := uint64(uint32(drawn) - uint32(a.ID))
	number := drawn - behind
	if behind > drawn || number > c.given || c.given == 0 {
		return
	}
	g.confirm(c.slot)
	if g.strike(c, number) {
		g.tally.Acked++
	}
}

// strike takes a message out of c's queue. It reports whether it was there.
func (g *Group) strike(c *Conn, number uint64) bool {
	was := g.queue.Ack(c.slot.cursor, number)
	if was {
		g.storeLazily()
		c.slot.warned = c.slot.warned && g.fill(c.slot) >= 0.25
	}
	return was
}

// Skip leaves out the i-th message of out's Fetch, which is damaged in the store. For c it counts as acknowledged: else it
// would be fetched at each login.
func (g *Group) Skip(now time.Time, c *Conn, out *Output, i int) {
	g.now = now
	if c.slot != nil {
		g.note(MessageDamaged)
		g.strike(c, out.fetchNumbers[i])
	}
}
