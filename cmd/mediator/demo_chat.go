package main

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"sync"
	"time"

	"openmediator/chatserver"
	"openmediator/client"
	"openmediator/csp"
	"openmediator/devicekeys"
)

// What each side of the mediator can see of the other. Linux has all of 127.0.0.0/8 on its loopback interface.
var (
	demoDevices = netip.MustParsePrefix("127.0.1.0/24") // where devices come from
	demoLocal   = netip.MustParseAddr("127.0.2.1")      // where the mediator goes out from
)

// hasDemoAddresses tells whether this system has them.
func hasDemoAddresses() bool {
	for _, a := range []netip.Addr{demoDevices.Addr().Next(), demoLocal} {
		l, err := net.Listen("tcp", netip.AddrPortFrom(a, 0).String())
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}

// demoUser is who has an identity, and the keys of a group.
type demoUser struct {
	id   csp.Identity
	key  *ecdh.PrivateKey
	keys *devicekeys.Keys
}

func newDemoUser(name string) (*demoUser, error) {
	id, err := csp.ParseIdentity(name)
	if err != nil {
		return nil, err
	}
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	keys, err := newDemoKeys()
	return &demoUser{id: id, key: key, keys: keys}, err
}

// demoChat is what a device with an identity has besides.
type demoChat struct {
	user  *demoUser
	from  netip.Addr    // where it connects from; zero: the system's choice
	login chan struct{} // holds one element for each login

	mu   sync.Mutex
	conn net.Conn
	dead bool // it is cut off and connects no more
}

func newChatDevice(name string, d *demo, user *demoUser, number byte) *demoDevice {
	v := newDemoDevice(name, d)
	v.keys = user.keys
	v.chat = &demoChat{user: user, login: make(chan struct{}, maxSeen)}
	if d.addresses {
		v.chat.from = netip.AddrFrom4([4]byte{127, 0, 1, number})
	}
	return v
}

// dial connects from the device's own address.
func (c *demoChat) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var dialer net.Dialer
	if c.from.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.from, 0))
	}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		conn.Close()
		return nil, net.ErrClosed
	}
	c.conn = conn
	return conn, nil
}

// cut ends the connection for good and without a word, as the system does for a process that is killed.
func (c *demoChat) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = true
	if conn, ok := c.conn.(*net.TCPConn); ok {
		conn.SetLinger(0)
	}
	c.conn.Close()
}

// forgetAttempts drops what a device that is dead has seen of its attempts to come back.
func (v *demoDevice) forgetAttempts() {
	for range len(v.seen) {
		o := <-v.seen
		if _, failed := o.(sawDisconnected); !failed {
			v.seen <- o
		}
	}
}

// chatConfig notes what the device receives as observations.
func (v *demoDevice) chatConfig() *client.ChatConfig {
	d := v.demo
	return &client.ChatConfig{
		Identity:     v.chat.user.id,
		Key:          v.chat.user.key,
		ServerKey:    d.chatServer.key,
		DeviceID:     csp.DeviceID(v.id),
		PublicKey:    d.publicKey,
		Nonces:       v.nonces,
		Receive:      func(_ context.Context, m client.ChatMessage) error { return v.see(sawChat{m}) },
		OnUnreadable: func(err error) { v.see(sawUnreadable{err}) },
		OnLogin: func(csp.LoginAck) {
			select {
			case v.chat.login <- struct{}{}:
			default: // nobody waits for so many
			}
		},
	}
}

func (d *demo) publicKey(_ context.Context, id csp.Identity) (*ecdh.PublicKey, error) {
	for _, user := range []*demoUser{d.alice, d.bob} {
		if user.id == id {
			return user.key.PublicKey(), nil
		}
	}
	return nil, client.ErrUnknownIdentity
}

type sawChat struct{ message client.ChatMessage }

func (o sawChat) String() string { return fmt.Sprintf("the chat message %q", o.message.Body) }

