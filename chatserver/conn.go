package chatserver

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"openmediator/csp"
)

// conn is one TCP connection.
type conn struct {
	// fixed
	server  *Server
	nc      net.Conn
	wake    chan struct{} // holds a token while the writer has something to look at
	written chan struct{} // closed when the writer has ended

	// reader; fixed once loggedIn is set
	session *session
	boxes   *csp.Session // the reader opens, the writer seals

	// reader
	in *bufio.Reader

	// writer
	next       uint64 // arrival from which on stored messages were not sent
	queueEnd   uint64 // the last message of the queue when its sending began
	begun      bool   // queueEnd is known
	queueIsOut bool   // 0xd0 has been sent

	mu       sync.Mutex
	room     sync.Cond // on mu: unsent has become less, or the connection ends
	loggedIn bool
	own      []csp.Payload // to be sent, besides stored messages
	unsent   int           // bytes of what own holds and of what the writer has taken from there and not written
	behind   bool          // the queue may hold messages that were not sent
	closing  *csp.Closed   // how this side ends the connection
	gone     bool          // there is nobody to write to
	lingers  bool          // the read deadline is that of the end
	idle     time.Duration // how long a frame of the client is waited for
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{
		server: s, nc: nc, in: bufio.NewReader(nc),
		wake: make(chan struct{}, 1), written: make(chan struct{}), idle: s.config.IdleTimeout,
	}
	c.room.L = &c.mu
	return c
}

// run serves the connection until it ends. It is the reader.
func (c *conn) run() {
	defer c.server.remove(c)
	defer c.nc.Close()
	err := c.handshake()
	if err == nil {
		go c.write()
		err = c.read()
		c.drop()
		<-c.written
	}
	if c.session != nil {
		c.server.logout(c.session)
	}
	c.server.logEnd(err)
}

// closedWith is an error that ends the connection with a close error.
type closedWith struct{ csp.Closed }

func (c closedWith) Error() string { return c.Text }

func violation(text string) error { return closedWith{csp.Closed{Text: text}} }

// read takes frames until the connection ends.
func (c *conn) read() error {
	box := make([]byte, csp.MaxBoxSize)
	for c.awaitRoom() {
		p, err := c.readFrame(box)
		if err != nil {
			return err
		}
		if err := c.handle(p); err != nil {
			closed, ok := errors.AsType[closedWith](err)
			if !ok {
				return err
			}
			c.end(closed.Closed)
		}
	}
	_, err := io.Copy(io.Discard, c.in) // closed while something arrives, the socket would send a reset
	return err
}

// readFrame waits for a whole frame, for as long as the client may be idle.
func (c *conn) readFrame(box []byte) (csp.Payload, error) {
	c.armRead()
	var length [2]byte
	if _, err := io.ReadFull(c.in, length[:]); err != nil {
		return csp.Payload{}, err
	}
	size := int(binary.LittleEndian.Uint16(length[:]))
	if size > len(box) {
		return csp.Payload{}, fmt.Errorf("frame: box has %d bytes, at most %d", size, len(box))
	}
	if _, err := io.ReadFull(c.in, box[:size]); err != nil {
		return csp.Payload{}, err
	}
	return c.boxes.Open(box[:size])
}

func (c *conn) armRead() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.lingers {
		c.nc.SetReadDeadline(time.Now().Add(c.idle))
	}
}

// awaitRoom waits while the client has too much to take. It reports false once this side ends the connection.
func (c *conn) awaitRoom() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.unsent > c.server.config.MaxUnsent && c.closing == nil && !c.gone {
		c.room.Wait()
	}
	return c.closing == nil && !c.gone
}

// handle takes one payload. An error ends the connection.
func (c *conn) handle(p csp.Payload) error {
	switch p.Type {
	case csp.EchoRequest:
		c.send(csp.Payload{Type: csp.EchoResponse, Data: p.Data})
	case csp.OutgoingMessage:
		return c.takeMessage(p.Data)
	case csp.IncomingMessageAck:
		return c.takeAck(p.Data)
	case csp.UnblockIncoming:
		c.unblock()
	case csp.SetIdleTimeout:
		return c.setIdleTimeout(p.Data)
	case csp.ClearDeviceCookieChange:
		c.store(func(t *transaction) { t.clearCookieChange(c.session.identity) }, nil)
	}
	return nil // push tokens, echo responses, and what is unknown
}

// store has something stored. A failure ends the connection, else then is called, if it is not nil. Neither waits.
func (c *conn) store(do func(*transaction), then func()) {
	c.server.store.submit(operation{
		do: func(t *transaction) error { do(t); return nil },
		then: func(err error) {
			switch {
			case err != nil:
				c.end(storageFailed)
			case then != nil:
				then()
			}
		},
	})
}

// takeAck deletes the message that the client has.
func (c *conn) takeAck(data []byte) error {
	ack, err := csp.ParseMessageAck(data)
	if err != nil {
		return violation(err.Error())
	}
	c.store(func(t *transaction) { t.acked(c.session.identity, ack) }, nil)
	return nil
}

// unblock makes the client the one that gets messages, behind all acks that came before: what those delete is not sent.
func (c *conn) unblock() {
	c.store(func(*transaction) {}, func() {
		c.server.sessions.unblocked(c.session)
		c.stir()
	})
}

func (c *conn) setIdleTimeout(data []byte) error {
	timeout, err := csp.ParseIdleTimeout(data)
	if err != nil {
		return violation(err.Error())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = time.Duration(timeout.Clamp()) * time.Second
	return nil
}

// frameOverhead is by how many bytes a frame is longer than its data.
const frameOverhead = csp.MaxFrameSize - csp.MaxDataSize

// send has a payload written. It never waits.
func (c *conn) send(p csp.Payload) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.append(p)
}

// offer is send unless the client has too much to take already, which it reports.
func (c *conn) offer(p csp.Payload) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unsent+len(p.Data)+frameOverhead > c.server.config.MaxUnsent {
		return false
	}
	c.append(p)
	return true
}

func (c *conn) append(p csp.Payload) {
	if c.closing != nil || c.gone {
		return
	}
	c.own = append(c.own, p)
	c.unsent += len(p.Data) + frameOverhead
	c.wakeWriter()
}

// stir makes the writer look at the queue.
func (c *conn) stir() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.behind = true
	c.wakeWriter()
}

func (c *conn) wakeWriter() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// end ends the connection from this side: what was to be sent goes out, then the close error. The session is over at
// once. It never waits.
func (c *conn) end(why csp.Closed) {
	c.mu.Lock()
	if !c.loggedIn {
		c.nc.Close()
	}
	loggedIn := c.loggedIn
	if c.closing == nil {
		c.closing = &why
		c.nc.SetWriteDeadline(time.Now().Add(c.server.config.CloseTimeout))
	}
	c.room.Broadcast()
	c.wakeWriter()
	c.mu.Unlock()
	if loggedIn {
		c.server.logout(c.session)
	}
}

// drop ends the connection without a word.
func (c *conn) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = true
	c.room.Broadcast()
	c.wakeWriter()
}
