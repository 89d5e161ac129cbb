package devicegroup

import (
	"errors"
	"slices"

	"openmediator/d2m"
	"openmediator/reflect"
)

// effect is something that shows outside the group. It takes place when all that was accepted before it is durable.
type effect struct {
	kind  effectKind
	after uint64 // how many urgent batches must be stored
	conn  *Conn
	frame []byte
	mark  mark
	close Close

	number    uint64 // effectPublish: messages below it; effectEphemeral: its number; effectAck: the reflect id
	timestamp uint64 // effectAck
	cost      int    // what it keeps in memory on account of conn while it waits
}

type effectKind uint8

const (
	effectAnswer    effectKind = iota // frame goes ahead of the stream
	effectAck                         // so does a ReflectAck
	effectOpen                        // frame is ServerInfo; the stream begins behind it
	effectPlace                       // frame goes behind all that is published by now
	effectEphemeral                   // frame goes to its number's place
	effectCredit                      // only the cost is given back
	effectPublish                     // messages may be delivered
	effectCommitted                   // frame goes behind the BeginTransactionAck, ahead of all else
	effectUnlock                      // the transaction lock is free
	effectClose                       // the connection ends
)

// emit makes an effect take place: at once, or when what was accepted before it is durable.
func (g *Group) emit(e effect) {
	e.after = g.gate()
	if e.after <= g.durable && len(g.waiting) == 0 {
		g.apply(&e)
		return
	}
	if e.conn != nil {
		e.charge(+1)
	}
	g.waiting = append(g.waiting, e)
}

// gate returns how many urgent batches must be stored for all that was accepted by now to be durable.
func (g *Group) gate() uint64 {
	if g.urgent {
		return g.sealed + 1
	}
	return g.sealed
}

// charge adds to, or takes from, the account of the connection that makes the server hold e.
func (e *effect) charge(sign int) {
	switch e.kind {
	case effectAck, effectCredit:
		e.conn.unstored += sign * (e.cost + reflectOverhead)
	case effectAnswer:
		e.conn.unsent += sign * len(e.frame)
	}
}

// release lets the effects take place that waited for what is durable now.
func (g *Group) release() {
	n := 0
	for ; n < len(g.waiting) && g.waiting[n].after <= g.durable; n++ {
		e := &g.waiting[n]
		if e.conn != nil {
			e.charge(-1)
		}
		g.apply(e)
	}
	rest := copy(g.waiting, g.waiting[n:])
	clear(g.waiting[rest:])
	g.waiting = g.waiting[:rest]
}

func (g *Group) apply(e *effect) {
	c := e.conn
	switch e.kind {
	case effectPublish:
		g.publish(e.number)
		return
	case effectUnlock:
		g.afterCommit()
		return
	}
	if c.ended || c.closing != nil {
		return
	}
	switch e.kind {
	case effectAnswer:
		c.ahead.Add(e.frame)
	case effectAck:
		c.ahead.Data = d2m.ReflectAck{ID: d2m.ReflectID(e.number), Timestamp: e.timestamp}.Append(c.ahead.Data)
		c.ahead.end()
	case effectOpen:
		c.ahead.Add(e.frame)
		c.open = true
	case effectPlace:
		c.place(placed{at: g.visible, frame: e.frame, mark: e.mark})
	case effectEphemeral:
		g.placeEphemeral(c, e)
	case effectCommitted:
		if c.begins > 0 {
			c.place(placed{at: g.visible, frame: e.frame})
		} else {
			c.ahead.Add(e.frame)
		}
	case effectClose:
		why := e.close
		c.closing = &why
	}
	g.wake(c)
}

func (g *Group) placeEphemeral(c *Conn, e *effect) {
	if c.ephemeral+len(e.frame) > MaxEphemeral {
		g.note(EphemeralsLost)
		return
	}
	c.ephemeral += len(e.frame)
	c.place(placed{at: e.number, frame: e.frame, mark: markEphemeral})
}

// place adds a frame to the end of the stream. Of TransactionEnded only the last one that waits is kept (B21).
func (c *Conn) place(p placed) {
	if p.mark == markEnded {
		c.placed = slices.DeleteFunc(c.placed, func(old placed) bool { return old.mark == markEnded })
	}
	c.placed = append(c.placed, p)
}

// afterCommit frees the lock of a commit that is durable and takes what its device has sent behind it, be it on a newer
// connection (B27).
func (g *Group) afterCommit() {
	s := g.slot(g.lock.Holder)
	g.unlock()
	g.tally.Committed++
	if s != nil && s.conn != nil && s.conn.committing {
		s.conn.committing = false
		g.wake(s.conn)
		if len(s.conn.backlog) > 0 {
			g.replay = append(g.replay, s.conn)
		}
	}
}

// replayBacklogs handles what devices have sent behind a commit.
func (g *Group) replayBacklogs() {
	for len(g.replay) > 0 {
		c := g.replay[0]
		g.replay = g.replay[1:]
		backlog := c.backlog
		c.backlog = nil
		for _, message := range backlog {
			g.Receive(g.now, c, message)
		}
	}
}

// publish lets messages below end be delivered.
func (g *Group) publish(end uint64) {
	g.visible = end
	for _, s := range g.slots {
		if s.conn != nil {
			g.wake(s.conn)
		}
	}
}

// Fail makes the group dead: what waited for the store is never shown, and every connection of the group is closed,
// with 1001 if somebody else has claimed the group, else with 1011 (B43). The group takes nothing from then on.
func (g *Group) Fail(err error) {
	g.failed = true
	why := Close{d2m.CloseInternal, "storage is not available"}
	if errors.Is(err, reflect.ErrFenced) {
		why = Close{d2m.CloseGoingAway, "the group has moved"}
	}
	g.failure = why
	for i := range g.waiting {
		if c := g.waiting[i].conn; c != nil {
			g.abandon(c)
		}
	}
	g.waiting, g.replay = nil, nil
	if g.lock != nil {
		g.tally.Aborted++
	}
	g.locking = locking{}
	for _, s := range g.slots {
		if s.conn != nil {
			g.abandon(s.conn)
		}
	}
}

// abandon ends a connection of a group that has failed.
func (g *Group) abandon(c *Conn) {
	if c.slot != nil {
		c.slot.conn, c.slot = nil, nil
	}
	c.backlog = nil
	if c.closing == nil {
		failure := g.failure
		c.closing = &failure
	}
	g.wake(c)
}

// Failed says whether the group is dead.
func (g *Group) Failed() bool { return g.failed }