// awaitLogin waits until the chat server has taken the device's login, which no message has a place before or behind.
func (v *demoDevice) awaitLogin(ctx context.Context) error {
	select {
	case <-v.chat.login:
		return nil
	case <-time.After(v.demo.patience):
		return fmt.Errorf("%s was not logged in by the chat server within %v", v.name, v.demo.patience)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// expectChat waits for a text from Alice, which the device gets from the chat server, or else from one that reflects it.
func (v *demoDevice) expectChat(ctx context.Context, id csp.MessageID, text string, by *demoDevice) error {
	due := sawChat{client.ChatMessage{Body: []byte(text)}}
	o, err := v.next(ctx)
	if err != nil {
		return v.missed(due, err)
	}
	got, ok := o.(sawChat)
	switch m := got.message; {
	case !ok || string(m.Body) != text || m.Kind != csp.KindText:
		return v.differs(o, due)
	case m.Sender != v.demo.alice.id || m.ID != id || m.Outgoing:
		return fmt.Errorf("%s saw %v of %v with id %v, and Alice sent it with id %v", v.name, o, m.Sender, m.ID, id)
	case by == nil && m.Reflected:
		return fmt.Errorf("%s saw %v reflected by device %s, and leads", v.name, o, formatDeviceID(m.Device))
	case by != nil && (!m.Reflected || m.Device != by.id):
		return fmt.Errorf("%s saw %v not reflected by %s", v.name, o, by.name)
	}
	return nil
}

// startChatServer runs it with the public keys of two users.
func (d *demo) startChatServer(ctx context.Context) (err error) {
	if d.alice, err = newDemoUser("ALICE001"); err != nil {
		return err
	}
	if d.bob, err = newDemoUser("BOB00001"); err != nil {
		return err
	}
	d.chatServer, err = d.server.startChat(ctx, chatserver.FixedIdentities{
		d.alice.id: d.alice.key.PublicKey(), d.bob.id: d.bob.key.PublicKey(),
	})
	if err != nil {
		return err
	}
	return d.say(ctx, "chat", "server: process %d listens on %v; its turn comes in the end", d.chatServer.process, d.chatServer.address)
}

// openChat connects Alice's device, and Bob's two.
func (d *demo) openChat(ctx context.Context) error {
	d.sender = newChatDevice("alice", d, d.alice, 1)
	d.first, d.further = newChatDevice("bob's one", d, d.bob, 2), newChatDevice("bob's two", d, d.bob, 3)
	for _, v := range []*demoDevice{d.sender, d.first, d.further} {
		if _, err := v.connect(ctx); err != nil {
			return err
		}
		if _, err := expect[sawDry](ctx, v); err != nil {
			return err
		}
		role := "does not lead"
		if v != d.further {
			if _, err := expect[sawLeader](ctx, v); err != nil {
				return err
			}
			role = "leads"
		}
		if err := v.awaitLogin(ctx); err != nil {
			return err
		}
		err := d.say(ctx, v.name, "logged in to the chat server as %v, through the mediator; %s", v.chat.user.id, role)
		if err != nil {
			return err
		}
	}
	return nil
}

// demoChats are the texts that Alice sends.
var demoChats = [...]string{"are you on your way?", "I have got a table"}

// sendChat sends a text from Alice to Bob and waits for the acknowledgement.
func (d *demo) sendChat(ctx context.Context, text string) (csp.MessageID, error) {
	limit, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	id, err := d.sender.device.SendChat(limit, d.bob.id, csp.KindText, []byte(text))
	if err != nil {
		return 0, fmt.Errorf("alice sends %q: %w", text, err)
	}
	return id, d.say(ctx, "alice", "sent %q to %v: on the chat server's disk", text, d.bob.id)
}

// chatToLeader has a message reflected by the leader that gets it.
func (d *demo) chatToLeader(ctx context.Context) error {
	id, err := d.sendChat(ctx, demoChats[0])
	if err != nil {
		return err
	}
	if err := d.first.expectChat(ctx, id, demoChats[0], nil); err != nil {
		return err
	}
	if err := d.say(ctx, d.first.name, "leads and got it from the chat server"); err != nil {
		return err
	}
	if err := d.further.expectChat(ctx, id, demoChats[0], d.first); err != nil {
		return err
	}
	return d.say(ctx, d.further.name, "got it as well: the other one has reflected it")
}

// killLeader cuts the leader off, and has the other device get what comes next.
func (d *demo) killLeader(ctx context.Context) error {
	d.first.chat.cut()
	if _, err := expect[sawDisconnected](ctx, d.first); err != nil {
		return err
	}
	d.first.disconnect()
	d.first.forgetAttempts()
	if err := d.say(ctx, d.first.name, "was killed: its connection is gone without a word"); err != nil {
		return err
	}
	if _, err := expect[sawLeader](ctx, d.further); err != nil {
		return err
	}
	if err := d.say(ctx, d.further.name, "was promoted to leader"); err != nil {
		return err
	}
	id, err := d.sendChat(ctx, demoChats[1])
	if err != nil {
		return err
	}
	if err := d.further.expectChat(ctx, id, demoChats[1], nil); err != nil {
		return err
	}
	return d.say(ctx, d.further.name, "got it from the chat server: it has taken over")
}

// searchChatDisks looks for the texts in what both servers have stored.
func (d *demo) searchChatDisks(ctx context.Context) error {
	for _, text := range demoChats {
		for name, files := range map[string]fs.FS{"server": d.server.data(), "chat server": d.server.chatData()} {
			_, found, err := searchFiles(files, text)
			if err != nil {
				return err
			}
			if found {
				return fmt.Errorf("%s has %q on its disk, in clear", name, text)
			}
		}
	}
	return d.say(ctx, "servers", "neither has a word of it on its disk in clear")
}

// noOtherChat makes sure that nobody saw more than was told.
func (d *demo) noOtherChat(context.Context) error {
	all := []*demoDevice{d.sender, d.further, d.first}
	for _, v := range all {
		v.disconnect()
	}
	for _, v := range all {
		select {
		case o := <-v.seen:
			return fmt.Errorf("%s saw %v as well", v.name, o)
		default:
		}
	}
	return nil
}
