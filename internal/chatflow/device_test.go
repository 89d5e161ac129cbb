package chatflow

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"openmediator/client"
	"openmediator/csp"
	"openmediator/d2m"
)

// marker stands in each message, and nowhere else. It is short and stands there again and again, so that a part of a
// message is found, too.
const marker = "for your eyes: "

var prefix = strings.Repeat(marker, 4)

// device is a device of alice or bob.
type device struct {
	*client.Device
	name      string
	user      *user
	nonces    *countedNonces // of chat messages
	led       atomic.Int64   // how often it became the leader
	onMessage func(*device, client.ChatMessage)

	mu   sync.Mutex
	conn *net.TCPConn // to the mediator
}

// join connects a device whose messages are handed to onMessage, in their order. It takes care of its end.
func (w *world) join(u *user, id d2m.DeviceID, onMessage func(*device, client.ChatMessage)) *device {
	w.t.Helper()
	d := &device{
		name: fmt.Sprintf("%s's device %d", u.name, id), user: u, onMessage: onMessage,
		nonces: &countedNonces{MemoryNonces: client.NewMemoryNonces(1 << 20)},
	}
	config := client.Config{
		URL:      "ws://mediator.example",
		Dialer:   client.Dialer{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.dial(ctx, w) }},
		Keys:     u.group,
		DeviceID: id,
		OnLeader: func() { d.led.Add(1) },
		Receive: func(context.Context, client.Message) error {
			w.t.Errorf("%s got an envelope that is no chat message", d.name)
			return nil
		},
		OnUnreadable: func(err error) { w.t.Errorf("%s cannot read an envelope: %v", d.name, err) },
		ReconnectMin: time.Millisecond,
		ReconnectMax: 20 * time.Millisecond,
		Chat: &client.ChatConfig{
			Identity: u.identity, Key: u.key, ServerKey: w.serverKey.PublicKey(), DeviceID: csp.DeviceID(id),
			PublicKey:    w.publicKey,
			Nonces:       d.nonces,
			Receive:      func(_ context.Context, m client.ChatMessage) error { d.onMessage(d, m); return nil },
			OnUnreadable: func(err error) { w.t.Errorf("%s cannot read a message: %v", d.name, err) },
		},
	}
	var err error
	if d.Device, err = client.Connect(w.ctx, config); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(d.Close)
	return d
}

func (d *device) dial(ctx context.Context, w *world) (net.Conn, error) {
	conn, err := w.dial(ctx)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conn = conn.TCPConn
	return conn, nil
}

// kill cuts the connection off. What the device has not sent or not read yet is lost.
func (d *device) kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	cut(d.conn)
}

// send sends a message, again and again as long as it is not known whether it has left.
func (d *device) send(ctx context.Context, to *user, number int) error {
	_, err := d.SendChat(ctx, to.identity, csp.KindText, []byte(prefix+strconv.Itoa(number)))
	var unknown *client.ChatUnknownError
	for errors.As(err, &unknown) && ctx.Err() == nil {
		err = d.SendChatSealed(ctx, unknown.Sealed)
	}
	return err
}

// numberOf returns which message this is.
func numberOf(m client.ChatMessage) (int, error) {
	number, marked := strings.CutPrefix(string(m.Body), prefix)
	if !marked || m.Kind != csp.KindText {
		return 0, fmt.Errorf("message: kind %d, %d bytes: nobody has sent it", m.Kind, len(m.Body))
	}
	return strconv.Atoi(number)
}

// countedNonces counts the messages that were discarded because they came again.
type countedNonces struct {
	*client.MemoryNonces
	repeated atomic.Int64
}

func (c *countedNonces) Contains(nonce [24]byte) (bool, error) {
	known, err := c.MemoryNonces.Contains(nonce)
	if known {
		c.repeated.Add(1)
	}
	return known, err
}
