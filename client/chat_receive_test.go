package client_test

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"openmediator/client"
	"openmediator/csp"
	"openmediator/d2m"
	"openmediator/devicekeys"
)

func TestChatUnblockAfterPromotion(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.chatConfig()
		recordChat(&config)
		start(t, config)
		c := f.registerChat()
		c.send(d2m.ReflectionQueueDry{})
		c.sendPayload(csp.EchoRequest, nil)
		c.receivePayload(csp.EchoResponse) // nothing before it
		c.send(d2m.RolePromotedToLeader{})
		c.receivePayload(csp.UnblockIncoming)
		c.expectSilenceFor(time.Second)
	})
}

func TestChatUnblockAfterLogin(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.chatConfig()
		recordChat(&config)
		start(t, config)
		c := f.helloChat()
		ack := c.takeLogin()
		c.send(d2m.ReflectionQueueDry{}, d2m.RolePromotedToLeader{})
		synctest.Wait()
		c.proxy(ack)
		c.receivePayload(csp.UnblockIncoming)
		c.expectSilenceFor(time.Second)
	})
}

// What other devices have reflected before the promotion is received before anything
// of the chat server.
func TestChatUnblockBehindReflected(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.chatConfig()
		messages, handled := handOver(&config)
		recordChat(&config)
		start(t, config)
		c := f.registerChat()
		c.send(d2m.Reflected{ID: 1, Envelope: sealText(t, "one")}, d2m.ReflectionQueueDry{}, d2m.RolePromotedToLeader{})
		<-messages
		c.expectSilence()
		handled <- nil
	})
}

// A device that takes no messages leaves them where they are.
func TestChatWithoutReceive(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.chatConfig()
		messages := make(chan client.Message, 10)
		config.Receive = func(_ context.Context, m client.Message) error { messages <- m; return nil }
		start(t, config)
		c := f.registerChat()
		c.send(d2m.ReflectionQueueDry{}, d2m.RolePromotedToLeader{})
		c.deliver(fromBob(t, 1, "unwanted"))
		c.send(d2m.Reflected{ID: 1, Envelope: sealChat(t, devicekeys.KindIncomingMessage, fromBob(t, 2, "unwanted"))})
		c.send(d2m.Reflected{ID: 2, Envelope: sealText(t, "wanted")})
		if ack := receive[d2m.ReflectedAck](c.peer); ack.ID != 2 || (<-messages).Envelope.Text != "wanted" {
			t.Errorf("acked %d", ack.ID)
		}
	})
}

// Each step waits for the one before: whatever ends the device in between, the
// message is not lost.
func TestChatReceivedByLeader(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.chatConfig()
		messages, handled := handOverChat(&config)
		start(t, config)
		c := f.registerChat()
		c.promote()
		m := fromBob(t, 5, "hello")
		c.deliver(m)
		reflect := receive[d2m.Reflect](c.peer)
		synctest.Wait()
		select {
		case <-messages:
			t.Fatal("received before the ReflectAck")
		default:
		}
		c.send(d2m.ReflectAck{ID: reflect.ID})
		got := <-messages
		checkFromBob(t, got, m, "hello")
		if got.Reflected || got.Outgoing || got.Device != 0 {
			t.Errorf("received %+v", got)
		}
		envelope := openReflected(t, reflect.Envelope)
		if envelope.Device != 7 || envelope.Kind != devicekeys.KindIncomingMessage {
			t.Errorf("reflected %+v", envelope)
		}
		acked := c.expectSilenceFor(time.Second)
		handled <- nil
		ack, err := csp.ParseMessageAck(c.open((<-acked).(d2m.Proxy)).Data)
		if err != nil || ack != (csp.MessageAck{Identity: bob.id, ID: 5}) {
			t.Errorf("acked %+v, %v", ack, err)
		}

		// The same box in the next connection of a leader: acked, not received.
		c.deliver(m)
		c.takeReflect()
		c.receiveAck(m)
	})
}

func checkFromBob(t *testing.T, got client.ChatMessage, m csp.Message, text string) {
	t.Helper()
	if got.Sender != bob.id || got.Receiver != alice.id || got.ID != m.ID || got.Kind != csp.KindText || string(got.Body) != text ||
		got.CreatedAt.Unix() != int64(m.CreatedAt) || got.Flags != m.Flags || got.Nickname != "Bob" ||
		string(got.Metadata) != "meta "+text || got.Nonce != m.Nonce {
		t.Errorf("received %+v, want %q", got, text)
	}
}

