package chatserver_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"openmediator/csp"
)

// client is the other side of the wire: it does what a test tells it and nothing by itself.
type client struct {
	t       testing.TB
	user    user
	nc      net.Conn
	in      *bufio.Reader
	session *csp.Session
	ack     csp.LoginAck
}

// device returns the extensions of a client with a device id.
func device(id csp.DeviceID) *csp.Extensions {
	return &csp.Extensions{ClientInfo: "test", DeviceID: &id, Features: csp.FeatureMetadata}
}

// dial connects and does not log in.
func (s *testServer) dial() net.Conn {
	s.t.Helper()
	nc, err := s.listener.Dial()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	return nc
}

// login connects and logs in; extensions may be nil.
func (s *testServer) login(u user, extensions *csp.Extensions) *client {
	s.t.Helper()
	c, err := s.tryLogin(u, extensions)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *testServer) tryLogin(u user, extensions *csp.Extensions) (*client, error) {
	s.t.Helper()
	c := &client{t: s.t, user: u, nc: s.dial()}
	c.in = bufio.NewReader(c.nc)
	h, err := csp.NewClientHandshake(rand.Reader, csp.Login{
		Identity: u.id, Key: u.key, ServerKey: s.config.Key.PublicKey(), Extensions: extensions, ClientInfo: "old",
	})
	if err != nil {
		s.t.Fatal(err)
	}
	hello := h.Hello()
	if _, err := c.nc.Write(hello[:]); err != nil {
		return nil, err
	}
	var answer [csp.ServerHelloSize]byte
	if _, err := io.ReadFull(c.in, answer[:]); err != nil {
		return nil, err
	}
	login, err := h.Login(answer[:])
	if err != nil {
		return nil, err
	}
	if _, err := c.nc.Write(login); err != nil {
		return nil, err
	}
	var ack [csp.LoginAckSize]byte
	if _, err := io.ReadFull(c.in, ack[:]); err != nil {
		return nil, err
	}
	c.session, c.ack, err = h.Finish(ack[:])
	return c, err
}

// frames seals payloads.
func (c *client) frames(payloads ...csp.Payload) []byte {
	c.t.Helper()
	var data []byte
	var err error
	for _, p := range payloads {
		if data, err = c.session.Seal(data, p); err != nil {
			c.t.Fatal(err)
		}
	}
	return data
}

func (c *client) send(kind csp.PayloadType, data []byte) {
	c.t.Helper()
	if _, err := c.nc.Write(c.frames(csp.Payload{Type: kind, Data: data})); err != nil {
		c.t.Fatal(err)
	}
}

// receive returns the next payload.
func (c *client) receive() (csp.Payload, error) {
	var length [2]byte
	if _, err := io.ReadFull(c.in, length[:]); err != nil {
		return csp.Payload{}, err
	}
	box := make([]byte, binary.LittleEndian.Uint16(length[:]))
	if _, err := io.ReadFull(c.in, box); err != nil {
		return csp.Payload{}, err
	}
	return c.session.Open(box)
}

// expect wants the next payload to have a type, and returns its data.
func (c *client) expect(kind csp.PayloadType) []byte {
	c.t.Helper()
	c.nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	p, err := c.receive()
	c.nc.SetReadDeadline(time.Time{})
	if err != nil {
		c.t.Fatalf("%v: want %v", err, kind)
	}
	if p.Type != kind {
		c.t.Fatalf("got %v %q, want %v", p.Type, p.Data, kind)
	}
	return p.Data
}

// message returns a message of the client's user.
func (c *client) message(to user, id csp.MessageID, text string) csp.Message {
	m := csp.Message{Sender: c.user.id, Receiver: to.id, ID: id, CreatedAt: 1, Box: []byte(text)}
	rand.Read(m.Nonce[:])
	return m
}

