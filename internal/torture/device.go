package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/internal/history"
)

// device does all that a device may do to its group, and writes down what comes of it.
type device struct {
	// fixed
	*group
	id d2m.DeviceID
	*history.Recorder

	// of the goroutine that runs it
	random    *rand.Rand
	info      []byte
	volatile  bool
	settling  bool // takes what is left for it, without delay
	out       bool // has no slot, at the end
	abandoned int  // the life of the server in which a login stayed without an answer: it may still replace a later one

	// guarded by the group's mu: what is known of the slot
	registered bool
	drops      int       // sent for this device so far
	underway   int       // of them, those that may still take effect
	excuses    excuse    // why the slot may be gone
	gone       bool      // it is
	slots      int       // that it has had
	dropping   []dropped // sent on the current connection

	recording sync.Mutex // guards what a connection knows of itself, and that only the current one records
	current   *connection
}

func (g *group) newDevice(id d2m.DeviceID) *device {
	d := &device{
		group: g, id: id, Recorder: g.world.history.Device(id),
		random:   rand.New(rand.NewPCG(g.random.Uint64(), g.random.Uint64())),
		volatile: !g.stays && g.random.IntN(2) == 0,
	}
	d.info = noise[:d.random.IntN(300)]
	return d
}

// mayGo notes that the slot may be lost from now on. Nothing is due to it then. The group's mu is held.
func (d *device) mayGo(why excuse) {
	if d.registered && d.excuses&why == 0 {
		d.excuses |= why
		d.Record(history.Event{Kind: history.Dropped})
	}
}

// excuse is why a slot may be gone.
type excuse uint8

const (
	byDrop  excuse = 1 << iota // somebody has dropped the device
	byLimit                    // its queue may have had more than fits
	byCrowd                    // there are more devices than slots
)

// isExcused tells whether one of some excuses holds for the slot.
func (d *device) isExcused(any excuse) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.excuses&any != 0
}

// slotLost notes that the slot is gone. Half of the devices do not believe it, and come back for their slot.
func (d *device) slotLost() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.random.IntN(2) == 0 {
		d.registered = false
	}
	d.gone = true
}

// live keeps the device connected and busy until the group falls silent.
func (d *device) live(ctx context.Context) {
	pause(d.load, upTo(d.random, min(time.Second, d.group.life/4)))
	if d.kind == drops && d.id > 0 {
		select {
		case <-d.first:
		case <-d.load.Done():
			return
		}
	}
	for d.load.Err() == nil && ctx.Err() == nil {
		if l := d.world.await(ctx); l != nil {
			if c := d.connect(ctx, l, d.drawRoad(), d2m.ExhaustedPolicy(d.random.IntN(2))); c != nil {
				c.work(ctx)
			}
		}
		if d.random.IntN(4) == 0 && d.kind != honest {
			pause(d.load, upTo(d.random, min(2*time.Second, d.group.life/4)))
		}
	}
}

// drawRoad gives a device that has no slot yet a road on which no login is left without an answer: one that takes effect
// later would take the slot for unconfirmed and begin it afresh (B7).
func (d *device) drawRoad() road {
	d.mu.Lock()
	registered := d.registered
	d.mu.Unlock()
	if !registered || d.kind == honest {
		return road{}
	}
	return drawRoad(d.random, d.faults)
}

// loginLimit is how long a login may take.
const loginLimit = 30 * time.Second

// attempt is one login.
type attempt struct {
	*device
	life   *life
	road   road
	policy d2m.ExhaustedPolicy

	began time.Time
	chat  chat

	// as they were before
	registered, gone bool
	drops, underway  int
}

