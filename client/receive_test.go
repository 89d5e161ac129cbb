package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
)

func parseInfo(t *testing.T, plain []byte) devicekeys.DeviceInfo {
	t.Helper()
	info, err := devicekeys.ParseDeviceInfo(plain)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func parseEnvelope(t *testing.T, plain []byte) devicekeys.Envelope {
	t.Helper()
	envelope, err := devicekeys.ParseEnvelope(plain)
	if err != nil {
		t.Fatal(err)
	}
	return envelope
}

// handOver makes a config pass what is received to the test, which says whether it
// is handled.
func handOver(config *client.Config) (messages chan client.Message, handled chan error) {
	messages, handled = make(chan client.Message), make(chan error)
	config.Receive = func(ctx context.Context, m client.Message) error {
		select {
		case messages <- m:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case err := <-handled:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return messages, handled
}

// expectSilence fails if the device sends anything while the test does nothing.
func (p *peer) expectSilence() (received chan d2m.ReflectedID) {
	received = make(chan d2m.ReflectedID, 1)
	go func() {
		_, frame, err := p.socket.Read(context.Background())
		if err != nil {
			close(received)
			return
		}
		if m, err := d2m.Parse(frame); err == nil {
			if ack, ok := m.(d2m.ReflectedAck); ok {
				received <- ack.ID
				return
			}
		}
		p.t.Errorf("received %x", frame)
		close(received)
	}()
	synctest.Wait()
	select {
	case id, ok := <-received:
		p.t.Errorf("received an ack for %d (%v), want nothing", id, ok)
	default:
	}
	return received
}

func TestReceivedIsAckedOnlyWhenHandled(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		messages, handled := handOver(&config)
		start(t, config)
		p := f.register()
		p.send(d2m.Reflected{ID: 41, Timestamp: 1234, Envelope: sealText(t, "one")})
		m := <-messages
		if m.Envelope.Text != "one" || m.Envelope.Device != 8 || m.ID != 41 || m.Timestamp.UnixMilli() != 1234 || m.Ephemeral {
			t.Errorf("received %+v", m)
		}
		acked := p.expectSilence()
		handled <- nil
		if id := <-acked; id != 41 {
			t.Errorf("acked %d", id)
		}
	})
}

func TestB18_NotHandledComesAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		messages, handled := handOver(&config)
		start(t, config)
		p := f.register()
		one, two := sealText(t, "one"), sealText(t, "two")
		p.send(d2m.Reflected{ID: 1, Envelope: one}, d2m.Reflected{ID: 2, Envelope: two})
		<-messages
		handled <- errors.New("not now")
		if m := <-messages; m.Envelope.Text != "two" {
			t.Errorf("received %q, want two", m.Envelope.Text)
		}
		handled <- nil
		if ack := receive[d2m.ReflectedAck](p); ack.ID != 2 {
			t.Errorf("acked %d, want 2", ack.ID)
		}
		p.close(d2m.CloseGoingAway)

		p = f.register()
		p.send(d2m.Reflected{ID: 1, Envelope: one})
		if m := <-messages; m.Envelope.Text != "one" {
			t.Errorf("received %q, want one", m.Envelope.Text)
		}
		handled <- nil
		if ack := receive[d2m.ReflectedAck](p); ack.ID != 1 {
			t.Errorf("acked %d, want 1", ack.ID)
		}
	})
}

func TestReceivedAreHandledAndAckedInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		var got []string
		config.Receive = func(_ context.Context, m client.Message) error {
			got = append(got, m.Envelope.Text)
			return nil
		}
		start(t, config)
		p := f.register()
		var want []string
		go func() {
			for i := range 300 {
				p.send(d2m.Reflected{ID: d2m.ReflectedID(i), Envelope: sealText(t, fmt.Sprint(i))})
			}
		}()
		for i := range 300 {
			want = append(want, fmt.Sprint(i))
			if ack := receive[d2m.ReflectedAck](p); ack.ID != d2m.ReflectedID(i) {
				t.Fatalf("acked %d, want %d", ack.ID, i)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("handled in the order %v", got)
		}
	})
}

