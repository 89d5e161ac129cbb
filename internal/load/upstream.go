package load

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"openmediator/csp"
)

// What a client asks the chat server for, by the first byte of its hello.
const (
	askEcho   = 'e' // all that it sends
	askSink   = 's' // nothing
	askSource = 'd' // frames without end
)

// upstream is a chat server as far as a mediator can tell one: after the handshake's sizes come frames. It opens nothing.
type upstream struct {
	listener net.Listener
	source   []byte       // frames, for askSource
	sunk     atomic.Int64 // bytes that came for askSink

	mu    sync.Mutex
	conns map[net.Conn]struct{} // nil after close
	tasks sync.WaitGroup
}

// serveUpstream accepts connections until close.
func serveUpstream(l net.Listener, source []byte) *upstream {
	u := &upstream{listener: l, source: source, conns: make(map[net.Conn]struct{})}
	u.tasks.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			u.tasks.Go(func() { u.serve(c) })
		}
	})
	return u
}

// close ends the listener and all connections.
func (u *upstream) close() {
	u.listener.Close()
	u.mu.Lock()
	for c := range u.conns {
		c.Close()
	}
	u.conns = nil
	u.mu.Unlock()
	u.tasks.Wait()
}

func (u *upstream) serve(c net.Conn) {
	defer c.Close()
	u.mu.Lock()
	if u.conns == nil {
		u.mu.Unlock()
		return
	}
	u.conns[c] = struct{}{}
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.conns, c)
	}()
	var hello [csp.ClientHelloSize]byte
	if _, err := io.ReadFull(c, hello[:]); err != nil {
		return
	}
	if _, err := c.Write(make([]byte, csp.ServerHelloSize+csp.LoginAckSize)); err != nil {
		return
	}
	switch hello[0] {
	case askEcho:
		io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{c}, make([]byte, 64<<10)) // without splice: frames are small
	case askSink:
		io.CopyBuffer(counter{&u.sunk}, struct{ io.Reader }{c}, make([]byte, 256<<10))
	case askSource:
		for err := error(nil); err == nil; {
			_, err = c.Write(u.source)
		}
	}
}

// counter counts what is written.
type counter struct{ bytes *atomic.Int64 }

func (w counter) Write(b []byte) (int, error) {
	w.bytes.Add(int64(len(b)))
	return len(b), nil
}

// chatFrame makes a chat server's frame of size bytes, its length included, with a content.
func chatFrame(content []byte, size int) []byte {
	const length = 2
	return append(binary.LittleEndian.AppendUint16(nil, uint16(size-length)), content[:size-length]...)
}

// repeated fills a write of at most burstSize bytes.
func repeated(frame []byte) []byte { return bytes.Repeat(frame, max(1, burstSize/len(frame))) }
