package client_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"testing"

	"openmediator/client"
	"openmediator/csp"
	"openmediator/d2m"
	"openmediator/devicekeys"
)

// user is somebody whom the chat server knows.
type user struct {
	id  csp.Identity
	key *ecdh.PrivateKey
}

var (
	alice         = newUser("ALICE001", 11) // whose devices are tested
	bob           = newUser("BOB00002", 12)
	chatServerKey = newUser("SERVER00", 13).key
)

func newUser(id string, seed byte) user {
	key, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{seed}, 32))
	if err != nil {
		panic(err)
	}
	return user{csp.Identity([]byte(id)), key}
}

func lookUp(_ context.Context, identity csp.Identity) (*ecdh.PublicKey, error) {
	for _, u := range []user{alice, bob} {
		if u.id == identity {
			return u.key.PublicKey(), nil
		}
	}
	return nil, fmt.Errorf("directory: %w", client.ErrUnknownIdentity)
}

// chatConfig is that of a device of alice.
func (f *fakeServer) chatConfig() client.Config {
	config := f.config()
	config.Chat = aliceChat()
	return config
}

func aliceChat() *client.ChatConfig {
	return &client.ChatConfig{
		Identity:   alice.id,
		Key:        alice.key,
		ServerKey:  chatServerKey.PublicKey(),
		DeviceID:   70,
		ClientInfo: "test",
		PublicKey:  lookUp,
	}
}

