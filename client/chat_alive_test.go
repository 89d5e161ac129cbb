package client_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"openmediator/client"
	"openmediator/csp"
	"openmediator/d2m"
)

func TestChatEchoIsAnswered(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		start(t, f.chatConfig())
		c := f.registerChat()
		for _, data := range []string{"", "echo", string(make([]byte, csp.MaxDataSize))} {
			c.sendPayload(csp.EchoRequest, []byte(data))
			if got := c.receivePayload(csp.EchoResponse); string(got) != data {
				t.Errorf("echo of %d bytes has %d", len(data), len(got))
			}
		}
	})
}

// A chat server that answers is asked every 15 s, and kept.
func TestChatEchoKeepsConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.chatConfig())
		c := f.registerChat()
		for range 100 {
			before := time.Now()
			data := c.receivePayload(csp.EchoRequest)
			if silent := time.Since(before); silent != 15*time.Second {
				t.Fatalf("asked after %v of silence, want 15 s", silent)
			}
			<-time.After(9 * time.Second)
			c.sendPayload(csp.EchoResponse, data)
			synctest.Wait()
		}
		if !d.Connected() {
			t.Error("the device has left")
		}
	})
}

// One that says something is not asked.
func TestChatEchoOnlyAfterSilence(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		start(t, f.chatConfig())
		c := f.registerChat()
		for range 20 {
			c.sendPayload(csp.QueueSendComplete, nil)
			<-time.After(14 * time.Second)
		}
		c.sendPayload(csp.EchoRequest, nil)
		c.receivePayload(csp.EchoResponse) // and nothing before
	})
}

func TestChatServerThatIsSilentIsLeft(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.chatConfig()
		told := recordDisconnections(&config)
		start(t, config)
		c := f.registerChat()
		before := time.Now()
		c.receivePayload(csp.EchoRequest)
		c.send(d2m.TransactionEnded{}) // of the mediator: no sign of the chat server
		var lost *client.LostError
		if got := <-told; !errors.As(got.err, &lost) {
			t.Errorf("disconnected by %v", got.err)
		}
		if took := time.Since(before); took != 25*time.Second {
			t.Errorf("left after %v, want 25 s", took)
		}
		f.registerChat()
	})
}

// While a slow Receive keeps the connection from being read, the chat server may
// have answered long ago.
func TestChatEchoWhileNotReading(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.chatConfig()
		release := make(chan struct{})
		config.Receive = func(context.Context, client.Message) error { <-release; return nil }
		d := start(t, config)
		c := f.registerChat()
		const count = 70 // more than wait for Receive
		sent := goDo(func() error {
			for id := range d2m.ReflectedID(count) {
				c.send(d2m.Reflected{ID: id, Envelope: sealText(t, "x")})
			}
			return nil
		})
		<-time.After(10 * time.Minute)
		close(release)
		<-sent
		for acks := 0; acks < count; {
			_, frame, err := c.socket.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			switch m, _ := d2m.Parse(frame); m := m.(type) {
			case d2m.ReflectedAck:
				acks++
			case d2m.Proxy:
				c.open(m)
			}
		}
		if !d.Connected() {
			t.Error("the device has left")
		}
	})
}

// The time in which the connection was not read does not count, also when it is read
// again before it is up.
func TestChatEchoAfterNotReading(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.chatConfig()
		release := make(chan struct{})
		config.Receive = func(context.Context, client.Message) error { <-release; return nil }
		d := start(t, config)
		c := f.registerChat()
		c.receivePayload(csp.EchoRequest)
		for id := range d2m.ReflectedID(66) { // one is handled, 64 wait, one waits for those
			c.send(d2m.Reflected{ID: id, Envelope: sealText(t, "x")})
		}
		<-time.After(9 * time.Second)
		release <- struct{}{}
		<-time.After(9 * time.Second)
		if !d.Connected() {
			t.Error("the device has left")
		}
		close(release)
	})
}

// A chat server that asks for echoes and reads none is not kept company.
func TestChatServerThatFloodsWithEchoRequests(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.chatConfig()
		told := recordDisconnections(&config)
		start(t, config)
		c := f.registerChat()
		for range 200 {
			if c.socket.Write(t.Context(), websocket.MessageBinary, d2m.Proxy{Data: c.seal(csp.EchoRequest, make([]byte, 8000))}.Append(nil)) != nil {
				break
			}
		}
		var wrong *client.ChatServerError
		if got := <-told; !errors.As(got.err, &wrong) {
			t.Errorf("disconnected by %v", got.err)
		}
	})
}