// connect returns nil if there is no connection, for whatever reason; if that is none, it is a finding.
func (d *device) connect(ctx context.Context, l *life, on road, policy d2m.ExhaustedPolicy) *connection {
	d.mu.Lock()
	a := &attempt{d, l, on, policy, time.Now(), newChat(d.random), d.registered, d.gone, d.drops, d.underway}
	d.mu.Unlock()
	limit := loginLimit
	if on.faulty() {
		limit = on.after + upTo(d.random, 2*time.Second)
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if on.faulty() {
		defer context.AfterFunc(d.load, cancel)()
	}
	wire, info, err := a.login(limited)
	if err != nil {
		if wire != nil {
			wire.CloseNow()
		}
		a.fail(ctx, err)
		return nil
	}
	if l.isOver() { // then nobody knows which life it was that has answered
		wire.CloseNow()
		return nil
	}
	if problem := a.check(info); problem != "" {
		wire.CloseNow()
		d.findProblem(d, problem)
		return nil
	}
	return a.succeed(wire, info)
}

func (a *attempt) login(ctx context.Context) (*client.Wire, d2m.ServerInfo, error) {
	address, err := client.URL(a.life.address, a.keys.GroupID(), a.chat.serverGroup())
	if err != nil {
		return nil, d2m.ServerInfo{}, err
	}
	var dialer client.Dialer
	if a.road.kind != direct {
		dialer.DialContext = func(ctx context.Context, _, address string) (net.Conn, error) {
			return a.relay.dial(ctx, address, a.road)
		}
	}
	a.tally.roads[a.road.kind].Add(1)
	wire, err := dialer.Dial(ctx, address)
	if err != nil {
		return nil, d2m.ServerInfo{}, err
	}
	hello := d2m.ClientHello{
		DeviceID: a.id, DeviceInfo: a.info, SlotsExhausted: a.policy, Expiration: d2m.Persistent,
	}
	if a.volatile {
		hello.Expiration = d2m.Volatile
	}
	if a.registered {
		hello.Expected = d2m.SlotExisting
	}
	for _, message := range a.chat.early(a.random) {
		if err := wire.Send(ctx, message); err != nil {
			return wire, d2m.ServerInfo{}, err
		}
	}
	info, err := wire.Login(ctx, a.keys, hello, a.chat.early(a.random)...)
	return wire, info, err
}

// fail looks at why a login did not succeed.
func (a *attempt) fail(ctx context.Context, err error) {
	var closed *client.CloseError
	if !errors.As(err, &closed) {
		a.abandoned = a.life.number
		if ctx.Err() == nil && !a.life.isOver() && !a.road.faulty() {
			a.findProblem(a.device, fmt.Sprintf("login: %v, by a road that is %s\n%s",
				err, roadNames[a.road.kind], a.life.process.Log()))
		}
		return
	}
	a.tally.countEnd("login " + closeName(closed.Code))
	d := a.device
	switch closed.Code {
	case d2m.CloseSlotState:
		if a.registered && d.isExcused(byDrop|byLimit|byCrowd) {
			d.mu.Lock()
			d.registered = false
			d.mu.Unlock()
			return
		}
	case d2m.CloseDeviceLimit:
		if a.kind == crowded && a.policy == d2m.Reject {
			return
		}
	case d2m.CloseReplaced:
		if a.abandoned == a.life.number {
			return
		}
	case d2m.CloseDropped:
		unsettled := a.underway > 0 || d.sentDrops() > a.drops || a.kind == crowded
		if a.registered && d.isExcused(byDrop|byCrowd) || !a.registered && unsettled {
			return
		}
	case d2m.CloseQueueLimit:
		if d.isExcused(byLimit) {
			return
		}
	case d2m.CloseIdle:
		if a.road.kind != direct {
			return
		}
	case d2m.CloseGoingAway:
		if a.life.isOver() {
			return
		}
	}
	a.findProblem(d, "login: "+err.Error())
}

func (d *device) sentDrops() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.drops
}

// check compares a ServerInfo with what is known.
func (a *attempt) check(info d2m.ServerInfo) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case (info.SlotState == d2m.SlotExisting) != a.registered:
		return fmt.Sprintf("B7: expected another slot state than %v", info.SlotState)
	case a.registered && a.gone:
		return "B32: the slot is there, although it was told to be gone"
	case info.MaxDeviceSlots != maxSlots:
		return fmt.Sprintf("B8: ServerInfo tells of %d slots", info.MaxDeviceSlots)
	}
	mayBeAnew := a.kind == crowded || a.kind == flooded
	value := history.ContentOf(info.SharedDeviceData)
	problem := a.shared.check(value, a.began, mayBeAnew)
	if problem != "" {
		problem += fmt.Sprintf(" (slot %v, server %d)", info.SlotState, a.life.number) + a.shared.describe(value, time.Now())
	}
	return problem
}

// succeed makes the connection the device's.
func (a *attempt) succeed(wire *client.Wire, info d2m.ServerInfo) *connection {
	c := newConnection(a, wire, info)
	d := a.device
	d.recording.Lock()
	defer d.recording.Unlock()
	if old := d.current; old != nil {
		old.replaced = true
		if !old.ended {
			d.running.Go(func() { old.awaitReplaced() })
		}
	}
	d.current = c
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, drop := range d.dropping { // what the earlier connection has sent has no effect any more
		if !drop.acked {
			drop.target.underway--
		}
	}
	d.dropping = nil
	d.Record(history.Event{Kind: history.Connected, Server: a.life.number, NewSlot: !a.registered, Unsure: true})
	if !a.registered {
		d.registered, d.gone, d.excuses = true, false, 0
		if d.slots++; d.slots == 1 && d.id == 0 {
			close(d.first)
		}
		if d.kind == crowded {
			d.mayGo(byCrowd)
		}
		if d.overflows() {
			d.mayGo(byLimit)
		}
		if d.underway > 0 || a.underway > 0 || d.drops > a.drops {
			d.mayGo(byDrop)
		}
	}
	c.startReading()
	return c
}
