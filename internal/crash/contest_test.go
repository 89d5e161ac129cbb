package crash

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
	"openmediator/internal/history"
	"openmediator/mediator"
	"openmediator/reflect/memstore"
)

// rounds is how often two devices ask for the lock in the same instant.
const rounds = 1000

// TestB24_B25_B27_TwoBeginInTheSameInstant has two devices compete for the lock over real connections: one gets it and the
// other hears of its end after it has the winner's messages, every time.
func TestB24_B25_B27_TwoBeginInTheSameInstant(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	run := history.NewRun()
	address := serveInMemory(t)
	keys, err := devicekeys.FromGroupKey([32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	var contestants [2]*contestant
	for i := range contestants {
		id := d2m.DeviceID(i + 1)
		contestants[i] = &contestant{id: id, Recorder: run.Device(id)}
		if err := contestants[i].login(ctx, address, keys, run); err != nil {
			t.Fatal(err)
		}
		defer contestants[i].wire.CloseNow()
	}
	wins := [2]int{}
	for round := range rounds {
		results := compete(ctx, contestants, round)
		for i, result := range results {
			if result.err != nil {
				t.Fatalf("round %d, device %d: %v", round, i+1, result.err)
			}
			if result.won {
				wins[i]++
			}
		}
		if err := judge(results[0], results[1]); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	t.Logf("%d rounds, won %v", rounds, wins)
	if wins[0] == 0 || wins[1] == 0 {
		t.Error("one device has always won")
	}
	recorders := []*history.Recorder{contestants[0].Recorder, contestants[1].Recorder}
	if err := history.Check(run.History(recorders)); err != nil {
		t.Error(err)
	}
}

// serveInMemory runs a mediator on loopback until the end of the test and returns its address.
func serveInMemory(t *testing.T) string {
	t.Helper()
	server, err := mediator.New(memstore.New(), mediator.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Shutdown(context.Background())
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return "ws://" + listener.Addr().String()
}

// contestant is a device that asks for the lock whenever the other does.
type contestant struct {
	// fixed
	id d2m.DeviceID
	*history.Recorder
	wire *client.Wire
}

// outcome is what a round was for one device.
type outcome struct {
	won      bool
	messages []history.Content // reflected, or received before the end of the other's transaction
	err      error
}

// login registers the device and reads until its queue is dry.
func (c *contestant) login(ctx context.Context, address string, keys *devicekeys.Keys, run *history.Run) error {
	url, err := client.URL(address, keys.GroupID(), "0")
	if err != nil {
		return err
	}
	if c.id == 1 {
		run.ServerStarted()
	}
	if c.wire, err = (client.Dialer{}).Dial(ctx, url); err != nil {
		return err
	}
	info, err := c.wire.Login(ctx, keys, d2m.ClientHello{DeviceID: c.id, Expiration: d2m.Persistent})
	if err != nil {
		return err
	}
	c.Record(history.Event{Kind: history.Connected, Server: 1, NewSlot: info.SlotState == d2m.SlotNew})
	message, err := c.wire.Receive(ctx)
	if err != nil {
		return err
	}
	if _, dry := message.(d2m.ReflectionQueueDry); !dry {
		return fmt.Errorf("%v is not expected", message.Type())
	}
	c.Record(history.Event{Kind: history.Dry})
	return nil
}

// compete has both begin at the same time. Only when both have their answer the winner goes on.
func compete(ctx context.Context, contestants [2]*contestant, round int) (results [2]outcome) {
	both := func(do func(*contestant, *outcome) error) {
		start := make(chan struct{})
		var running sync.WaitGroup
		for n := range contestants {
			i := (n + round) % len(contestants) // on a busy processor the last one in this order is the first to run
			running.Go(func() {
				<-start
				if results[i].err == nil {
					results[i].err = do(contestants[i], &results[i])
				}
			})
		}
		close(start)
		running.Wait()
	}
	both(func(c *contestant, o *outcome) error { return c.begin(ctx, round, o) })
	both(func(c *contestant, o *outcome) error { return c.finish(ctx, round, o) })
	return results
}

// judge compares the outcomes of a round.
func judge(a, b outcome) error {
	if a.won == b.won {
		return fmt.Errorf("both have won: %v", a.won)
	}
	if len(a.messages) != len(b.messages) {
		return fmt.Errorf("%d messages were reflected or received before the end, and %d", len(a.messages), len(b.messages))
	}
	for i := range a.messages {
		if a.messages[i] != b.messages[i] {
			return fmt.Errorf("message %d is not the one that was reflected", i)
		}
	}
	return nil
}

// begin asks for the lock and waits for the answer.
func (c *contestant) begin(ctx context.Context, round int, o *outcome) error {
	scope := fmt.Appendf(nil, "%d/%d", c.id, round)
	c.Record(history.Event{Kind: history.BeginSent, Content: history.ContentOf(scope)})
	if err := c.wire.Send(ctx, d2m.BeginTransaction{Scope: scope}); err != nil {
		return err
	}
	return c.readUntil(ctx, o, d2m.TypeBeginTransactionAck, d2m.TypeTransactionRejected)
}

// finish has the winner commit some messages and wait for the ack; the loser waits for the end.
func (c *contestant) finish(ctx context.Context, round int, o *outcome) error {
	if !o.won {
		return c.readUntil(ctx, o, d2m.TypeTransactionEnded)
	}
	if err := c.transact(ctx, round, o); err != nil {
		return err
	}
	return c.readUntil(ctx, o, d2m.TypeCommitTransactionAck)
}

// readUntil reads until a message of one of the types has come.
func (c *contestant) readUntil(ctx context.Context, o *outcome, last ...d2m.Type) error {
	for {
		message, err := c.wire.Receive(ctx)
		if err == nil {
			err = c.handle(ctx, message, o)
		}
		if err != nil || slices.Contains(last, message.Type()) {
			return err
		}
		switch message.(type) {
		case d2m.Reflected, d2m.ReflectAck, d2m.RolePromotedToLeader:
		default:
			return fmt.Errorf("%v is not expected", message.Type())
		}
	}
}

// handle records a message.
func (c *contestant) handle(ctx context.Context, message d2m.Message, o *outcome) error {
	switch m := message.(type) {
	case d2m.BeginTransactionAck:
		c.Record(history.Event{Kind: history.BeginAcked})
		o.won = true
	case d2m.TransactionRejected:
		c.Record(history.Event{Kind: history.Rejected, Holder: m.DeviceID, Content: history.ContentOf(m.Scope)})
	case d2m.ReflectAck:
		c.Record(history.Event{Kind: history.Acked, ReflectID: m.ID, Timestamp: m.Timestamp})
	case d2m.TransactionEnded:
		c.Record(history.Event{Kind: history.TransactionEnded, Holder: m.DeviceID, Content: history.ContentOf(m.Scope)})
	case d2m.CommitTransactionAck:
		c.Record(history.Event{Kind: history.CommitAcked})
	case d2m.RolePromotedToLeader:
		c.Record(history.Event{Kind: history.Promoted})
	case d2m.Reflected:
		content := history.ContentOf(m.Envelope)
		c.Record(history.Event{Kind: history.Received, ID: m.ID, Timestamp: m.Timestamp, Content: content})
		o.messages = append(o.messages, content)
		if err := c.wire.Send(ctx, d2m.ReflectedAck{ID: m.ID}); err != nil {
			return err
		}
		c.Record(history.Event{Kind: history.AckSent, ID: m.ID})
	}
	return nil
}

// transact reflects and commits without waiting for acks.
func (c *contestant) transact(ctx context.Context, round int, o *outcome) error {
	for i := range 1 + round%maxStaged {
		envelope := fmt.Appendf(nil, "%d/%d/%d", c.id, round, i)
		content := history.ContentOf(envelope)
		o.messages = append(o.messages, content)
		c.Record(history.Event{Kind: history.Sent, ReflectID: d2m.ReflectID(i), Content: content})
		if err := c.wire.Send(ctx, d2m.Reflect{ID: d2m.ReflectID(i), Envelope: envelope}); err != nil {
			return err
		}
	}
	c.Record(history.Event{Kind: history.CommitSent})
	return c.wire.Send(ctx, d2m.CommitTransaction{})
}