// sealChat seals what another device (9) reflects of a message between alice and bob.
// How it is written here is what the comment in chat_content.go says.
func sealChat(t *testing.T, kind devicekeys.Kind, m csp.Message) []byte {
	t.Helper()
	key, other := alice.key, bob.key.PublicKey()
	messageKind, body, err := csp.OpenMessage(key, other, m.Nonce, m.Box)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Metadata) > 0 {
		if m.Metadata, err = csp.OpenMetadata(key, other, m.Nonce, m.Metadata); err != nil {
			t.Fatal(err)
		}
	}
	m.Box = append([]byte{messageKind}, body...)
	field, err := m.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	content := binary.AppendUvarint([]byte{0xc2, 0x8f, 0x04}, uint64(len(field)))
	return sealEnvelope(t, devicekeys.Envelope{Device: 9, Kind: kind, Content: append(content, field...)})
}

func sealEnvelope(t *testing.T, envelope devicekeys.Envelope) []byte {
	t.Helper()
	plain, err := envelope.Append(nil, zeroes{})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := testKeys.SealEnvelope(rand.Reader, plain)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestChatReflectedByOtherDevice(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.chatConfig()
		messages, handled := handOverChat(&config)
		start(t, config)
		c := f.registerChat()
		m := fromBob(t, 5, strings.Repeat("hello", 20))
		c.send(d2m.Reflected{ID: 1, Envelope: sealChat(t, devicekeys.KindIncomingMessage, m)})
		got := <-messages
		checkFromBob(t, got, m, strings.Repeat("hello", 20))
		if !got.Reflected || got.Outgoing || got.Device != 9 {
			t.Errorf("received %+v", got)
		}
		handled <- errors.New("not now")
		// Again, by another leader, in another envelope.
		c.send(d2m.Reflected{ID: 2, Envelope: sealChat(t, devicekeys.KindIncomingMessage, m)})
		<-messages
		handled <- nil
		if ack := receive[d2m.ReflectedAck](c.peer); ack.ID != 2 {
			t.Errorf("acked %d", ack.ID)
		}
		// And again: acked, not received.
		c.send(d2m.Reflected{ID: 3, Envelope: sealChat(t, devicekeys.KindIncomingMessage, m)})
		if ack := receive[d2m.ReflectedAck](c.peer); ack.ID != 3 {
			t.Errorf("acked %d", ack.ID)
		}
		// Now it leads, and the chat server sends what the former leader never acked.
		c.promote()
		c.deliver(m)
		c.takeReflect()
		c.receiveAck(m)
	})
}

func TestChatSentByOtherDevice(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.chatConfig()
		messages := recordChat(&config)
		start(t, config)
		c := f.registerChat()
		m := fromBob(t, 5, strings.Repeat("hello", 20))
		c.send(d2m.Reflected{ID: 1, Envelope: sealChat(t, devicekeys.KindOutgoingMessage, m)})
		receive[d2m.ReflectedAck](c.peer)
		if got := <-messages; !got.Reflected || !got.Outgoing || got.Device != 9 || string(got.Body) != strings.Repeat("hello", 20) {
			t.Errorf("received %+v", got)
		}
	})
}

// Content of the apps is not ours, and what is broken of ours is unreadable.
func TestChatContentOfOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.chatConfig()
		unreadable := 0
		messages := make(chan client.Message, 10)
		config.Receive = func(_ context.Context, m client.Message) error { messages <- m; return nil }
		config.OnUnreadable = func(error) { unreadable++ }
		chats := recordChat(&config)
		start(t, config)
		c := f.registerChat()
		contents := []string{
			"", "\x0a\x05hello", "\xc2\x8f", // an app's
			"\xc2\x8f\x04", "\xc2\x8f\x04\x05hell", "\xc2\x8f\x04\x05hello", "\xc2\x8f\x04\x58" + strings.Repeat("x", 88),
			"\xc2\x8f\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01hello",
		}
		for i, content := range contents {
			envelope := devicekeys.Envelope{Device: 9, Kind: devicekeys.KindIncomingMessage, Content: []byte(content)}
			c.send(d2m.Reflected{ID: d2m.ReflectedID(i), Envelope: sealEnvelope(t, envelope)})
			if ack := receive[d2m.ReflectedAck](c.peer); ack.ID != d2m.ReflectedID(i) {
				t.Errorf("acked %d", ack.ID)
			}
		}
		if len(messages) != 3 || unreadable != 5 || len(chats) != 0 {
			t.Errorf("%d of apps, %d unreadable, %d chats", len(messages), unreadable, len(chats))
		}
	})
}

