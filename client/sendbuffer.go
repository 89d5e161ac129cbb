package client

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// sendRoom is how many bytes may wait for the kernel before Send waits, too.
	sendRoom = 64 << 10
	// sendLimit is where a connection is given up: only pongs come beyond sendRoom
	// and one message, from a server that pings and does not read.
	sendLimit = sendRoom + 256<<10
	// stallTimeout is how long the kernel may take nothing.
	stallTimeout = 60 * time.Second
	// flushTimeout is how long a closed connection may still take to send.
	flushTimeout = 5 * time.Second
)

var errSendLimit = errors.New("connection: the server does not read")

// sendBuffer is a connection whose Write does not wait for the peer. It stands
// below the WebSocket library, which would end a connection whose pong waits
// behind a Write for 5 s. What is written while the kernel is busy goes to it in
// one piece.
type sendBuffer struct {
	net.Conn
	done chan struct{} // flush has ended and Conn is closed

	mu      sync.Mutex
	waiting []byte
	closing bool
	err     error
	changed chan struct{} // closed and replaced when one of the above changes
}

func newSendBuffer(conn net.Conn) *sendBuffer {
	b := &sendBuffer{Conn: conn, done: make(chan struct{}), changed: make(chan struct{})}
	go b.flush()
	return b
}

// Read makes the end of the stream an error that the WebSocket library passes on: it
// takes io.EOF for the end of a message, wherever in it the stream has ended, and a
// part would be taken for the whole.
func (b *sendBuffer) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Write keeps p for sending. It does not block. What nobody takes any more is lost without an error, which would end the
// library's reading with the first ping: the reason may be a Close frame that is still to be read.
func (b *sendBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closing:
		return 0, net.ErrClosed
	case b.err == errSendLimit:
		return 0, b.err
	case b.err != nil:
		return len(p), nil
	case len(b.waiting)+len(p) > sendLimit:
		b.err = errSendLimit
		b.notify()
		return 0, b.err
	}
	b.waiting = append(b.waiting, p...)
	b.notify()
	return len(p), nil
}

// Close ends reading at once, and the connection when what waits is sent, after 5 s
// at the latest. It does not wait for that.
func (b *sendBuffer) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		return nil
	}
	b.closing = true
	b.notify()
	b.Conn.SetWriteDeadline(time.Now().Add(flushTimeout))
	return b.Conn.SetReadDeadline(time.Unix(1, 0))
}

// abort ends the connection and drops what waits.
func (b *sendBuffer) abort() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = net.ErrClosed
	}
	b.closing = true
	b.notify()
	b.Conn.Close()
}

// SetDeadline sets the deadline for reading: Write never waits. (TLS sets one for
// its last record and lets it pass; what is still to be sent must not be cut.)
func (b *sendBuffer) SetDeadline(t time.Time) error { return b.SetReadDeadline(t) }

// SetWriteDeadline does nothing.
func (b *sendBuffer) SetWriteDeadline(time.Time) error { return nil }

// SetReadDeadline implements [net.Conn].
func (b *sendBuffer) SetReadDeadline(t time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		return net.ErrClosed
	}
	return b.Conn.SetReadDeadline(t)
}

// waitRoom waits until less than sendRoom is to be sent.
func (b *sendBuffer) waitRoom(ctx context.Context) error {
	for {
		b.mu.Lock()
		size, closing, err, changed := len(b.waiting), b.closing, b.err, b.changed
		b.mu.Unlock()
		switch {
		case err != nil:
			return err
		case closing:
			return net.ErrClosed
		case size < sendRoom:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// notify is called with mu held.
func (b *sendBuffer) notify() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// flush sends what waits until the connection is closed. After an error it sends no
// more, but leaves the connection open: a Close frame may still be there to be read.
func (b *sendBuffer) flush() {
	defer close(b.done)
	defer b.Conn.Close()
	var sent []byte
	for {
		sending := b.take(sent)
		if sending == nil {
			return
		}
		if _, err := b.Conn.Write(sending); err != nil {
			b.fail(err)
		}
		sent = sending
	}
}

// take waits for something to send and puts an empty buffer in its place. It returns
// nil when the connection is closed and nothing is to be sent any more.
func (b *sendBuffer) take(empty []byte) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.closing && (len(b.waiting) == 0 || b.err != nil) {
		changed := b.changed
		b.mu.Unlock()
		<-changed
		b.mu.Lock()
	}
	if b.err != nil || len(b.waiting) == 0 {
		return nil
	}
	sending := b.waiting
	b.waiting = empty[:0]
	if !b.closing {
		b.Conn.SetWriteDeadline(time.Now().Add(stallTimeout))
	}
	b.notify()
	return sending
}

func (b *sendBuffer) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
	}
	b.notify()
}
