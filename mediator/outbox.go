package mediator

import (
	"bufio"
	"encoding/binary"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	readBufferSize  = 16        // of the library, bytes: it has its own because it must
	writeBufferSize = 128       // holds a control frame whole, so that frames never mix
	keptSize        = 128 << 10 // of a buffer that is used again

	// The first byte of a frame.
	binaryFrame = 0x82
	closeFrame  = 0x88
	pongFrame   = 0x8a

	// Above as much the connection is not read. Before the registration nothing is answered but pings.
	maxUnflushed        = 128 << 10
	maxUnflushedPreauth = 16 << 10
)

var unflushed = sync.Pool{New: func() any { b := make([]byte, 0, 16<<10); return &b }}

// outbox stands between the WebSocket library and the socket. What is to be sent is collected, the writer's messages and
// the control frames that the library writes, and goes out when the connection's writer flushes: many frames in one system
// call, and no frame ever waits behind another one's socket. How it reads says arrivals.go. While nothing happens there are
// no large buffers.
type outbox struct {
	net.Conn
	stir func() // wakes the writer

	arrivals

	mu     sync.Mutex
	space  sync.Cond // signalled when data was flushed, and when the outbox ends
	data   *[]byte   // to be flushed; from the pool, or nil
	room   int       // for data, before reading stops
	quiet  bool      // the writer is at work and will flush: it need not be woken
	closed bool      // the library has sent a Close frame: nothing goes out behind it
	ending bool      // the library has closed its side
	direct bool      // the writer has left: writes go straight to the socket
}

func newOutbox(c net.Conn, stir func()) *outbox {
	o := &outbox{Conn: c, stir: stir, room: maxUnflushedPreauth}
	o.reading = make(chan struct{}, 1)
	o.space.L = &o.mu
	return o
}

// Write collects a frame of the library's. It never blocks while there is a writer.
func (o *outbox) Write(p []byte) (int, error) {
	o.mu.Lock()
	if o.direct {
		o.mu.Unlock()
		return o.Conn.Write(p)
	}
	o.closed = o.closed || p[0] == closeFrame
	data := o.collected()
	*data = append(*data, p...)
	quiet := o.quiet
	o.mu.Unlock()
	if !quiet {
		o.stir()
	}
	return len(p), nil
}

// collected returns the buffer for what is to be flushed. o.mu is held.
func (o *outbox) collected() *[]byte {
	if o.data == nil {
		o.data = unflushed.Get().(*[]byte)
	}
	return o.data
}

// waiting returns how many bytes are to be flushed. o.mu is held.
func (o *outbox) waiting() int {
	if o.data == nil {
		return 0
	}
	return len(*o.data)
}

// sendFrames collects messages, each as one frame: data up to each of ends. It reports false if a Close frame is ahead of
// them, or if the library has closed its side. Only the writer calls it.
func (o *outbox) sendFrames(data []byte, ends []int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.ending {
		return false
	}
	to, start := o.collected(), 0
	for _, end := range ends {
		*to = appendFrameHeader(*to, end-start)
		*to = append(*to, data[start:end]...)
		start = end
	}
	return true
}

// appendFrameHeader appends the header of a message of size bytes that is one frame (RFC 6455, 5.2).
func appendFrameHeader(b []byte, size int) []byte {
	switch {
	case size < 126:
		return append(b, binaryFrame, byte(size))
	case size < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, binaryFrame, 126), uint16(size))
	}
	return binary.BigEndian.AppendUint64(append(b, binaryFrame, 127), uint64(size))
}

// Close is the library's: nothing more will be written or read. The socket is the writer's to close.
func (o *outbox) Close() error {
	o.mu.Lock()
	o.ending = true
	if !o.direct { // else the writer has set a deadline, or is about to, until which it reads itself
		o.Conn.SetReadDeadline(time.Unix(1, 0))
	}
	o.space.Broadcast()
	o.mu.Unlock()
	o.stir()
	return nil
}

// cut ends the connection without a word. Closing TLS would send one, and wait for a peer that does not read.
func (o *outbox) cut() error {
	if l := linkOf(o.Conn); l != nil {
		return l.Close()
	}
	return o.Conn.Close()
}

// waitForSpace waits until the connection is to be read again, or the library has closed its side.
func (o *outbox) waitForSpace() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.isFull() && !o.ending {
		o.space.Wait()
	}
}

// isFull says whether so much waits that the connection is not read. o.mu is held.
func (o *outbox) isFull() bool { return o.waiting() > o.room }

// full is isFull without o.mu.
func (o *outbox) full() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.isFull()
}

// trust gives a connection the room of one that is registered.
func (o *outbox) trust() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.room = maxUnflushed
}

// collect tells that the writer is at work until it flushes.
func (o *outbox) collect() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.quiet = true
}

// append collects bytes of the writer's own, at a frame's boundary.
func (o *outbox) append(b ...byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	data := o.collected()
	*data = append(*data, b...)
}

// state says whether something waits to be flushed and whether the library has closed its side.
func (o *outbox) state() (waiting, ending bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.waiting() > 0, o.ending
}

// flush writes what has been collected to the socket. Only the writer calls it.
func (o *outbox) flush() error {
	o.mu.Lock()
	data := o.data
	o.data, o.quiet = nil, false
	o.mu.Unlock()
	if data == nil {
		return nil
	}
	_, err := o.Conn.Write(*data)
	recycle(data)
	o.mu.Lock()
	o.space.Broadcast()
	o.mu.Unlock()
	return err
}

// recycle keeps a buffer for others.
func recycle(data *[]byte) {
	if cap(*data) <= keptSize {
		*data = (*data)[:0]
		unflushed.Put(data)
	}
}

// tryFlush writes what the kernel takes at once of what has been collected, and says whether that was all. What is left, or
// could not be written, is there for flush. Only the writer calls it.
func (o *outbox) tryFlush() (all bool) {
	link, ok := o.Conn.(*link)
	if !ok {
		return false // TLS has to end the record that it has begun
	}
	o.mu.Lock()
	data := o.data
	o.data, o.quiet = nil, false
	o.mu.Unlock()
	if data == nil {
		return true
	}
	written, err := link.tryWrite(*data)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.space.Broadcast()
	if written == len(*data) {
		recycle(data)
		return err == nil && o.data == nil
	}
	*data = append((*data)[:0], (*data)[written:]...)
	if late := o.data; late != nil {
		*data = append(*data, *late...)
		recycle(late)
	}
	o.data = data
	return false
}

// passThrough lets later writes go straight to the socket. It does not, and reports false, while something waits to be
// flushed. The writer writes nothing after.
func (o *outbox) passThrough() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.direct = o.waiting() == 0
	return o.direct
}

// upgrader is the http.ResponseWriter of an upgrade: it hands the library an outbox instead of the connection, and
// small buffers instead of the server's.
type upgrader struct {
	http.ResponseWriter
	stir func()
	out  *outbox
}

// Hijack takes the connection over from the HTTP server.
func (u *upgrader) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(u.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	c.SetDeadline(time.Time{})
	u.out = newOutbox(c, u.stir)
	if early, _ := rw.Reader.Peek(rw.Reader.Buffered()); len(early) > 0 {
		u.out.ahead = append([]byte(nil), early...)
	}
	if err := rw.Writer.Flush(); err != nil {
		return nil, nil, err
	}
	r := bufio.NewReaderSize(u.out, readBufferSize)
	return u.out, bufio.NewReadWriter(r, bufio.NewWriterSize(u.out, writeBufferSize)), nil
}
