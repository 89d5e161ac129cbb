package mediator

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"openmediator/chatproxy"
	"openmediator/d2m"
	"openmediator/devicegroup"
)

// conn is one WebSocket connection.
type conn struct {
	// fixed
	server *Server
	url    d2m.ClientURLInfo
	name   string // pseudonym in the log (B42)
	ws     *websocket.Conn
	out    *outbox
	link   *link       // nil if the listener is none of ours
	mute   atomic.Bool // a Close frame has been sent, or is about to be: no pong goes out behind it
	guest  *guest

	// reader
	verifier *d2m.Verifier // until the challenge has been answered
	held     heldBack      // Proxy from before the registration
	base     string        // of the path, until the Access has seen it; kept by what may still have an invitation
	reading  unfinished
	gathered *message // for the chat server, and not sent yet; or nil

	// reader; fixed once registered is set
	group  *group
	core   *devicegroup.Group // the claim of the group that member belongs to
	member *devicegroup.Conn  // nil before registration

	// pinger
	bucket int       // on the wheel
	owing  time.Time // since when the device's TCP owes an acknowledgement, as far as it was looked

	// writer
	informed bool // ServerInfo is with the kernel
	chatOver bool // the end of the session with the chat server has been noticed

	// guarded by the group's lock
	resume chan struct{} // closed when the reader may go on; nil while it need not wait

	mu         sync.Mutex
	registered bool               // the group decides what is sent, and when it ends
	writing    bool               // the writer runs
	dirty      bool               // there is something for the writer to look at
	admitted   bool               // ServerInfo is on its way: the chat server may be connected to
	chat       *chatproxy.Session // nil until the device sends something for the chat server
	left       bool               // the group has the device no more; no chat is opened
	early      devicegroup.Frames // before registration
	close      *devicegroup.Close // decided by this side, without the group
	pingDue    bool
	pinged     time.Time // when the last ping went out
	ponged     bool      // has answered a ping before
	unanswered int       // pings since anything was heard
	parts      int       // of reader and socket, how many are still there
}

// run reads the connection until it ends. It is the reader.
func (c *conn) run() {
	ended := c.serve()
	c.leave()
	c.finish(ended)
	c.part()
}

// part notes that the reader or the socket has ended; with the second one the connection is no more.
func (c *conn) part() {
	c.mu.Lock()
	c.parts--
	last := c.parts == 0
	c.mu.Unlock()
	if last {
		c.server.remove(c)
	}
}

// serve reads and handles messages until the connection ends, and returns why.
func (c *conn) serve() error {
	err := c.introduce()
	for err == nil {
		err = c.take()
	}
	return err
}

// introduce handles messages until the device is registered, for which it has not long.
func (c *conn) introduce() error {
	timeout := time.AfterFunc(c.server.config().HandshakeTimeout, c.handshakeTimeout)
	defer timeout.Stop()
	err := c.greet()
	for err == nil && c.member == nil {
		err = c.take()
	}
	return err
}

// take reads a message and handles it. An error ends the connection.
func (c *conn) take() error {
	m, err := c.read()
	if err == nil {
		err = c.handle(m)
	}
	putMessage(m)
	return err
}

// greet sends ServerHello (B2).
func (c *conn) greet() error {
	verifier, err := c.server.verifiers.next()
	if err != nil {
		return internalError("no randomness")
	}
	c.verifier = verifier
	c.mu.Lock()
	c.early.Add(verifier.Hello().Append(nil))
	c.mu.Unlock()
	c.wake()
	return nil
}

func (c *conn) handshakeTimeout() {
	c.end(devicegroup.Close{Code: d2m.CloseIdle, Reason: "no client hello in time"})
}

// read returns the next message, in a buffer that putMessage takes back.
func (c *conn) read() (*message, error) {
	limit := d2m.MaxMessageSize
	if c.member == nil {
		limit = d2m.MaxPreauthSize
	}
	if c.gathered != nil && !c.out.holdsMessage(limit) {
		c.sendGathered()
	}
	if m := c.out.nextMessage(limit); m != nil {
		return m, nil
	}
	return c.readFrames(limit)
}

// readFrames has the library read the next message, and handle what may stand before and within it.
func (c *conn) readFrames(limit int) (*message, error) {
	kind, r, err := c.ws.Reader(context.Background())
	if err != nil {
		return nil, err
	}
	c.reading.begin()
	defer c.reading.end()
	if kind != websocket.MessageBinary {
		return nil, protocolError("text message")
	}
	m := getMessage()
	return m, m.readFrom(r, limit)
}

// message is a buffer for one message.
type message struct{ data []byte }

var messages = sync.Pool{New: func() any { return &message{data: make([]byte, 0, 1024)} }}

func getMessage() *message { return messages.Get().(*message) }

func putMessage(m *message) {
	if m != nil {
		m.data = m.data[:0]
		messages.Put(m)
	}
}

// readFrom reads a message of at most limit bytes. Its buffer grows with what arrives, not with what is announced.
func (m *message) readFrom(r io.Reader, limit int) error {
	for {
		if len(m.data) > limit {
			return protocolError("message is too long")
		}
		if size := len(m.data); size == cap(m.data) {
			grown := make([]byte, size, min(2*size, limit+1))
			copy(grown, m.data)
			m.data = grown
		}
		n, err := r.Read(m.data[len(m.data):cap(m.data)])
		m.data = m.data[:len(m.data)+n]
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// handle takes one message. An error ends the connection.
func (c *conn) handle(m *message) error {
	c.heard()
	if c.member == nil {
		return c.handshake(m.data)
	}
	if kind, payload, err := d2m.Split(m.data); err == nil && kind == d2m.TypeProxy {
		return c.proxy(payload)
	}
	c.sendGathered()
	c.group.receive(c, m.data)
	return nil
}

// heard notes that the device has sent something.
func (c *conn) heard() {
	c.mu.Lock()
	c.unanswered = 0
	c.mu.Unlock()
}

// pong notes an answer to a ping (B13).
func (c *conn) pong() {
	c.mu.Lock()
	c.ponged, c.unanswered = true, 0
	c.mu.Unlock()
}

// end closes the connection from this side, for a reason that its group does not know. What was sent before goes out
// first.
func (c *conn) end(why devicegroup.Close) {
	c.mu.Lock()
	registered := c.registered
	if !registered && c.close == nil {
		c.close = &why
	}
	c.mu.Unlock()
	if registered {
		c.group.end(c, why)
	}
	c.wake()
}

func (c *conn) netConn() net.Conn {
	if c.link != nil {
		return c.link
	}
	return c.out.Conn
}

// leave takes the connection out of its group.
func (c *conn) leave() {
	if c.member != nil {
		c.group.over(c)
		c.server.groups.exit(c.group)
	}
}

// finish ends the connection after its reader has stopped: with a code, if the device is still there to hear it and has
// not closed the connection itself, else at once. What still arrives is read by whoever closes (B45).
func (c *conn) finish(ended error) {
	why, tell := closeFor(ended)
	if !tell {
		c.server.logEnd(c, ended)
		c.out.Close()
		return
	}
	c.mu.Lock()
	if c.close == nil {
		c.close = &why
	}
	c.mu.Unlock()
	c.wake()
}
