package crash

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
	"openmediator/internal/history"
)

// window is how many Reflects of a device wait for their ack at most.
const window = 16

// device does all that a device may do to its group, and writes down what comes of it. One goroutine at a time uses it.
type device struct {
	// fixed
	world *world
	group *devicekeys.Keys
	id    d2m.DeviceID

	*history.Recorder
	random     *rand.Rand
	quiet      bool // falls silent soon after it has connected
	registered bool // the slot exists
	reflects   uint64
	begins     uint64
}

// connection is a connection of a device on which it is registered.
type connection struct {
	*device
	life *life
	wire *client.Wire
	info d2m.ServerInfo

	incoming chan incoming // what was read; closed at the connection's end
	quit     chan struct{} // closed when nobody takes incoming any more

	dry     bool
	unacked int               // Reflects
	unread  []d2m.ReflectedID // not acknowledged
	habit   habit
	lock    lock
}

// incoming is a message or the end.
type incoming struct {
	message d2m.Message
	err     error
}

// habit is when a device acknowledges on one connection.
type habit int

const (
	atOnce habit = iota
	afterDry
	inHeaps  // of some, in any order
	unwilled // not all
	habits
)

// run keeps the device connected and busy until all is finished.
func (d *device) run(ctx context.Context) error {
	for {
		l := d.world.await(ctx)
		if l == nil {
			return ctx.Err()
		}
		c, err := d.connect(ctx, l)
		if err != nil {
			return err
		}
		if c != nil {
			if err := c.work(ctx); err != nil {
				return err
			}
		}
		select {
		case <-d.world.finish:
			return nil
		default:
		}
	}
}

// connect returns nil if the server ends meanwhile.
func (d *device) connect(ctx context.Context, l *life) (*connection, error) {
	address, err := client.URL(l.address, d.group.GroupID(), "0")
	if err != nil {
		return nil, err
	}
	wire, err := client.Dialer{}.Dial(ctx, address)
	if err != nil {
		return nil, d.lost(l, err)
	}
	hello := d2m.ClientHello{DeviceID: d.id, Expiration: d2m.Persistent}
	if d.registered {
		hello.Expected = d2m.SlotExisting
	}
	info, err := wire.Login(ctx, d.group, hello)
	if err != nil || l.isOver() { // then nobody knows which life it was that has answered
		wire.CloseNow()
		return nil, d.lost(l, err)
	}
	d.registered = true
	d.Record(history.Event{Kind: history.Connected, Server: l.number, NewSlot: info.SlotState == d2m.SlotNew})
	c := &connection{
		device: d, life: l, wire: wire, info: info,
		incoming: make(chan incoming), quit: make(chan struct{}),
		habit: habit(d.random.IntN(int(habits))),
	}
	go c.read(ctx)
	return c, nil
}

// lost judges the end of a connection. Only the server's end is a reason for one.
func (d *device) lost(l *life, err error) error {
	var closed *client.CloseError
	var lost *client.LostError
	var unreachable *client.UnreachableError
	if err == nil {
		return nil
	}
	goingAway := errors.As(err, &closed) && closed.Code == d2m.CloseGoingAway
	if l.isOver() && (goingAway || errors.As(err, &lost) || errors.As(err, &unreachable)) {
		return nil
	}
	return fmt.Errorf("device %d: %w\n%s", d.id, err, l.process.Log())
}

func (c *connection) read(ctx context.Context) {
	defer close(c.incoming)
	for {
		message, err := c.wire.Receive(ctx)
		select {
		case c.incoming <- incoming{message, err}:
		case <-c.quit:
			return
		}
		if err != nil {
			return
		}
	}
}

// end ends the connection. Nothing is recorded of it afterwards.
func (c *connection) end(orderly bool) {
	ended := history.Event{Kind: history.Ended, Orderly: orderly}
	if c.lock.stage == committing {
		c.life.changeCommitting(-1, c.device, ended)
	} else {
		c.Record(ended)
	}
	close(c.quit)
	if orderly {
		c.wire.Close(d2m.CloseNormal, "")
	} else {
		c.wire.CloseNow()
	}
	for range c.incoming {
	}
}

// work reflects, receives and acknowledges, until the connection is lost, the device has had enough of it, or all is
// finished and acked.
func (c *connection) work(ctx context.Context) error {
	defer c.end(false)
	pace := time.NewTimer(0)
	defer pace.Stop()
	var enough <-chan time.Time
	if c.random.IntN(4) == 0 {
		enough = time.After(c.upTo(200 * time.Millisecond))
	}
	finish := c.world.finish
	for {
		select {
		case <-pace.C:
			if err := c.burst(ctx); err != nil {
				return c.lost(c.life, err)
			}
			pace.Reset(c.rest())
		case in := <-c.incoming:
			if in.err != nil {
				return c.lost(c.life, in.err)
			}
			if err := c.handle(ctx, in.message); err != nil {
				return c.lost(c.life, err)
			}
		case <-enough:
			return nil
		case <-finish:
			finish, enough = nil, nil
			pace.Stop()
		}
		if c.lock.left {
			return nil
		}
		if finish == nil && c.unacked == 0 && c.lock.isAtRest() {
			return nil
		}
	}
}

// rest returns how long a device waits between two bursts.
func (c *connection) rest() time.Duration {
	if c.quiet && c.random.IntN(2) == 0 {
		return time.Minute
	}
	return c.upTo(20 * time.Millisecond)
}

