package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"openmediator/chatproxy"
	"openmediator/chatserver"
	"openmediator/client"
	"openmediator/csp"
	"openmediator/d2m"
	"openmediator/devicekeys"
)

// startChatServers runs a chat server that knows alice and bob, and a mediator in
// front of it.
func startChatServers(t *testing.T) *realServer {
	t.Helper()
	config := chatserver.DefaultConfig()
	config.Key, config.DataDir = chatServerKey, t.TempDir()
	config.Identities = chatserver.FixedIdentities{alice.id: alice.key.PublicKey(), bob.id: bob.key.PublicKey()}
	chat, err := chatserver.New(config)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := goDo(func() error { return chat.Serve(l) })
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := chat.Close(ctx); err != nil {
			t.Errorf("chat server: %v", err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	s := startMediator(t)
	upstreams, err := chatproxy.ParseUpstreams([]string{l.Addr().String()}, chatproxy.DefaultPattern)
	if err != nil {
		t.Fatal(err)
	}
	s.config.Chat.Upstreams = upstreams
	s.restart()
	return s
}

// chatMember is a device of alice or bob.
type chatMember struct {
	*member
	chats  chan client.ChatMessage
	logins chan struct{}
	line   *line
}

// line is a device's network connection, to be cut.
type line struct {
	mu   sync.Mutex
	conn net.Conn
}

func (l *line) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = conn
	return conn, err
}

// cut ends the connection without a word, as when the device is killed.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn.Close()
}

func (s *realServer) joinChat(u user, id d2m.DeviceID) *chatMember {
	s.t.Helper()
	m := &chatMember{chats: make(chan client.ChatMessage, 10_000), logins: make(chan struct{}, 1000), line: new(line)}
	chat := aliceChat()
	chat.Identity, chat.Key, chat.DeviceID = u.id, u.key, csp.DeviceID(id)
	chat.Receive = func(_ context.Context, message client.ChatMessage) error { m.chats <- message; return nil }
	chat.OnLogin = func(csp.LoginAck) { m.logins <- struct{}{} }
	m.member = s.join(client.Config{
		DeviceID: id,
		Keys:     mustKeys(u.id[0]),
		Chat:     chat,
		Dialer:   client.Dialer{DialContext: m.line.dial},
	})
	select {
	case <-m.logins:
	case <-time.After(patience):
		s.t.Fatal("there is no login")
	}
	return m
}

func (m *chatMember) receiveChat() client.ChatMessage {
	m.t.Helper()
	select {
	case message := <-m.chats:
		return message
	case <-time.After(patience):
		m.t.Fatal("no chat message has come")
		return client.ChatMessage{}
	}
}

func TestChatThroughServers(t *testing.T) {
	s := startChatServers(t)
	a1, a2 := s.joinChat(alice, 1), s.joinChat(alice, 2)
	b1, b2 := s.joinChat(bob, 1), s.joinChat(bob, 2)
	id, err := a2.SendChat(t.Context(), bob.id, csp.KindText, []byte("hi bob"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*chatMember{b1, b2, a1} {
		got := m.receiveChat()
		if got.ID != id || string(got.Body) != "hi bob" || got.Sender != alice.id || got.Outgoing != (m == a1) || got.Reflected == (m == b1) {
			t.Errorf("received %+v", got)
		}
	}
	if _, err := b2.SendChat(t.Context(), alice.id, csp.KindText, []byte("hi alice")); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*chatMember{a1, a2, b1} {
		if got := m.receiveChat(); string(got.Body) != "hi alice" || got.Sender != bob.id || got.Outgoing != (m == b1) {
			t.Errorf("received %+v", got)
		}
	}
	if _, err := a1.Reflect(t.Context(), devicekeys.Envelope{Text: "among us"}); err != nil {
		t.Fatal(err)
	}
	if got := a2.receive(); got.Envelope.Text != "among us" {
		t.Errorf("received %q", got.Envelope.Text)
	}
	a1.Close()
	a2.await("leader")
	if _, err := b1.SendChat(t.Context(), alice.id, csp.KindText, []byte("still there?")); err != nil {
		t.Fatal(err)
	}
	if got := a2.receiveChat(); string(got.Body) != "still there?" || got.Reflected {
		t.Errorf("received %+v", got)
	}
}

// Whoever leads is cut off again and again, and the sender, too: each message comes
// once to each device of the receiver, and once to the sender's other device.
func TestChatExactlyOnceWhileLeadersAreCutOff(t *testing.T) {
	s := startChatServers(t)
	alices := []*chatMember{s.joinChat(alice, 1), s.joinChat(alice, 2), s.joinChat(alice, 3)}
	b1, b2 := s.joinChat(bob, 1), s.joinChat(bob, 2)
	const count = chatsWhileCutOff
	sent := goDo(func() error {
		for i := range count {
			if i%40 == 20 {
				b1.line.cut()
			}
			if i%10 == 5 {
				for _, m := range alices {
					if m.IsLeader() {
						m.line.cut()
					}
				}
			}
			if err := sendUntilKnown(t.Context(), b1.Device, fmt.Sprint(i)); err != nil {
				return err
			}
		}
		return nil
	})
	for i, m := range append(alices, b2) {
		seen := make(map[string]bool)
		for len(seen) < count {
			got := m.receiveChat()
			if seen[string(got.Body)] {
				t.Errorf("device %d received %q twice", i, got.Body)
			}
			seen[string(got.Body)] = true
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	for i, m := range append(alices, b2) {
		if len(m.chats) > 0 {
			t.Errorf("device %d received %d more", i, len(m.chats))
		}
	}
}

// sendUntilKnown sends a message again as long as it is not known whether it has
// left.
func sendUntilKnown(ctx context.Context, d *client.Device, text string) error {
	_, err := d.SendChat(ctx, alice.id, csp.KindText, []byte(text))
	var unknown *client.ChatUnknownError
	for errors.As(err, &unknown) {
		err = d.SendChatSealed(ctx, unknown.Sealed)
	}
	return err
}