// post sends a message and does not wait for the ack.
func (c *client) post(m csp.Message) csp.Message {
	c.t.Helper()
	data, err := m.Append(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	c.send(csp.OutgoingMessage, data)
	return m
}

// deliver sends a message and waits for the ack.
func (c *client) deliver(m csp.Message) csp.Message {
	c.t.Helper()
	c.post(m)
	c.expectAck(m)
	return m
}

func (c *client) text(to user, id csp.MessageID, text string) csp.Message {
	c.t.Helper()
	return c.deliver(c.message(to, id, text))
}

func (c *client) expectAck(m csp.Message) {
	c.t.Helper()
	ack, err := csp.ParseMessageAck(c.expect(csp.OutgoingMessageAck))
	if want := (csp.MessageAck{Identity: m.Receiver, ID: m.ID}); err != nil || ack != want {
		c.t.Fatalf("ack is %v, %v, want %v", ack, err, want)
	}
}

// expectMessage wants a message next, with this text.
func (c *client) expectMessage(text string) csp.Message {
	c.t.Helper()
	m, err := csp.ParseMessage(c.expect(csp.IncomingMessage))
	if err != nil || string(m.Box) != text {
		c.t.Fatalf("got message %q, %v, want %q", m.Box, err, text)
	}
	return m
}

// acknowledge acks a message that was received.
func (c *client) acknowledge(m csp.Message) {
	c.t.Helper()
	c.send(csp.IncomingMessageAck, csp.MessageAck{Identity: m.Sender, ID: m.ID}.Append(nil))
}

// barrier waits until the server has read all that was sent, and wants nothing else to come before the echo.
func (c *client) barrier() {
	c.t.Helper()
	c.send(csp.EchoRequest, []byte("barrier"))
	if data := c.expect(csp.EchoResponse); string(data) != "barrier" {
		c.t.Fatalf("echo is %q", data)
	}
}

// expectNothing wants no payload to be on its way.
func (c *client) expectNothing() {
	c.t.Helper()
	c.nc.SetReadDeadline(time.Now().Add(time.Second))
	defer c.nc.SetReadDeadline(time.Time{})
	if p, err := c.receive(); !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("got %v %q, %v, want nothing", p.Type, p.Data, err)
	}
}

// unblock asks for messages and wants the queue to hold these.
func (c *client) unblock(texts ...string) {
	c.t.Helper()
	c.send(csp.UnblockIncoming, nil)
	c.expectQueue(texts...)
}

func (c *client) expectQueue(texts ...string) {
	c.t.Helper()
	for _, text := range texts {
		c.expectMessage(text)
	}
	c.expect(csp.QueueSendComplete)
}

// expectClosed wants a close error with a text in it, and then the end of the stream.
func (c *client) expectClosed(mayReconnect bool, text string) {
	c.t.Helper()
	c.expectCloseError(mayReconnect, text)
	c.nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 { // a reset is an error here
		c.t.Fatalf("got %d bytes, %v, want the end of the stream", len(rest), err)
	}
	c.nc.Close()
}

func (c *client) expectCloseError(mayReconnect bool, text string) {
	c.t.Helper()
	closed, err := csp.ParseClosed(c.expect(csp.CloseError))
	if err != nil || closed.MayReconnect != mayReconnect || !strings.Contains(closed.Text, text) {
		c.t.Fatalf("closed with %+v, %v, want %v %q", closed, err, mayReconnect, text)
	}
}

// expectEnd wants the connection to end without a word.
func (c *client) expectEnd() {
	c.t.Helper()
	expectEnd(c.t, c.nc, c.in)
}

func expectEnd(t testing.TB, nc net.Conn, in io.Reader) {
	t.Helper()
	nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	if rest, err := io.ReadAll(in); err != nil && !isReset(err) || len(rest) > 0 {
		t.Fatalf("got %d bytes, %v, want the end of the stream", len(rest), err)
	}
	nc.Close()
}

// isReset tells whether a connection was closed while something arrived.
func isReset(err error) bool { return strings.Contains(err.Error(), "reset by peer") }

// count is how many messages wait for a user.
func (s *testServer) count(u user) int {
	s.t.Helper()
	id := csp.DeviceID(1 << 60)
	c := s.login(u, &csp.Extensions{DeviceID: &id})
	defer c.nc.Close()
	return int(c.ack.Queued)
}

func box(size int) string { return string(bytes.Repeat([]byte{'x'}, size)) }
