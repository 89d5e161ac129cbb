package mediator

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"openmediator/internal/nowait"
)

const (
	// closeTimeout is how long the peer is waited for once a connection is being closed (B45).
	closeTimeout = 5 * time.Second

	// maxRequestStay is how long a connection may take to ask for its upgrade, a TLS handshake included, or to take a refusal.
	maxRequestStay = 3 * requestTimeout

	// How many bytes are read and discarded at full speed from a stranger, or from a device, that goes on sending to a
	// connection that is being closed; then there is a pause before each read. Reading costs more than sending, and being
	// closed would be the cheapest way to keep the server busy.
	strangersDiscard = 1 << 20
	membersDiscard   = 8 << 20
	discardPause     = 100 * time.Millisecond

	// writeSlice is how long a write waits before it looks whether the peer is alive.
	writeSlice = time.Second
)

// link is a connection as it comes from the listener, below TLS. A write on it ends when the peer takes nothing and
// sends nothing for too long (B21): "takes" is bytes that the kernel accepted.
type link struct {
	net.Conn

	socket    syscall.RawConn // nil if it is no TCP socket
	started   time.Time
	stall     time.Duration
	request   *guest       // until the upgrade; nil for a connection that no Listener has accepted
	proxySeen *atomic.Bool // set if the connection begins like one of a proxy; may be nil
	heard     atomic.Int64 // when something was read last, as time since started
	broken    atomic.Bool  // a write has failed: none is tried after it, though TLS would still say that it closes
	closing   atomic.Bool  // less patience from now on
	excess    atomic.Int64 // bytes read since, less those that are read at full speed
}

// errStalled ends a write to a peer that is not alive.
var errStalled = errors.New("peer takes nothing and sends nothing")

func newLink(c net.Conn, stall time.Duration) *link {
	return &link{Conn: c, socket: nowait.Socket(below(c)), started: time.Now(), stall: stall}
}

// NetConn returns the connection below, like tls.Conn does.
func (l *link) NetConn() net.Conn { return l.Conn }

// CloseWrite ends the sending side, if the connection below can.
func (l *link) CloseWrite() error { return closeWrite(l.Conn) }

// closeWrite ends the sending side of a connection that has sides.
func closeWrite(c net.Conn) error {
	half, ok := c.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// Close closes the connection below.
func (l *link) Close() error {
	if l.request != nil {
		l.request.end()
	}
	return l.Conn.Close()
}

func (l *link) Read(p []byte) (int, error) {
	closing := l.closing.Load()
	if closing && l.excess.Load() > 0 {
		time.Sleep(discardPause)
	}
	n, err := l.Conn.Read(p)
	if closing {
		l.excess.Add(int64(n))
	}
	if n > 0 {
		if l.proxySeen != nil && l.heard.Load() == 0 && isAnnouncement(p[:n]) {
			l.proxySeen.Store(true)
		}
		l.heard.Store(int64(time.Since(l.started)))
	}
	return n, err
}

// beginClosing gives the peer less patience from now on: free bytes are discarded at full speed.
func (l *link) beginClosing(free int64) {
	l.excess.Store(-free)
	l.closing.Store(true)
}

// lastHeard returns when something was read last.
func (l *link) lastHeard() time.Time { return l.started.Add(time.Duration(l.heard.Load())) }

// tryWrite writes what the kernel takes at once.
func (l *link) tryWrite(p []byte) (written int, err error) { return nowait.Write(l.socket, p) }

func (l *link) Write(p []byte) (written int, err error) {
	if l.broken.Load() {
		return 0, errStalled
	}
	written, err = l.writePatiently(p)
	if err != nil {
		l.broken.Store(true)
	}
	return written, err
}

func (l *link) writePatiently(p []byte) (written int, err error) {
	if written, err = l.tryWrite(p); err != nil || written == len(p) {
		return written, err
	}
	defer l.Conn.SetWriteDeadline(time.Time{})
	alive := time.Now()
	for {
		if err := l.Conn.SetWriteDeadline(time.Now().Add(writeSlice)); err != nil {
			return written, err
		}
		n, err := l.Conn.Write(p[written:])
		written += n
		if !errors.Is(err, os.ErrDeadlineExceeded) || written == len(p) {
			return written, err
		}
		now := time.Now()
		if n > 0 {
			alive = now
		}
		if l.given(now, alive) {
			return written, errStalled
		}
	}
}

// given says whether the peer is given up; alive is when it took something last.
func (l *link) given(now, alive time.Time) bool {
	if l.closing.Load() {
		return now.Sub(alive) >= closeTimeout
	}
	if heard := l.lastHeard(); heard.After(alive) {
		alive = heard
	}
	return now.Sub(alive) >= l.stall
}

// limit returns l with the patience of the server for peers that do not read, and for as many as may wait for the answer
// to their request. TLS goes around it: its handshake is then limited as well, and writes are cut into slices below it, for
// it takes none up again that has failed.
func (s *Server) limit(l net.Listener) net.Listener {
	return linkListener{l, s}
}

type linkListener struct {
	net.Listener
	server *Server
}

func (l linkListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer, config := c.RemoteAddr().String(), l.server.config()
		named := config.Front.ProxyProtocol.Contains(peer)
		client := peer
		if config.Front.isProxy(peer) {
			client = "" // not known yet
		}
		request, ok := l.server.limits.arrive(client)
		if !ok {
			c.Close() // without an answer, which would have to wait for the request
			continue
		}
		tuneSocket(c)
		request.limitStay(maxRequestStay, c.Close)
		if named {
			c = announced(c, request)
		}
		link := newLink(c, config.StallTimeout)
		link.request = request
		link.proxySeen = &l.server.proxySeen
		return link, nil
	}
}

// below returns the connection that came from the network, below whatever is around it.
func below(c net.Conn) net.Conn {
	for {
		wrapper, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return c
		}
		c = wrapper.NetConn()
	}
}

// linkOf returns the link below a connection, or nil.
func linkOf(c net.Conn) *link {
	for {
		if l, ok := c.(*link); ok {
			return l
		}
		wrapper, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		c = wrapper.NetConn()
	}
}
