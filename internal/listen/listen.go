// Package listen has the listeners of tests that run a server and connect to it themselves: on loopback, or over net.Pipe
// for fake time.
package listen

import (
	"net"
	"sync"
	"testing"
)

// Listener is one that tests connect to.
type Listener interface {
	net.Listener
	Dial() (net.Conn, error)
}

// TCP listens on loopback, at a port that is free.
func TCP(t testing.TB) Loopback {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return Loopback{l}
}

// Loopback is a Listener over TCP.
type Loopback struct{ net.Listener }

// Dial connects to the listener.
func (l Loopback) Dial() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }

// Pipe is a Listener over net.Pipe: for fake time, and for bytes that arrive exactly as they were sent, one by one.
type Pipe struct {
	conns chan net.Conn
	ended chan struct{}
	once  sync.Once
}

// NewPipe returns a Pipe. Within a synctest bubble it belongs to the bubble.
func NewPipe() *Pipe { return &Pipe{conns: make(chan net.Conn), ended: make(chan struct{})} }

// Dial connects to the listener. It waits until the connection is accepted.
func (l *Pipe) Dial() (net.Conn, error) {
	near, far := net.Pipe()
	return near, l.offer(far)
}

// DialFrom is Dial for a peer whose address the listener's side sees.
func (l *Pipe) DialFrom(peer net.Addr) (net.Conn, error) {
	near, far := net.Pipe()
	return near, l.offer(peerConn{far, peer})
}

func (l *Pipe) offer(c net.Conn) error {
	select {
	case l.conns <- c:
		return nil
	case <-l.ended:
		return net.ErrClosed
	}
}

type peerConn struct {
	net.Conn
	peer net.Addr
}

func (c peerConn) RemoteAddr() net.Addr { return c.peer }

// Accept implements net.Listener.
func (l *Pipe) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.ended:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *Pipe) Close() error {
	l.once.Do(func() { close(l.ended) })
	return nil
}

// Addr implements net.Listener. The address is no address.
func (l *Pipe) Addr() net.Addr { return address{} }

type address struct{}

func (address) Network() string { return "pipe" }
func (address) String() string  { return "pipe" }
