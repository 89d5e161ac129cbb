package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/internal/history"
)

// connection is a connection of a device on which it is registered. One goroutine reads and never sends; the device's own
// sends, decides and ends.
type connection struct {
	// fixed
	*device
	life  *life
	road  road
	wire  *client.Wire
	info  d2m.ServerInfo
	habit habit
	lazy  bool // does not read for seconds now and then

	changed chan struct{} // holds an element if there is something for the device to look at
	over    chan struct{} // closed when reading has ended
	awake   chan struct{} // closed when the reader is not to pause any more
	waking  sync.Once

	// the device's goroutine's
	ended  bool
	blamed time.Time // it has sent what it will be closed for; zero if it has not
	fate   d2m.CloseCode
	enough time.Time // it goes then

	// guarded by the device's recording
	replaced bool // by a newer connection, or given up: nothing is recorded any more
	ownEnd   bool // the device has ended it
	err      error
	dry      bool
	stored   int         // messages received before it was dry
	unacked  []time.Time // Reflects without an ack: when they were sent
	asked    []time.Time // the same for GetDevicesInfo
	dropAcks []d2m.DeviceID
	unread   []d2m.ReflectedID // not acknowledged
	slots    []d2m.DeviceInfo  // as last told
	lock     lock
	promoted bool
	lastID   d2m.ReflectedID // received
	reflects int             // sent that get an ack
	acks     int             // of them
	sets     []unproven      // of shared data, in order
	chat     chat
}

func newConnection(a *attempt, wire *client.Wire, info d2m.ServerInfo) *connection {
	d, on := a.device, a.road
	c := &connection{
		device: d, life: a.life, road: on, wire: wire, info: info, chat: a.chat,
		habit:   habit(d.random.IntN(int(habits))),
		lazy:    d.faults["slow"] && !d.settling && d.kind != honest && d.random.IntN(8) == 0,
		changed: make(chan struct{}, 1), over: make(chan struct{}), awake: make(chan struct{}),
		enough: time.Now().Add(time.Hour),
	}
	switch {
	case d.kind == honest:
		c.habit = atOnce
	case d.settling: // it has patience
	case on.faulty():
		c.enough = time.Now().Add(on.after + upTo(d.random, 4*time.Second))
	case d.random.IntN(3) == 0:
		c.enough = time.Now().Add(upTo(d.random, 6*time.Second))
	}
	d.tally.connections.Add(1)
	d.tally.open.Add(1)
	return c
}

// startReading is called with recording held.
func (c *connection) startReading() {
	random := rand.New(rand.NewPCG(c.random.Uint64(), 1))
	c.running.Go(func() { c.read(random) })
}

// read takes what the server sends until the connection is over. One that was replaced has to be closed with 4112.
func (c *connection) read(random *rand.Rand) {
	defer close(c.over)
	defer c.tally.open.Add(-1)
	for {
		if c.lazy && random.IntN(200) == 0 {
			c.rest(upTo(random, 4*time.Second))
		}
		message, err := c.wire.Receive(context.Background())
		c.recording.Lock()
		replaced, ownEnd := c.replaced, c.ownEnd
		switch {
		case err != nil:
			c.err = err
			c.tellSlowness()
		case !replaced:
			c.take(message)
		}
		c.recording.Unlock()
		if err != nil {
			if replaced && !ownEnd {
				c.judgeReplaced(err)
			}
			c.notify()
			return
		}
		if !replaced {
			c.notify()
		}
	}
}

// rest waits in the reader.
func (c *connection) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.awake:
	}
}

// wake ends the pauses of the reader.
func (c *connection) wake() { c.waking.Do(func() { close(c.awake) }) }