func TestRepeatedNonceIsAckedAndNotHandedOn(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		count := 0
		config.Receive = func(context.Context, client.Message) error { count++; return nil }
		start(t, config)
		p := f.register()
		sealed := sealText(t, "once")
		for id := d2m.ReflectedID(1); id <= 3; id++ {
			p.send(d2m.Reflected{ID: id, Envelope: sealed})
			if ack := receive[d2m.ReflectedAck](p); ack.ID != id {
				t.Errorf("acked %d, want %d", ack.ID, id)
			}
		}
		if count != 1 {
			t.Errorf("handled %d times", count)
		}
	})
}

// The connection ends while a message is being handled, so its ack is lost.
func TestRepeatedNonceAcrossConnections(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		messages, handled := handOver(&config)
		start(t, config)
		p := f.register()
		sealed := sealText(t, "once")
		p.send(d2m.Reflected{ID: 5, Envelope: sealed})
		<-messages
		p.socket.CloseNow()
		synctest.Wait()
		handled <- nil

		p = f.register()
		p.expectSilence() // acks do not outlive their connection
		p.socket.CloseNow()

		p = f.register()
		p.send(d2m.Reflected{ID: 5, Envelope: sealed})
		if ack := receive[d2m.ReflectedAck](p); ack.ID != 5 {
			t.Errorf("acked %d, want 5", ack.ID)
		}
		select {
		case m := <-messages:
			t.Errorf("received %q again", m.Envelope.Text)
		default:
		}
	})
}

func TestB20_EphemeralIsNotAcked(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		var got []bool
		config.Receive = func(_ context.Context, m client.Message) error {
			got = append(got, m.Ephemeral)
			return nil
		}
		start(t, config)
		p := f.register()
		typing := sealText(t, "typing")
		p.send(d2m.Reflected{ID: 1, Flags: d2m.FlagEphemeral, Envelope: typing},
			d2m.Reflected{ID: 2, Flags: d2m.FlagEphemeral, Envelope: typing},
			d2m.Reflected{ID: 3, Envelope: sealText(t, "stored")})
		if ack := receive[d2m.ReflectedAck](p); ack.ID != 3 {
			t.Errorf("acked %d, want only 3", ack.ID)
		}
		if !slices.Equal(got, []bool{true, false}) {
			t.Errorf("ephemeral flags of what was handled: %v", got)
		}
	})
}

func TestUnreadableIsReportedAndAcked(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		foreign, err := mustKeys(2).SealEnvelope(zeroes{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		notProtobuf, err := testKeys.SealEnvelope(zeroes{}, []byte{0xff})
		if err != nil {
			t.Fatal(err)
		}
		config := f.config()
		config.Receive = func(_ context.Context, m client.Message) error {
			t.Errorf("received %+v", m)
			return nil
		}
		reported := 0
		config.OnUnreadable = func(error) { reported++ }
		start(t, config)
		p := f.register()
		for id, envelope := range [][]byte{nil, []byte("short"), foreign, notProtobuf} {
			p.send(d2m.Reflected{ID: d2m.ReflectedID(id), Envelope: envelope})
			if ack := receive[d2m.ReflectedAck](p); int(ack.ID) != id {
				t.Errorf("acked %d, want %d", ack.ID, id)
			}
		}
		if reported != 4 {
			t.Errorf("OnUnreadable was called %d times", reported)
		}
	})
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestDeviceWithoutReceiveLeavesMessages(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		for i := range 200 {
			p.send(d2m.Reflected{ID: d2m.ReflectedID(i), Envelope: sealText(t, "x")})
		}
		result := goReflect(t.Context(), d, "hello")
		m := receive[d2m.Reflect](p) // and no ack before it
		p.send(d2m.ReflectAck{ID: m.ID})
		if got := <-result; got.err != nil {
			t.Error(got.err)
		}
	})
}