// A message that cannot be opened would come again for ever.
func TestChatUnreadable(t *testing.T) {
	stranger := newUser("STRANGER", 14)
	for name, spoil := range map[string]func(m *csp.Message){
		"box":              func(m *csp.Message) { m.Box[20] ^= 1 },
		"no box":           func(m *csp.Message) { m.Box = nil },
		"nonce":            func(m *csp.Message) { m.Nonce[0] ^= 1 },
		"metadata":         func(m *csp.Message) { m.Metadata[20] ^= 1 },
		"from oneself":     func(m *csp.Message) { *m = fromTo(t, alice, alice, m.ID, "hello") },
		"other receiver":   func(m *csp.Message) { m.Receiver = stranger.id },
		"own sender":       func(m *csp.Message) { m.Sender = alice.id },
		"unknown sender":   func(m *csp.Message) { m.Sender = stranger.id },
		"impossible names": func(m *csp.Message) { m.Sender = csp.Identity{1} },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fakeServer) {
				config := f.chatConfig()
				messages := recordChat(&config)
				told := make(chan error, 1)
				config.Chat.OnUnreadable = func(err error) { told <- err }
				start(t, config)
				c := f.registerChat()
				c.promote()
				m := fromBob(t, 5, "hello")
				spoil(&m)
				c.deliver(m)
				c.receiveAck(m)
				if <-told == nil || len(messages) > 0 {
					t.Error("not told, or received")
				}
			})
		})
	}
}

func TestChatKeyThatCannotBeLookedUpNow(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.chatConfig()
		messages := recordChat(&config)
		down := errors.New("directory is down")
		asked := 0
		config.Chat.PublicKey = func(ctx context.Context, id csp.Identity) (*ecdh.PublicKey, error) {
			asked++
			if asked == 1 {
				return nil, down
			}
			return lookUp(ctx, id)
		}
		told := make(chan error, 1)
		config.Chat.OnUnreadable = func(err error) { told <- err }
		start(t, config)
		c := f.registerChat()
		c.promote()
		one, two, three := fromBob(t, 1, "one"), fromBob(t, 2, "two"), fromBob(t, 3, "three")
		c.deliver(one)
		if err := <-told; !errors.Is(err, down) {
			t.Errorf("told %v", err)
		}
		for _, m := range []csp.Message{two, three} {
			c.deliver(m)
			c.takeReflect()
			c.receiveAck(m) // of the first one: nothing
		}
		if got := <-messages; string(got.Body) != "two" {
			t.Errorf("received %q", got.Body)
		}
		if asked != 2 {
			t.Errorf("the key was looked up %d times", asked)
		}
		c.close(d2m.CloseChatServerClosed)
		c = f.registerChat()
		c.promote()
		c.deliver(one)
		c.takeReflect()
		c.receiveAck(one)
	})
}

// After an error of Receive the message comes again, and the others meanwhile.
func TestChatNotHandledComesAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.chatConfig()
		messages, handled := handOverChat(&config)
		start(t, config)
		c := f.registerChat()
		c.promote()
		one, two := fromBob(t, 1, "one"), fromBob(t, 2, "two")
		c.deliver(one)
		c.takeReflect()
		<-messages
		handled <- errors.New("not now")
		c.deliver(two)
		c.takeReflect()
		<-messages
		handled <- nil
		c.receiveAck(two)
		c.close(d2m.CloseGoingAway)
		c = f.registerChat()
		c.promote()
		c.deliver(one)
		c.takeReflect()
		if got := <-messages; string(got.Body) != "one" {
			t.Errorf("received %q", got.Body)
		}
		handled <- nil
		c.receiveAck(one)
	})
}

func TestChatNoAck(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.chatConfig()
		messages := recordChat(&config)
		start(t, config)
		c := f.registerChat()
		c.promote()
		m := fromBob(t, 1, "typing")
		m.Flags = csp.FlagNoAck
		c.deliver(m)
		c.takeReflect()
		if got := <-messages; got.Flags != csp.FlagNoAck {
			t.Errorf("received %+v", got)
		}
		c.expectSilenceFor(time.Second)
	})
}

