package client_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"openmediator/client"
	"openmediator/csp"
	"openmediator/d2m"
)

func TestCloseSends1000AndWaitsForAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		synctest.Wait()
		closed := make(chan struct{})
		go func() { d.Close(); close(closed) }()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("Close has not waited for the server's Close")
		default:
		}
		if code := p.receiveEnd(); code != websocket.StatusNormalClosure {
			t.Errorf("closed with %d, want 1000", code)
		}
		<-closed
		if !errors.Is(d.Err(), client.ErrClosed) {
			t.Errorf("ended with %v", d.Err())
		}
		d.Close() // once more does no harm
	})
}

func TestCloseOfServerThatDoesNotAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		// A server that reads nothing, with much on its way to it.
		for range 40 {
			go d.ReflectSealed(t.Context(), make([]byte, d2m.MaxEnvelopeSize))
		}
		synctest.Wait()
		before := time.Now()
		d.Close()
		if took := time.Since(before); took > 10*time.Second {
			t.Errorf("Close took %v", took)
		}
		p.socket.CloseNow()
	})
}

// Acks that have no room do not hold up Close if the server never reads, and all of
// them leave if it does after all.
func TestCloseWithoutRoomForAcks(t *testing.T) {
	for name, reads := range map[string]bool{"never read": false, "read at last": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fakeServer) {
				config := f.config()
				const messages = 70 // the acks of 64 wait, that of one more has no room
				handled := 0
				config.Receive = func(context.Context, client.Message) error { handled++; return nil }
				d := start(t, config)
				p := f.register()
				fillSending(t, d)
				for id := range d2m.ReflectedID(messages) {
					p.send(d2m.Reflected{ID: id, Envelope: sealText(t, "x")})
				}
				synctest.Wait()
				acks := 0
				closeInTime(t, d, func() {
					if reads {
						acks = countUntilClose(p, func(m d2m.Message) bool { return m.Type() == d2m.TypeReflectedAck })
					}
				})
				if reads && (acks != handled || handled != 65) {
					t.Errorf("%d messages were handled and %d acked", handled, acks)
				}
			})
		})
	}
}

func TestCloseWithoutRoomForChatAcks(t *testing.T) {
	for name, reads := range map[string]bool{"never read": false, "read at last": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fakeServer) {
				config := f.chatConfig()
				const messages = 66 // one is being handled, 64 wait for that, one waits for those
				handled := 0
				release := make(chan struct{})
				config.Chat.Receive = func(context.Context, client.ChatMessage) error { <-release; handled++; return nil }
				d := start(t, config)
				p := f.registerChat()
				p.promote()
				for id := range csp.MessageID(messages) {
					p.deliver(fromBob(t, id, "x"))
					p.takeReflect()
				}
				fillSending(t, d)
				close(release)
				synctest.Wait()
				acks := 0
				closeInTime(t, d, func() {
					if reads {
						acks = countUntilClose(p.peer, func(m d2m.Message) bool {
							proxy, ok := m.(d2m.Proxy)
							return ok && p.open(proxy).Type == csp.IncomingMessageAck
						})
					}
				})
				if reads && (acks != handled || handled != 65) {
					t.Errorf("%d messages were handled and %d acked", handled, acks)
				}
			})
		})
	}
}

// closeInTime closes a device, for which it has 10 s, while something else happens.
func closeInTime(t *testing.T, d *client.Device, meanwhile func()) {
	t.Helper()
	before := time.Now()
	closed := goDo(func() error { d.Close(); return nil })
	synctest.Wait()
	meanwhile()
	<-closed
	if took := time.Since(before); took > 10*time.Second {
		t.Errorf("Close took %v", took)
	}
}

// fillSending has a device send more than there is room for, to a server that does
// not read.
func fillSending(t *testing.T, d *client.Device) {
	t.Helper()
	for range 5 {
		go d.ReflectSealed(t.Context(), make([]byte, d2m.MaxEnvelopeSize))
	}
	synctest.Wait()
}

