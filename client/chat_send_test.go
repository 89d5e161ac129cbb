package client_test

import (
	"context"
	"crypto/ecdh"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/client"
	"openmediator/csp"
	"openmediator/d2m"
	"openmediator/devicekeys"
)

type sent struct {
	id  csp.MessageID
	err error
}

func goSendChat(ctx context.Context, d *client.Device, text string) chan sent {
	result := make(chan sent, 1)
	go func() {
		id, err := d.SendChat(ctx, bob.id, csp.KindText, []byte(text))
		result <- sent{id, err}
	}()
	return result
}

// Reflected first, then sent, then done.
func TestSendChat(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.chatConfig())
		c := f.registerChat()
		result := goSendChat(t.Context(), d, "hi bob")
		reflect := receive[d2m.Reflect](c.peer)
		silent := c.expectSilenceFor(time.Second) // the mediator does not have it yet
		c.send(d2m.ReflectAck{ID: reflect.ID})
		payload := c.open((<-silent).(d2m.Proxy))
		m, err := csp.ParseMessage(payload.Data)
		if err != nil || payload.Type != csp.OutgoingMessage {
			t.Fatalf("received %v, %v", payload.Type, err)
		}
		if _, body, err := csp.OpenMessage(bob.key, alice.key.PublicKey(), m.Nonce, m.Box); err != nil || string(body) != "hi bob" {
			t.Errorf("message %q, %v", body, err)
		}
		if m.Sender != alice.id || m.Receiver != bob.id || m.Flags != csp.FlagPush || int64(m.CreatedAt) != time.Now().Unix()-1 ||
			len(m.Metadata) != 0 || m.Nickname != [32]byte{} {
			t.Errorf("message %+v", m)
		}
		synctest.Wait()
		if len(result) > 0 {
			t.Error("done before the ack")
		}
		c.ackMessage(m)
		if got := <-result; got.err != nil || got.id != m.ID {
			t.Errorf("SendChat: %v, %v", got.id, got.err)
		}
		envelope := openReflected(t, reflect.Envelope)
		if envelope.Kind != devicekeys.KindOutgoingMessage || envelope.Device != 7 {
			t.Errorf("reflected %+v", envelope)
		}
	})
}

// What one device sends another receives as outgoing; each plays its part here.
func TestSendChatIsReceivedByOtherDevice(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.chatConfig())
		c := f.registerChat()
		result := goSendChat(t.Context(), d, "hi bob")
		envelope := c.takeReflect()
		m, _ := c.receiveMessage()
		c.ackMessage(m)
		<-result

		config := f.chatConfig()
		config.DeviceID = 8
		messages := recordChat(&config)
		start(t, config)
		other := f.registerChat()
		other.send(d2m.Reflected{ID: 1, Envelope: envelope})
		receive[d2m.ReflectedAck](other.peer)
		got := <-messages
		if !got.Outgoing || !got.Reflected || got.Device != 7 || got.Sender != alice.id || got.Receiver != bob.id ||
			got.ID != m.ID || got.Nonce != m.Nonce || string(got.Body) != "hi bob" || got.CreatedAt.Unix() != int64(m.CreatedAt) {
			t.Errorf("received %+v", got)
		}
	})
}

func TestSendChatWaitsForLogin(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.chatConfig())
		result := goSendChat(t.Context(), d, "hi")
		c := f.helloChat()
		ack := c.takeLogin()
		silent := c.expectSilenceFor(time.Second) // nothing is reflected without a login
		c.proxy(ack)
		c.send(d2m.ReflectAck{ID: (<-silent).(d2m.Reflect).ID})
		m, _ := c.receiveMessage()
		c.ackMessage(m)
		if got := <-result; got.err != nil {
			t.Error(got.err)
		}
	})
}