func (d *device) upTo(limit time.Duration) time.Duration {
	return time.Duration(d.random.Int64N(int64(limit)))
}

// burst reflects some messages, or asks for the lock. A holder does neither: it goes by its acks.
func (c *connection) burst(ctx context.Context) error {
	if c.lock.stage == holding || c.lock.stage == committing {
		return nil
	}
	if c.random.IntN(c.reluctance()) == 0 {
		if err := c.begin(ctx); err != nil {
			return err
		}
	}
	for range c.random.IntN(8) {
		if c.unacked >= window {
			return nil
		}
		if err := c.reflect(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *connection) reflect(ctx context.Context) error {
	message := d2m.Reflect{ID: d2m.ReflectID(c.random.Uint32()), Envelope: c.envelope()}
	if c.random.IntN(10) == 0 {
		message.Flags = d2m.FlagEphemeral
	} else {
		c.unacked++
	}
	c.Record(history.Event{
		Kind: history.Sent, ReflectID: message.ID, Content: history.ContentOf(message.Envelope),
		Ephemeral: message.Flags != 0,
	})
	return c.wire.Send(ctx, message)
}

// envelope returns one that is unique in the group.
func (c *connection) envelope() []byte {
	c.reflects++
	size := 16 + c.random.IntN(300)
	if c.random.IntN(50) == 0 {
		size = 16 + c.random.IntN(d2m.MaxEnvelopeSize-15)
	}
	envelope := make([]byte, size)
	binary.LittleEndian.PutUint64(envelope, uint64(c.id))
	binary.LittleEndian.PutUint64(envelope[8:], c.reflects)
	for i := 16; i < size; i++ {
		envelope[i] = byte(i * int(c.reflects))
	}
	return envelope
}

// handle takes a message of the server.
func (c *connection) handle(ctx context.Context, message d2m.Message) error {
	switch m := message.(type) {
	case d2m.ReflectAck:
		c.Record(history.Event{Kind: history.Acked, ReflectID: m.ID, Timestamp: m.Timestamp})
		c.unacked--
		c.life.acks.count()
		if err := c.goOn(ctx); err != nil {
			return err
		}
	case d2m.Reflected:
		c.Record(history.Event{
			Kind: history.Received, ID: m.ID, Timestamp: m.Timestamp, Content: history.ContentOf(m.Envelope),
			Ephemeral: m.Flags&d2m.FlagEphemeral != 0,
		})
		c.unread = append(c.unread, m.ID)
		c.life.given.count()
	case d2m.ReflectionQueueDry:
		c.Record(history.Event{Kind: history.Dry})
		c.dry = true
	case d2m.RolePromotedToLeader:
		c.Record(history.Event{Kind: history.Promoted})
	case d2m.DevicesInfo:
	default:
		if err := c.handleTransaction(ctx, message); err != nil {
			return err
		}
	}
	return c.acknowledge(ctx)
}

// acknowledge sends acks, ephemerals' too, as the habit of the connection is.
func (c *connection) acknowledge(ctx context.Context) error {
	switch c.habit {
	case afterDry:
		if !c.dry {
			return nil
		}
	case inHeaps:
		if len(c.unread) < 20 {
			return nil
		}
		c.random.Shuffle(len(c.unread), func(i, k int) { c.unread[i], c.unread[k] = c.unread[k], c.unread[i] })
	case unwilled:
		c.unread = slices.DeleteFunc(c.unread, func(d2m.ReflectedID) bool { return c.random.IntN(50) == 0 })
	}
	for _, id := range c.unread {
		if err := c.wire.Send(ctx, d2m.ReflectedAck{ID: id}); err != nil {
			return err
		}
		c.Record(history.Event{Kind: history.AckSent, ID: id})
	}
	c.unread = c.unread[:0]
	return nil
}

// comeBack shows the server that the device's earlier connection is gone, and with it a lock that it may have held.
func (d *device) comeBack(ctx context.Context, l *life) error {
	c, err := d.connect(ctx, l)
	if c != nil {
		c.end(false)
	}
	return errors.Join(err, ctx.Err())
}

// drain takes what is left for the device and acknowledges it, in good order; then nothing is left.
func (d *device) drain(ctx context.Context, l *life) error {
	for _, all := range []bool{true, false} {
		c, err := d.connect(ctx, l)
		if err != nil || c == nil {
			return errors.Join(err, ctx.Err())
		}
		c.habit = atOnce
		received, err := c.takeQueue(ctx)
		c.end(err == nil)
		announced := int(c.info.ReflectionQueueLength)
		switch {
		case err != nil:
			return err
		case received != announced:
			d.world.t.Errorf("device %d: received %d messages, and %d were announced", d.id, received, announced)
		case !all && received > 0:
			d.world.t.Errorf("device %d: received %d messages after it had acknowledged all", d.id, received)
		}
	}
	return nil
}

// takeQueue reads and acknowledges all that is stored, and waits until the server has handled that: it answers in order.
func (c *connection) takeQueue(ctx context.Context) (received int, err error) {
	for in := range c.incoming {
		if in.err != nil {
			return 0, in.err
		}
		if err := c.handle(ctx, in.message); err != nil {
			return 0, err
		}
		switch in.message.(type) {
		case d2m.Reflected:
			received++
		case d2m.ReflectionQueueDry:
			err = c.wire.Send(ctx, d2m.GetDevicesInfo{})
		case d2m.DevicesInfo:
			return received, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, ctx.Err()
}