// countUntilClose reads until the device closes with 1000.
func countUntilClose(p *peer, counts func(d2m.Message) bool) (n int) {
	p.t.Helper()
	for {
		_, frame, err := p.socket.Read(p.t.Context())
		if err != nil {
			if code := websocket.CloseStatus(err); code != websocket.StatusNormalClosure {
				p.t.Errorf("closed with %v", err)
			}
			return n
		}
		message, err := d2m.Parse(frame)
		if err != nil {
			p.t.Fatal(err)
		}
		if counts(message) {
			n++
		}
	}
}

func TestCloseWithoutConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config()) // waits for the network
		synctest.Wait()
		before := time.Now()
		d.Close()
		if took := time.Since(before); took > 0 {
			t.Errorf("Close took %v", took)
		}

		d = start(t, f.config())
		f.accept().socket.CloseNow()
		synctest.Wait() // and now between two attempts
		before = time.Now()
		d.Close()
		if took := time.Since(before); took > 0 {
			t.Errorf("Close took %v", took)
		}

		d = start(t, f.config())
		f.accept() // and now for ServerHello
		synctest.Wait()
		d.Close()
		if !errors.Is(d.Err(), client.ErrClosed) {
			t.Errorf("ended with %v", d.Err())
		}
	})
}

// What is being handled when Close is called is acked, unless it is given up;
// nothing more is begun.
func TestCloseWaitsForReceive(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		entered, release := make(chan struct{}), make(chan struct{})
		count := 0
		config.Receive = func(ctx context.Context, _ client.Message) error {
			count++
			entered <- struct{}{}
			<-ctx.Done()
			<-release
			return nil
		}
		d := start(t, config)
		p := f.register()
		p.send(d2m.Reflected{ID: 1, Envelope: sealText(t, "one")}, d2m.Reflected{ID: 2, Envelope: sealText(t, "two")})
		<-entered
		closed := make(chan struct{})
		go func() { d.Close(); close(closed) }()
		synctest.Wait()
		close(release)
		if ack := receive[d2m.ReflectedAck](p); ack.ID != 1 {
			t.Errorf("acked %d, want 1", ack.ID)
		}
		if code := p.receiveEnd(); code != websocket.StatusNormalClosure {
			t.Errorf("closed with %d, want 1000", code)
		}
		<-closed
		if count != 1 {
			t.Errorf("%d messages were handled", count)
		}
	})
}

func TestCloseWhileReadingWaitsForReceive(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		config.Receive = func(ctx context.Context, _ client.Message) error { <-ctx.Done(); return ctx.Err() }
		d := start(t, config)
		p := f.register()
		for id := range d2m.ReflectedID(66) { // one is handled, 64 wait, one waits for those
			p.send(d2m.Reflected{ID: id, Envelope: sealText(t, "x")})
		}
		synctest.Wait()
		closed := goDo(func() error { d.Close(); return nil })
		if code := p.receiveEnd(); code != websocket.StatusNormalClosure {
			t.Errorf("closed with %d, want 1000", code)
		}
		<-closed
	})
}

// Acks that wait because the server has not read for a while leave before Close.
func TestCloseSendsAcksThatWait(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		config.Receive = func(context.Context, client.Message) error { return nil }
		d := start(t, config)
		p := f.register()
		const reflects = 5
		for range reflects {
			go d.ReflectSealed(t.Context(), make([]byte, d2m.MaxEnvelopeSize))
		}
		synctest.Wait()
		for id := range d2m.ReflectedID(3) {
			p.send(d2m.Reflected{ID: id, Envelope: sealText(t, "x")})
		}
		synctest.Wait()
		closed := goDo(func() error { d.Close(); return nil })
		synctest.Wait()
		var acks []d2m.ReflectedID
		for {
			_, frame, err := p.socket.Read(t.Context())
			if err != nil {
				if code := websocket.CloseStatus(err); code != websocket.StatusNormalClosure {
					t.Errorf("closed with %v", err)
				}
				break
			}
			if m, _ := d2m.Parse(frame); m.Type() == d2m.TypeReflectedAck {
				acks = append(acks, m.(d2m.ReflectedAck).ID)
			}
		}
		if !slices.Equal(acks, []d2m.ReflectedID{0, 1, 2}) {
			t.Errorf("acked %v", acks)
		}
		<-closed
	})
}