// handOverChat makes a config pass what is received to the test, which says whether
// it is handled.
func handOverChat(config *client.Config) (messages chan client.ChatMessage, handled chan error) {
	messages, handled = make(chan client.ChatMessage), make(chan error)
	config.Chat.Receive = func(ctx context.Context, m client.ChatMessage) error {
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

// recordChat makes a config write down what is received, as "kind body from device".
func recordChat(config *client.Config) chan client.ChatMessage {
	messages := make(chan client.ChatMessage, 100_000)
	config.Chat.Receive = func(_ context.Context, m client.ChatMessage) error { messages <- m; return nil }
	return messages
}

// chatPeer is the chat server's end of one connection, behind a peer.
type chatPeer struct {
	*peer
	handshake  *csp.ServerHandshake
	extensions csp.Extensions
	session    *csp.Session
}

// registerChat waits for the next connection, and takes the device at the mediator
// and at the chat server.
func (f *fakeServer) registerChat() *chatPeer {
	f.t.Helper()
	c := f.helloChat()
	c.login()
	return c
}

// helloChat is registerChat up to the client hello.
func (f *fakeServer) helloChat() *chatPeer {
	f.t.Helper()
	p := f.accept()
	p.challenge()
	handshake, err := csp.NewServerHandshake(rand.Reader, chatServerKey)
	if err != nil {
		f.t.Fatal(err)
	}
	c := &chatPeer{peer: p, handshake: handshake}
	hello := receive[d2m.Proxy](p) // before ServerInfo
	p.send(d2m.ServerInfo{MaxDeviceSlots: 10, SlotState: p.hello.Expected})
	answer, err := handshake.Hello(hello.Data)
	if err != nil {
		f.t.Fatal(err)
	}
	c.proxy(answer)
	return c
}

// login takes the login and acknowledges it.
func (c *chatPeer) login() {
	c.t.Helper()
	c.proxy(c.takeLogin())
}

// takeLogin returns the login ack.
func (c *chatPeer) takeLogin() []byte {
	c.t.Helper()
	login := receive[d2m.Proxy](c.peer).Data
	request, err := c.handshake.Login(login[:csp.LoginSize])
	if err != nil {
		c.t.Fatal(err)
	}
	if request.Identity != alice.id {
		c.t.Fatalf("login of %v", request.Identity)
	}
	if c.extensions, err = c.handshake.Extensions(login[csp.LoginSize:]); err != nil {
		c.t.Fatal(err)
	}
	if err := c.handshake.Authenticate(alice.key.PublicKey()); err != nil {
		c.t.Fatal(err)
	}
	ack, session, err := c.handshake.Finish(csp.LoginAck{Time: 1234, Queued: 5})
	if err != nil {
		c.t.Fatal(err)
	}
	c.session = session
	return ack
}

func (c *chatPeer) proxy(unit []byte) {
	c.t.Helper()
	c.peer.send(d2m.Proxy{Data: unit})
}

// sendPayload sends what the chat server would.
func (c *chatPeer) sendPayload(kind csp.PayloadType, data []byte) {
	c.t.Helper()
	c.proxy(c.seal(kind, data))
}

func (c *chatPeer) seal(kind csp.PayloadType, data []byte) []byte {
	c.t.Helper()
	frame, err := c.session.Seal(nil, csp.Payload{Type: kind, Data: data})
	if err != nil {
		c.t.Fatal(err)
	}
	return frame
}

// receivePayload expects the device's next message to be a payload of this type.
func (c *chatPeer) receivePayload(kind csp.PayloadType) []byte {
	c.t.Helper()
	payload := c.open(receive[d2m.Proxy](c.peer))
	if payload.Type != kind {
		c.t.Fatalf("received %v, want %v", payload.Type, kind)
	}
	return payload.Data
}

func (c *chatPeer) open(m d2m.Proxy) csp.Payload {
	c.t.Helper()
	payload, err := c.session.Open(m.Data[2:])
	if err != nil {
		c.t.Fatal(err)
	}
	return payload
}

// promote makes the device leader and expects it to ask for messages.
func (c *chatPeer) promote() {
	c.t.Helper()
	c.peer.send(d2m.ReflectionQueueDry{}, d2m.RolePromotedToLeader{})
	c.receivePayload(csp.UnblockIncoming)
}

// deliver sends a message.
func (c *chatPeer) deliver(m csp.Message) {
	c.t.Helper()
	data, err := m.Append(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	c.sendPayload(csp.IncomingMessage, data)
}

// takeReflect expects a Reflect, acknowledges it and returns its envelope.
func (p *peer) takeReflect() (sealed []byte) {
	p.t.Helper()
	m := receive[d2m.Reflect](p)
	p.send(d2m.ReflectAck{ID: m.ID})
	return m.Envelope
}

// receiveAck expects an ack of the chat message.
func (c *chatPeer) receiveAck(m csp.Message) {
	c.t.Helper()
	ack, err := csp.ParseMessageAck(c.receivePayload(csp.IncomingMessageAck))
	if err != nil {
		c.t.Fatal(err)
	}
	if ack.Identity != m.Sender || ack.ID != m.ID {
		c.t.Fatalf("acked %v of %v, want %v of %v", ack.ID, ack.Identity, m.ID, m.Sender)
	}
}

// receiveMessage expects a message of alice to bob.
func (c *chatPeer) receiveMessage() (m csp.Message, text string) {
	c.t.Helper()
	m, err := csp.ParseMessage(c.receivePayload(csp.OutgoingMessage))
	if err != nil {
		c.t.Fatal(err)
	}
	kind, body, err := csp.OpenMessage(bob.key, alice.key.PublicKey(), m.Nonce, m.Box)
	if err != nil || kind != csp.KindText || m.Sender != alice.id || m.Receiver != bob.id {
		c.t.Fatalf("message %+v, kind %d, %v", m, kind, err)
	}
	return m, string(body)
}

func (c *chatPeer) ackMessage(m csp.Message) {
	c.t.Helper()
	c.sendPayload(csp.OutgoingMessageAck, csp.MessageAck{Identity: m.Receiver, ID: m.ID}.Append(nil))
}

// fromBob makes a message of bob to alice.
func fromBob(t *testing.T, id csp.MessageID, text string) csp.Message {
	t.Helper()
	return fromTo(t, bob, alice, id, text)
}

func fromTo(t *testing.T, from, to user, id csp.MessageID, text string) csp.Message {
	t.Helper()
	m := csp.Message{Sender: from.id, Receiver: to.id, ID: id, CreatedAt: 1_700_000_000, Flags: csp.FlagPush}
	copy(m.Nickname[:], "Bob")
	rand.Read(m.Nonce[:])
	var err error
	if m.Box, err = csp.SealMessage(rand.Reader, from.key, to.key.PublicKey(), m.Nonce, csp.KindText, []byte(text)); err != nil {
		t.Fatal(err)
	}
	if m.Metadata, err = csp.SealMetadata(from.key, to.key.PublicKey(), m.Nonce, []byte("meta "+text)); err != nil {
		t.Fatal(err)
	}
	return m
}

// openReflected opens an envelope as another device of alice does.
func openReflected(t *testing.T, sealed []byte) devicekeys.Envelope {
	t.Helper()
	plain, _, err := testKeys.OpenEnvelope(sealed)
	if err != nil {
		t.Fatal(err)
	}
	return parseEnvelope(t, plain)
}