// Many at once: in order, and the others of the connection are not delayed.
func TestChatReceivedInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.chatConfig()
		messages := recordChat(&config)
		queueSent := make(chan int, 1)
		config.Chat.OnQueueSent = func() { queueSent <- len(messages) }
		start(t, config)
		c := f.registerChat()
		c.promote()
		const count = 300
		var want []csp.MessageID
		for i := range csp.MessageID(count) {
			c.deliver(fromBob(t, i, fmt.Sprint(i)))
			want = append(want, i)
		}
		c.sendPayload(csp.QueueSendComplete, nil)
		acked := c.acknowledgeAll(count)
		if !slices.Equal(acked, want) {
			t.Errorf("acked %v", acked)
		}
		for _, id := range want {
			if got := <-messages; got.ID != id {
				t.Fatalf("received %d, want %d", got.ID, id)
			}
		}
		if early := <-queueSent; early != count {
			t.Errorf("OnQueueSent after %d messages", early)
		}
	})
}

// acknowledgeAll answers each Reflect until so many chat messages are acked.
func (c *chatPeer) acknowledgeAll(count int) (acked []csp.MessageID) {
	c.t.Helper()
	for len(acked) < count {
		_, frame, err := c.socket.Read(context.Background())
		if err != nil {
			c.t.Fatal(err)
		}
		message, err := d2m.Parse(frame)
		if err != nil {
			c.t.Fatal(err)
		}
		switch m := message.(type) {
		case d2m.Reflect:
			c.send(d2m.ReflectAck{ID: m.ID})
		case d2m.Proxy:
			payload := c.open(m)
			ack, err := csp.ParseMessageAck(payload.Data)
			if err != nil || payload.Type != csp.IncomingMessageAck {
				c.t.Fatalf("received %v", payload.Type)
			}
			acked = append(acked, ack.ID)
		}
	}
	return acked
}

// A device whose messages nobody reflects goes on reading, or the answer would never
// come; but what it keeps is bounded, and the rest comes after another login.
func TestChatBacklog(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.chatConfig()
		messages := recordChat(&config)
		told := recordDisconnections(&config)
		start(t, config)
		c := f.registerChat()
		c.promote()
		// Of 40 messages 32 leave the queue to be reflected, and 8 stay in it. The others
		// cannot be opened.
		for i := range csp.MessageID(40) {
			c.deliver(fromBob(t, i, "x"))
		}
		const kept = 8 << 20 / (8000 + 512)
		for i := range csp.MessageID(kept + 500) {
			c.deliver(csp.Message{Sender: bob.id, Receiver: alice.id, ID: 100 + i, Box: make([]byte, 8000)})
		}
		c.sendPayload(csp.EchoRequest, []byte("?"))
		synctest.Wait()
		reflects, acks, echo := 0, 0, false
		for {
			_, frame, err := c.socket.Read(context.Background())
			if err != nil {
				if code := websocket.CloseStatus(err); code != websocket.StatusNormalClosure {
					t.Errorf("ended with %v", err)
				}
				break
			}
			message, _ := d2m.Parse(frame)
			switch m := message.(type) {
			case d2m.Reflect:
				reflects++
				c.send(d2m.ReflectAck{ID: m.ID})
			case d2m.Proxy:
				switch c.open(m).Type {
				case csp.EchoResponse:
					echo = true
				case csp.IncomingMessageAck:
					acks++
				}
			}
		}
		if got := <-told; !errors.Is(got.err, client.ErrChatBacklog) {
			t.Errorf("disconnected by %v", got.err)
		}
		if reflects != 40 || len(messages) != 40 || !echo {
			t.Errorf("%d reflected, %d received, echo %v", reflects, len(messages), echo)
		}
		// What the writer had not taken when the connection ended is not acked.
		if acks < kept-100 || acks > 40+kept {
			t.Errorf("%d acked, want about %d", acks, kept)
		}
		f.registerChat()
	})
}