// While Receive takes nothing, the device reads only as much as it may keep, and it
// does not take the silence that it causes for the server's end.
func TestReceiveThatBlocksStopsReading(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		const total, kept = 200, 64
		config := f.config()
		release := make(chan struct{})
		config.Receive = func(ctx context.Context, _ client.Message) error { <-release; return nil }
		d := start(t, config)
		p := f.register()
		sent := make(chan int, total)
		large := strings.Repeat("x", 60_000)
		go func() {
			for i := range total {
				p.send(d2m.Reflected{ID: d2m.ReflectedID(i), Envelope: sealText(t, large)})
				sent <- i
			}
		}()
		<-time.After(10 * time.Minute)
		synctest.Wait()
		// One more is being handled, one waits, one is on its way.
		if n := len(sent); n < kept || n > kept+3 {
			t.Errorf("the device took %d of %d messages, want about %d", n, total, kept)
		}
		if !d.Connected() {
			t.Error("the device has left a server that it does not read from")
		}
		close(release)
		for i := range total {
			if ack := receive[d2m.ReflectedAck](p); int(ack.ID) != i {
				t.Fatalf("acked %d, want %d", ack.ID, i)
			}
		}
	})
}

func TestReceiveCannotWaitForAnAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		var d *client.Device
		ready := make(chan struct{})
		receipts := make(chan *client.Receipt, 1)
		config.Receive = func(ctx context.Context, _ client.Message) error {
			<-ready
			if _, err := d.Reflect(ctx, text("reply")); !errors.Is(err, client.ErrInReceive) {
				t.Errorf("Reflect: %v", err)
			}
			if _, err := d.Devices(ctx); !errors.Is(err, client.ErrInReceive) {
				t.Errorf("Devices: %v", err)
			}
			receipt, err := d.Submit(ctx, text("reply"))
			if err != nil {
				t.Errorf("Submit: %v", err)
				return nil
			}
			if _, err := receipt.Wait(ctx); !errors.Is(err, client.ErrInReceive) {
				t.Errorf("Wait: %v", err)
			}
			receipts <- receipt
			return nil
		}
		d = start(t, config)
		close(ready)
		p := f.register()
		p.send(d2m.Reflected{ID: 1, Envelope: sealText(t, "question")})
		var reply d2m.Reflect
		for range 2 { // the reply and the ack, in either order
			_, frame, err := p.socket.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if m, _ := d2m.Parse(frame); m.Type() == d2m.TypeReflect {
				reply = m.(d2m.Reflect)
			}
		}
		if openText(t, reply.Envelope) != "reply" {
			t.Error("the submitted reply has not come")
		}
		p.send(d2m.ReflectAck{ID: reply.ID, Timestamp: 9})
		if at, err := (<-receipts).Wait(t.Context()); err != nil || at.UnixMilli() != 9 {
			t.Errorf("Wait: %v, %v", at, err)
		}
	})
}

// Within Receive, Submit waits for room as long as answers can make some: not when
// they come behind messages that wait for Receive, nor when there is no connection.
func TestReceiveCannotWaitForRoom(t *testing.T) {
	for name, jam := range map[string]func(p *peer){
		"inbox full": func(p *peer) {
			for id := range d2m.ReflectedID(65) { // 64 wait for Receive, one waits for those
				p.send(d2m.Reflected{ID: id + 2, Envelope: sealText(p.t, "x")})
			}
		},
		"connection lost": func(p *peer) { p.socket.CloseNow() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fakeServer) {
				result := make(chan error)
				startSubmitting(t, f.config(), 1000, result)
				p := f.register()
				p.send(d2m.Reflected{ID: 1, Envelope: sealText(t, "question")})
				go p.discard()
				<-time.After(time.Hour)
				jam(p)
				wantNotSent(t, <-result, client.ErrInReceive)
			})
		})
	}
}