// The server's Close is answered even if the device has much to handle.
func TestCloseOfServerIsAnswered(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		config.Receive = func(ctx context.Context, _ client.Message) error { <-ctx.Done(); return ctx.Err() }
		start(t, config)
		p := f.register()
		for i := range 30 {
			p.send(d2m.Reflected{ID: d2m.ReflectedID(i), Envelope: sealText(t, "x")})
		}
		before := time.Now()
		p.close(d2m.CloseGoingAway)
		if took := time.Since(before); took > 0 {
			t.Errorf("the answer took %v", took)
		}
	})
}

// A connection that is over is closed at once, so that another device can lead, and
// not when Receive has ended; the next one waits for that.
func TestEndDoesNotWaitForReceive(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		entered, release := make(chan struct{}), make(chan struct{})
		config.Receive = func(context.Context, client.Message) error { close(entered); <-release; return nil }
		told := recordDisconnections(&config)
		start(t, config)
		p := f.register()
		p.send(d2m.Reflected{ID: 1, Envelope: sealText(t, "x")})
		<-entered
		ended := make(chan websocket.StatusCode, 1)
		go func() { ended <- p.receiveEnd() }()
		p.send(d2m.CommitTransactionAck{}) // answers nothing
		synctest.Wait()
		if len(ended) == 0 || len(told) > 0 {
			t.Errorf("closed: %v, OnDisconnected was called beside Receive: %v", len(ended) > 0, len(told) > 0)
		}
		close(release)
		if code := <-ended; code != websocket.StatusCode(d2m.CloseProtocolError) {
			t.Errorf("closed with %d, want 4010", code)
		}
		<-told
	})
}

func TestSilentServerIsLeft(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		told := recordDisconnections(&config)
		start(t, config)
		p := f.register()
		p.mute = true
		go p.discard()
		before := time.Now()
		<-p.pings
		if waited := time.Since(before); waited < time.Minute {
			t.Errorf("pinged after %v of silence", waited)
		}
		var lost *client.LostError
		if got := <-told; !errors.As(got.err, &lost) {
			t.Errorf("disconnected by %v", got.err)
		}
		if waited := time.Since(before); waited > 2*time.Minute {
			t.Errorf("left after %v of silence", waited)
		}
		f.register()
	})
}

func TestServerThatPingsIsNotPinged(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		go p.discard()
		for range 100 {
			if err := p.socket.Ping(t.Context()); err != nil { // waits for the pong
				t.Fatal(err)
			}
			<-time.After(25 * time.Second)
		}
		if len(p.pings) > 0 || !d.Connected() {
			t.Errorf("pings: %d, Connected: %v", len(p.pings), d.Connected())
		}
	})
}

func TestServerThatAnswersPingsIsKept(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		go p.discard()
		before := time.Now()
		for range 100 {
			<-p.pings
		}
		if often := time.Since(before) / 100; often < time.Minute {
			t.Errorf("pinged every %v", often)
		}
		if !d.Connected() {
			t.Error("the device has left")
		}
	})
}

// Whatever a server sends shows that it is there, though it answers no ping.
func TestServerThatSpeaksIsKept(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		p.mute = true
		go p.discard()
		for range 20 {
			<-p.pings
			<-time.After(10 * time.Second)
			p.send(d2m.TransactionEnded{})
		}
		if !d.Connected() {
			t.Error("the device has left")
		}
	})
}
