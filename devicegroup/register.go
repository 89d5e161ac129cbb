package devicegroup

import (
	"slices"
	"time"

	"openmediator/d2m"
)

// confirmAfter is how long after ServerInfo was written any message but Proxy shows that the device has seen it (B7).
const confirmAfter = 5 * time.Second

// Register takes a device that has proved its membership into the group, or refuses it (B7 to B11). The connection it
// returns is in the group's hands either way: what it is told comes by Next, ServerInfo first or the close code of the
// refusal. hello is not kept, its device info is.
func (g *Group) Register(now time.Time, hello *d2m.ClientHello) *Conn {
	g.now = now
	c := &Conn{}
	if g.failed {
		g.abandon(c)
		return c
	}
	s := g.slot(hello.DeviceID)
	if s != nil && hello.Expected == d2m.SlotNew && !s.confirmed {
		g.drop(s, Close{d2m.CloseReplaced, "the same device registered anew"})
		s = nil
	}
	if refusal, refused := g.refusal(s, hello); refused {
		g.emit(effect{kind: effectClose, conn: c, close: refusal})
		return c
	}
	state := d2m.SlotExisting
	if s == nil {
		state = d2m.SlotNew
		s = g.newSlot(hello)
	} else if s.conn != nil {
		g.detach(s.conn, Close{d2m.CloseReplaced, "the same device connected again"})
		if g.slot(s.device) == nil { // its lock has ended, and with what waited behind it the queue was too long (B22)
			g.emit(effect{kind: effectClose, conn: c, close: queueLimit})
			return c
		}
	}
	g.describe(s, hello)
	g.attach(s, c)
	g.emit(effect{kind: effectOpen, conn: c, frame: g.serverInfo(s, state)})
	return c
}

// refusal says whether a ClientHello does not fit the slots. s is the device's slot, if it has one.
func (g *Group) refusal(s *slot, hello *d2m.ClientHello) (Close, bool) {
	switch {
	case s == nil && hello.Expected == d2m.SlotExisting:
		return Close{d2m.CloseSlotState, "device slot does not exist"}, true
	case s != nil && hello.Expected == d2m.SlotNew:
		return Close{d2m.CloseSlotState, "device slot exists already"}, true
	case s == nil && len(g.slots) >= g.config.MaxSlots && hello.SlotsExhausted == d2m.Reject:
		return Close{d2m.CloseDeviceLimit, "no device slot is free"}, true
	}
	return Close{}, false
}

func (g *Group) newSlot(hello *d2m.ClientHello) *slot {
	for len(g.slots) >= g.config.MaxSlots {
		g.note(LeastRecentDrop)
		g.drop(g.leastRecent(), Close{d2m.CloseDropped, "dropped to make room for another device"})
	}
	s := &slot{
		device: hello.DeviceID,
		cursor: g.queue.Join(hello.DeviceID, g.next),
	}
	g.slots = append(g.slots, s)
	g.storeState()
	return s
}

// leastRecent returns the slot that DROP_LEAST_RECENT drops (B8).
func (g *Group) leastRecent() *slot {
	oldest := g.slots[0]
	for _, s := range g.slots[1:] {
		away, oldestAway := s.conn == nil, oldest.conn == nil
		if away && !oldestAway || away == oldestAway && s.since < oldest.since {
			oldest = s
		}
	}
	return oldest
}

// describe takes over what a ClientHello says of its device; what is stored already is not stored again (B7, B11).
func (g *Group) describe(s *slot, hello *d2m.ClientHello) {
	if s.expiration != hello.Expiration {
		s.expiration = hello.Expiration
		g.storeState()
	}
	if s.info == nil || string(s.info) != string(hello.DeviceInfo) {
		s.info = append([]byte{}, hello.DeviceInfo...)
		g.storeInfo(s)
	}
}

func (g *Group) attach(s *slot, c *Conn) {
	s.conn, c.slot = c, s
	c.committing = g.committing && g.lock.Holder == s.device // what it sends is handled after the commit (B27)
	s.since = unixMilli(g.now)
	c.cursor = s.cursor.Oldest()
	g.storeLazily()
}

func (g *Group) serverInfo(s *slot, state d2m.SlotState) []byte {
	waiting, _ := s.cursor.Waiting()
	return d2m.ServerInfo{
		MaxDeviceSlots:        uint32(g.config.MaxSlots),
		SlotState:             state,
		SharedDeviceData:      g.shared,
		CurrentTime:           unixMilli(g.now),
		ReflectionQueueLength: uint32(waiting),
	}.Append(nil)
}

// Written notes that what Next gave for c before has been taken by the socket. Only the first call for a connection
// has an effect: it dates ServerInfo (B7).
func (g *Group) Written(now time.Time, c *Conn) {
	if c.open && c.informed.IsZero() {
		c.informed = now
	}
}

func (g *Group) confirm(s *slot) {
	if !s.confirmed {
		s.confirmed = true
		g.storeLazily()
	}
}

// End notes that the connection is over, whoever ended it.
func (g *Group) End(now time.Time, c *Conn) {
	g.now = now
	c.ended = true
	if g.has(c) {
		g.leave(c)
	}
}

// Close ends a connection from the caller's side, for a reason that the group does not know. The connection gets what was
// meant for it before.
func (g *Group) Close(now time.Time, c *Conn, why Close) {
	g.now = now
	if g.has(c) {
		g.detach(c, why)
	}
}

// has says whether c is the connection of a slot: neither refused nor replaced nor ended.
func (g *Group) has(c *Conn) bool { return c.slot != nil && c.slot.conn == c }

// leave takes a connection out of the group's state: leadership and whatever else it had is free (B9).
func (g *Group) leave(c *Conn) {
	s := c.slot
	s.conn = nil
	s.since = unixMilli(g.now)
	c.slot, c.backlog = nil, nil
	if g.holder == c && !g.committing {
		g.abort()
	}
	g.stepDown(c)
	g.storeSoon()
}

// detach ends a connection from the group's side. It gets what was meant for it, then its close code.
func (g *Group) detach(c *Conn, why Close) {
	g.leave(c)
	g.emit(effect{kind: effectClose, conn: c, close: why})
}

// drop frees a slot and its queue; a connection of it is closed once that is durable (B45).
func (g *Group) drop(s *slot, why Close) {
	g.queue.Leave(s.cursor)
	if i := slices.Index(g.slots, s); i >= 0 {
		g.slots = slices.Delete(g.slots, i, i+1)
	}
	g.forget(s)
	if s.conn != nil {
		g.detach(s.conn, why)
	}
}