// The server takes its time to answer, and that is all.
func TestReceiveSubmitsMoreThanIsAnswered(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		const total, window = 1000, 250
		result := make(chan error)
		startSubmitting(t, f.config(), total, result)
		p := f.register()
		p.send(d2m.Reflected{ID: 1, Envelope: sealText(t, "question")})
		for range total / window {
			var acks []d2m.Message
			for range window {
				acks = append(acks, d2m.ReflectAck{ID: receive[d2m.Reflect](p).ID})
			}
			<-time.After(30 * time.Second)
			p.send(acks...)
		}
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

// The server takes its time to read. The device does not read either, but until there
// are too many requests without an answer that is no reason to give up.
func TestReceiveSubmitsMoreThanIsRead(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		result := make(chan error)
		startSubmitting(t, f.config(), 300, result)
		p := f.register()
		for id := range d2m.ReflectedID(66) {
			p.send(d2m.Reflected{ID: id, Envelope: sealText(t, "x")})
		}
		<-time.After(30 * time.Second)
		go p.discard()
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

// startSubmitting starts a device that answers its first message by many.
func startSubmitting(t *testing.T, config client.Config, answers int, result chan error) {
	t.Helper()
	var d *client.Device
	ready := make(chan struct{})
	config.Receive = func(ctx context.Context, _ client.Message) (err error) {
		<-ready
		for range answers {
			if _, err = d.Submit(ctx, text(strings.Repeat("x", 1000))); err != nil {
				break
			}
		}
		result <- err
		<-ctx.Done()
		return err
	}
	d = start(t, config)
	close(ready)
}

// failingNonces is a store whose disk is full.
type failingNonces struct{ contains, add error }

func (f failingNonces) Contains([24]byte) (bool, error) { return false, f.contains }
func (f failingNonces) Add([24]byte) error              { return f.add }

func TestNonceStoreThatFailsEndsDevice(t *testing.T) {
	full := errors.New("disk full")
	for name, nonces := range map[string]failingNonces{"Contains": {contains: full}, "Add": {add: full}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fakeServer) {
				config := f.config()
				config.Nonces = nonces
				config.Receive = func(context.Context, client.Message) error { return nil }
				d := start(t, config)
				p := f.register()
				p.send(d2m.Reflected{ID: 1, Envelope: sealText(t, "x")})
				if code := p.receiveEnd(); code != websocket.StatusNormalClosure { // and no ack
					t.Errorf("closed with %d", code)
				}
				<-d.Done()
				if !errors.Is(d.Err(), full) {
					t.Errorf("ended with %v", d.Err())
				}
			})
		})
	}
}

func TestB12_LeaderAndQueueEvents(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		events := make(chan string, 10)
		config.OnConnected = func(info d2m.ServerInfo) { events <- fmt.Sprint("connected ", info.MaxDeviceSlots) }
		config.Receive = func(_ context.Context, m client.Message) error { events <- m.Envelope.Text; return nil }
		config.OnQueueDry = func() { events <- "dry" }
		config.OnLeader = func() { events <- "leader" }
		d := start(t, config)
		p := f.register()
		p.send(d2m.Reflected{ID: 1, Envelope: sealText(t, "one")}, d2m.ReflectionQueueDry{})
		for _, want := range []string{"connected 10", "one", "dry"} {
			if got := <-events; got != want {
				t.Errorf("event %q, want %q", got, want)
			}
		}
		receive[d2m.ReflectedAck](p)
		if d.IsLeader() {
			t.Error("is leader before it was promoted")
		}
		p.send(d2m.RolePromotedToLeader{})
		if got := <-events; got != "leader" || !d.IsLeader() {
			t.Errorf("event %q, IsLeader %v", got, d.IsLeader())
		}

		// Leadership ends with the connection.
		p.close(d2m.CloseGoingAway)
		synctest.Wait()
		if d.IsLeader() || d.Connected() {
			t.Errorf("IsLeader %v, Connected %v without a connection", d.IsLeader(), d.Connected())
		}
		p = f.register()
		p.send(d2m.ReflectionQueueDry{})
		for _, want := range []string{"connected 10", "dry"} {
			if got := <-events; got != want {
				t.Errorf("event %q, want %q", got, want)
			}
		}
		if d.IsLeader() {
			t.Error("is leader on the new connection")
		}
	})
}