// Whatever is lost: the caller gets the message back, and sends the same again.
func TestSendChatLostConnection(t *testing.T) {
	for name, lose := range map[string]func(c *chatPeer){
		"before ReflectAck": func(c *chatPeer) { receive[d2m.Reflect](c.peer) },
		"before ack":        func(c *chatPeer) { c.takeReflect(); c.receiveMessage() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fakeServer) {
				d := start(t, f.chatConfig())
				c := f.registerChat()
				result := goSendChat(t.Context(), d, "hi bob")
				lose(c)
				c.close(d2m.CloseChatServerClosed)
				got := <-result
				var unknown *client.ChatUnknownError
				var closed *client.CloseError
				if !errors.As(got.err, &unknown) || !errors.As(got.err, &closed) {
					t.Fatalf("SendChat: %v", got.err)
				}
				c = f.registerChat()
				again := goDo(func() error { return d.SendChatSealed(t.Context(), unknown.Sealed) })
				envelope := c.takeReflect()
				m, text := c.receiveMessage()
				if m.ID != got.id || text != "hi bob" || string(envelope) != string(unknown.Sealed.Envelope) {
					t.Errorf("sent %v %q again, want %v", m.ID, text, got.id)
				}
				c.ackMessage(m)
				if err := <-again; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestSendChatContextEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.chatConfig())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var unknown *client.ChatUnknownError
		if got := <-goSendChat(ctx, d, "before login"); !errors.Is(got.err, context.DeadlineExceeded) || errors.As(got.err, &unknown) {
			t.Errorf("before the login: %v", got.err)
		}
		c := f.registerChat()
		ctx, cancel = context.WithCancel(t.Context())
		result := goSendChat(ctx, d, "one")
		c.takeReflect()
		m, _ := c.receiveMessage()
		cancel()
		if got := <-result; !errors.As(got.err, &unknown) || !errors.Is(got.err, context.Canceled) {
			t.Errorf("before the ack: %v", got.err)
		}
		c.ackMessage(m) // for nobody
		result = goSendChat(t.Context(), d, "two")
		c.takeReflect()
		m, _ = c.receiveMessage()
		c.ackMessage(m)
		if got := <-result; got.err != nil {
			t.Error(got.err)
		}
	})
}

func TestSendChatAtTheEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.chatConfig())
		c := f.registerChat()
		result := goSendChat(t.Context(), d, "one")
		c.takeReflect()
		c.receiveMessage()
		go c.discard()
		d.Close()
		var unknown *client.ChatUnknownError
		if got := <-result; !errors.As(got.err, &unknown) || !errors.Is(got.err, client.ErrClosed) {
			t.Errorf("before Close: %v", got.err)
		}
		if got := <-goSendChat(t.Context(), d, "two"); !errors.Is(got.err, client.ErrClosed) || errors.As(got.err, &unknown) {
			t.Errorf("after Close: %v", got.err)
		}
	})
}

// 64 are on their way, the 65th waits for the end of one.
func TestSendChatIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.chatConfig())
		c := f.registerChat()
		var results []chan sent
		for i := range 65 {
			results = append(results, goSendChat(t.Context(), d, fmt.Sprint(i)))
		}
		var messages []csp.Message
		for reflects := 0; reflects < 64 || len(messages) < 64; {
			_, frame, err := c.socket.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			switch m, _ := d2m.Parse(frame); m := m.(type) {
			case d2m.Reflect:
				reflects++
				c.send(d2m.ReflectAck{ID: m.ID})
			case d2m.Proxy:
				message, err := csp.ParseMessage(c.open(m).Data)
				if err != nil {
					t.Fatal(err)
				}
				messages = append(messages, message)
			}
		}
		silent := c.expectSilenceFor(time.Second)
		c.ackMessage(messages[63])
		c.send(d2m.ReflectAck{ID: (<-silent).(d2m.Reflect).ID})
		last, _ := c.receiveMessage()
		for _, m := range append(messages[:63], last) {
			c.ackMessage(m)
		}
		for _, result := range results {
			if got := <-result; got.err != nil {
				t.Error(got.err)
			}
		}
	})
}

func TestSendChatSameIDAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.chatConfig())
		c := f.registerChat()
		sealed, err := d.SealChat(t.Context(), bob.id, csp.KindText, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		first := goDo(func() error { return d.SendChatSealed(t.Context(), sealed) })
		c.takeReflect()
		m, _ := c.receiveMessage()
		second := goDo(func() error { return d.SendChatSealed(t.Context(), sealed) })
		c.takeReflect()
		if <-second == nil {
			t.Error("the same id was sent twice at once")
		}
		c.ackMessage(m)
		if err := <-first; err != nil {
			t.Error(err)
		}
	})
}

func TestSendChatOfWhatDoesNotGo(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		down, full := errors.New("directory is down"), errors.New("disk full")
		config := f.chatConfig()
		config.Chat.PublicKey = func(ctx context.Context, id csp.Identity) (*ecdh.PublicKey, error) {
			if id == newUser("DOWN0000", 1).id {
				return nil, down
			}
			return lookUp(ctx, id)
		}
		d := start(t, config)
		f.registerChat()
		for _, test := range []struct {
			to   string
			size int
			want error
		}{
			{"NOBODY00", 1, client.ErrUnknownIdentity},
			{"DOWN0000", 1, down},
			{"ALICE001", 1, nil},
			{"BOB00002", csp.MaxBodySize + 1, nil},
		} {
			_, err := d.SendChat(t.Context(), csp.Identity([]byte(test.to)), csp.KindText, make([]byte, test.size))
			var unknown *client.ChatUnknownError
			if err == nil || errors.As(err, &unknown) || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("%s, %d bytes: %v", test.to, test.size, err)
			}
		}
		if err := d.SendChatSealed(t.Context(), client.SealedChat{Message: make([]byte, 10)}); err == nil {
			t.Error("10 bytes are no message")
		}

		config = f.chatConfig()
		config.DeviceID, config.Chat.Nonces = 8, failingNonces{add: full}
		d = start(t, config)
		f.registerChat()
		if got := <-goSendChat(t.Context(), d, "x"); !errors.Is(got.err, full) {
			t.Errorf("nonce that is not stored: %v", got.err)
		}
	})
}

func TestSendLargestChat(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.chatConfig())
		c := f.registerChat()
		result := goSendChat(t.Context(), d, string(make([]byte, csp.MaxBodySize)))
		c.takeReflect()
		m, _ := c.receiveMessage()
		c.ackMessage(m)
		if got := <-result; got.err != nil {
			t.Error(got.err)
		}
	})
}

// Receive cannot wait for an answer, nor for the login.
func TestSendChatInReceive(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.chatConfig()
		var d *client.Device
		result := make(chan error, 1)
		ready := make(chan struct{})
		config.Chat.Receive = func(ctx context.Context, _ client.ChatMessage) error {
			<-ready
			_, err := d.SendChat(ctx, bob.id, csp.KindText, []byte("x"))
			result <- err
			return nil
		}
		d = start(t, config)
		close(ready)
		c := f.helloChat() // and no login
		c.send(d2m.Reflected{ID: 1, Envelope: sealChat(t, devicekeys.KindIncomingMessage, fromBob(t, 1, "x"))})
		if err := <-result; !errors.Is(err, client.ErrInReceive) {
			t.Errorf("SendChat: %v", err)
		}
	})
}

// A chat server could send back what was sent, as a message of the receiver: the box
// opens. The nonce tells.
func TestChatSentComesBackAsReceived(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.chatConfig()
		messages := recordChat(&config)
		d := start(t, config)
		c := f.registerChat()
		c.promote()
		result := goSendChat(t.Context(), d, "pay 100")
		c.takeReflect()
		m, _ := c.receiveMessage()
		c.ackMessage(m)
		<-result
		m.Sender, m.Receiver = m.Receiver, m.Sender
		c.deliver(m)
		c.takeReflect()
		c.receiveAck(m)
		if len(messages) > 0 {
			t.Errorf("received %+v", <-messages)
		}
	})
}