// The connection ends while messages are being reflected: they come again, and are
// not reflected by a connection that may not lead.
func TestChatLostWhileReflecting(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.chatConfig()
		messages := recordChat(&config)
		d := start(t, config)
		c := f.registerChat()
		c.promote()
		for i := range csp.MessageID(10) {
			c.deliver(fromBob(t, i, "x"))
			receive[d2m.Reflect](c.peer)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := goDo(func() error { return d.Transaction(ctx, devicekeys.ScopeSettings, nil, nil) })
		receive[d2m.BeginTransaction](c.peer)
		for i := range csp.MessageID(100) { // kept back because of it
			c.deliver(fromBob(t, 10+i, "x"))
		}
		synctest.Wait()
		cancel()
		<-done
		c.socket.CloseNow()
		c = f.registerChat()
		c.expectSilenceFor(time.Second)
		if len(messages) > 0 {
			t.Errorf("%d received without a ReflectAck", len(messages))
		}
	})
}

func TestChatNonceStoreFails(t *testing.T) {
	full := errors.New("disk full")
	for _, nonces := range []failingNonces{{contains: full}, {add: full}} {
		inBubble(t, func(t *testing.T, f *fakeServer) {
			config := f.chatConfig()
			recordChat(&config)
			config.Chat.Nonces = nonces
			d := start(t, config)
			c := f.registerChat()
			c.promote()
			c.deliver(fromBob(t, 1, "x"))
			c.takeReflect()
			c.receiveEnd()
			<-d.Done()
			if !errors.Is(d.Err(), full) {
				t.Errorf("ended with %v", d.Err())
			}
		})
	}
}

// A message that is being handled when the device is closed is acked.
func TestChatCloseWaitsForReceive(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.chatConfig()
		entered, release := make(chan struct{}), make(chan struct{})
		config.Chat.Receive = func(context.Context, client.ChatMessage) error { close(entered); <-release; return nil }
		d := start(t, config)
		c := f.registerChat()
		c.promote()
		m := fromBob(t, 1, "x")
		c.deliver(m)
		c.takeReflect()
		<-entered
		closed := goDo(func() error { d.Close(); return nil })
		synctest.Wait()
		close(release)
		c.receiveAck(m)
		c.receiveEnd()
		<-closed
	})
}

// Acks that wait because the server has not read for a while leave before Close.
func TestChatCloseSendsAcksThatWait(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.chatConfig()
		recordChat(&config)
		d := start(t, config)
		c := f.registerChat()
		for range 5 {
			go d.ReflectSealed(t.Context(), make([]byte, d2m.MaxEnvelopeSize))
		}
		synctest.Wait()
		for id := range csp.MessageID(3) { // cannot be opened
			c.deliver(csp.Message{Sender: bob.id, Receiver: alice.id, ID: id})
		}
		synctest.Wait()
		closed := goDo(func() error { d.Close(); return nil })
		synctest.Wait()
		acks := 0
		for {
			_, frame, err := c.socket.Read(t.Context())
			if err != nil {
				break
			}
			if m, _ := d2m.Parse(frame); m.Type() == d2m.TypeProxy && c.open(m.(d2m.Proxy)).Type == csp.IncomingMessageAck {
				acks++
			}
		}
		if acks != 3 {
			t.Errorf("%d acks, want 3", acks)
		}
		<-closed
	})
}

// During a transaction nothing of the chat is reflected, and a transaction begins
// although chat messages wait for that.
func TestChatDuringTransaction(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.chatConfig()
		messages := recordChat(&config)
		d := start(t, config)
		c := f.registerChat()
		c.promote()
		working, finish := make(chan struct{}), make(chan struct{})
		done := goDo(func() error {
			return d.Transaction(t.Context(), devicekeys.ScopeSettings, nil, func(context.Context, *client.Transaction) error {
				close(working)
				<-finish
				return nil
			})
		})
		receive[d2m.BeginTransaction](c.peer)
		for i := range csp.MessageID(50) {
			c.deliver(fromBob(t, i, "x"))
		}
		c.send(d2m.BeginTransactionAck{})
		<-working
		committed := c.expectSilenceFor(time.Second)
		close(finish)
		if m := <-committed; m.Type() != d2m.TypeCommitTransaction {
			t.Fatalf("received %v", m.Type())
		}
		c.send(d2m.CommitTransactionAck{})
		c.acknowledgeAll(50)
		if err := <-done; err != nil || len(messages) != 50 {
			t.Errorf("transaction: %v, %d received", err, len(messages))
		}
	})
}