func (c *connection) notify() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// take records a message of the server. The device's recording is held.
func (c *connection) take(message d2m.Message) {
	switch m := message.(type) {
	case d2m.ReflectAck:
		c.Record(history.Event{Kind: history.Acked, ReflectID: m.ID, Timestamp: m.Timestamp})
		c.tally.acked.Add(1)
		c.proveSets()
		if len(c.unacked) > 0 {
			if sent := c.unacked[0]; c.kind == honest && c.life.isCalm(sent) {
				c.tally.addLatency(sent, time.Now())
			}
			c.tellSlowness()
			c.unacked = c.unacked[1:]
		}
	case d2m.Reflected:
		c.Record(history.Event{
			Kind: history.Received, ID: m.ID, Timestamp: m.Timestamp, Content: history.ContentOf(m.Envelope),
			Ephemeral: m.Flags&d2m.FlagEphemeral != 0,
		})
		c.tally.received.Add(1)
		c.unread = append(c.unread, m.ID)
		c.lastID = m.ID
		if !c.dry && m.Flags&d2m.FlagEphemeral == 0 {
			c.stored++
		}
	case d2m.ReflectionQueueDry:
		c.Record(history.Event{Kind: history.Dry})
		c.dry = true
	case d2m.RolePromotedToLeader:
		c.Record(history.Event{Kind: history.Promoted})
		c.promoted = true
	case d2m.DevicesInfo:
		c.Record(history.Event{Kind: history.Answered})
		c.slots = m.Devices
		if len(c.asked) > 0 {
			c.asked = c.asked[1:]
		}
	case d2m.DropDeviceAck:
		c.dropAcks = append(c.dropAcks, m.DeviceID)
	case d2m.Proxy:
		c.chat.take(m.Data)
		c.tally.units.Add(1)
	default:
		c.takeTransaction(message)
	}
}

// tellSlowness tells how long an honest device has waited for an ack, for the history of all groups. The device's recording
// is held.
func (c *connection) tellSlowness() {
	if c.kind == honest && len(c.unacked) > 0 {
		c.world.history.ServerTook(c.life.number, time.Since(c.unacked[0]))
	}
}

// proveSets notes which shared data is durable because of one more ack. The device's recording is held.
func (c *connection) proveSets() {
	c.acks++
	for len(c.sets) > 0 && c.sets[0].reflects < c.acks {
		c.mu.Lock()
		c.shared.isDurable(c.sets[0].number)
		c.mu.Unlock()
		c.sets = c.sets[1:]
	}
}

// note records something that the device does. It tells whether the connection is still the device's.
func (c *connection) note(e history.Event, do func()) bool {
	c.recording.Lock()
	defer c.recording.Unlock()
	if c.replaced {
		return false
	}
	c.Record(e)
	if do != nil {
		do()
	}
	return true
}

// send sends a message. An error means that the connection is over, or is to be given up.
func (c *connection) send(ctx context.Context, message d2m.Message) error {
	deadline := time.Now().Add(sendLimit)
	if c.enough.Before(deadline) {
		deadline = c.enough
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	return c.wire.Send(ctx, message)
}

// sendLimit is how long the server may take nothing.
const sendLimit = 30 * time.Second

// end ends the connection, in one of several ways. Nothing is recorded of it afterwards.
func (c *connection) end(orderly bool) {
	if c.ended {
		return
	}
	c.ended = true
	c.wake()
	c.note(history.Event{Kind: history.Ended}, func() { c.replaced, c.ownEnd = true, true })
	if orderly {
		c.wire.Close(d2m.CloseNormal, "")
	} else {
		c.wire.CloseNow()
	}
	<-c.over
}

// errLost stands for an end of the connection that the reader knows about.
var errLost = errors.New("connection: is over")

// awaitEnd gives the reader some time to learn why a connection has ended that cannot be sent on any more: the Close frame may
// stand behind all that it has not read yet.
func (c *connection) awaitEnd() {
	c.wake()
	timer := time.NewTimer(answerLimit)
	defer timer.Stop()
	select {
	case <-c.over:
	case <-c.hopeless.Done():
	case <-timer.C:
	}
}

// until waits until something holds, which is asked with recording held, and returns false if the connection ends or the
// context does. It acknowledges what arrives.
func (c *connection) until(ctx context.Context, holds func() bool) bool {
	for {
		err := c.acknowledge(ctx)
		if err != nil {
			c.awaitEnd() // what is waited for may have come before
		}
		c.recording.Lock()
		done, lost := holds(), err != nil || c.err != nil
		c.recording.Unlock()
		if done || lost {
			return done
		}
		select {
		case <-c.changed:
		case <-ctx.Done():
			return false
		}
	}
}
