package proxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// What the chat server does on a connection: its first byte.
const (
	echo   = 'e' // sends back
	sink   = 's' // swallows
	source = 'd' // pours out
)

var names = map[byte]string{echo: "round trips", sink: "frames up", source: "frames down"}

// Chat is the chat server that a proxy leads to.
type Chat struct {
	listener net.Listener
	sunk     atomic.Int64
	running  sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

// Listen starts a chat server.
func Listen() (*Chat, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &Chat{listener: l, conns: map[net.Conn]struct{}{}}
	c.running.Go(c.accept)
	return c, nil
}

// Address returns where it listens.
func (c *Chat) Address() string { return c.listener.Addr().String() }

// Sunk returns how many bytes it has swallowed.
func (c *Chat) Sunk() int64 { return c.sunk.Load() }

// Close ends all connections and waits for the end of what they do.
func (c *Chat) Close() {
	c.listener.Close()
	c.mu.Lock()
	c.closed = true
	for conn := range c.conns {
		conn.Close()
	}
	c.mu.Unlock()
	c.running.Wait()
}

func (c *Chat) accept() {
	for {
		conn, err := c.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		c.mu.Lock()
		if c.closed {
			conn.Close()
		} else {
			c.conns[conn] = struct{}{}
			c.running.Go(func() { c.serve(conn) })
		}
		c.mu.Unlock()
	}
}

// serve does what the first byte says until the connection ends, which it need not tell anybody.
func (c *Chat) serve(conn net.Conn) {
	defer func() {
		conn.Close()
		c.mu.Lock()
		delete(c.conns, conn)
		c.mu.Unlock()
	}()
	var what [1]byte
	if _, err := io.ReadFull(conn, what[:]); err != nil {
		return
	}
	buffer := make([]byte, 32<<10)
	frame := make([]byte, throughputSize)
	for {
		var n int
		var err error
		switch what[0] {
		case source:
			_, err = conn.Write(frame)
		case sink:
			n, err = conn.Read(buffer)
			c.sunk.Add(int64(n))
		default:
			if n, err = conn.Read(buffer); err == nil {
				_, err = conn.Write(buffer[:n])
			}
		}
		if err != nil {
			return
		}
	}
}
