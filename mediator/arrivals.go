package mediator

import (
	"crypto/subtle"
	"encoding/binary"
	"io"
	"math"
	"slices"
	"sync"
)

const (
	trickleSize = 512      // that is read at a time from an idle connection, bytes
	burstSize   = 16 << 10 // and from one on which much arrives
	floodSize   = 64 << 10 // and from one on which that is not enough

	maxHeaderSize = 14 // of a frame
	emptyPongSize = 6  // a header that has a mask, bytes
	maskBit       = 0x80
)

var (
	bursts = sync.Pool{New: func() any { b := make([]byte, burstSize); return &b }}
	floods = sync.Pool{New: func() any { b := make([]byte, floodSize); return &b }}
)

// arrivals is the reading half of an outbox: what has been read from the socket, in large pieces when much arrives, and is
// not taken yet. Two take it. Messages that have arrived whole, as one frame, are cut out by nextMessage, and so are pongs;
// nearly all that arrives is of these. All else (fragments, other control frames, what violates RFC 6455, messages that are
// still arriving) the WebSocket library reads, which takes some five times as long. It never gets more than the rest of the
// frame that it is reading, so between two frames it holds nothing.
type arrivals struct {
	message *unfinished // is told before the socket is read, and before it is not; nil: nobody wants to know
	pong    func()      // is called when a ping was answered

	reading chan struct{} // holds a token while somebody reads: the library's Close does so, too
	trickle [trickleSize]byte
	burst   *[]byte    // from a pool, or nil
	larger  *sync.Pool // the last read was full, there may be more at once: where to get a larger buffer; or nil
	ahead   []byte     // read and not yet taken: a part of trickle or burst
	failed  error      // how reading ended
	header  [maxHeaderSize]byte
	taken   int   // how much of a frame's header the library has got
	left    int64 // of the frame's payload it has not
}

// Read gives the library what has arrived, up to the end of a frame's header or payload. While too much waits to be
// flushed it waits, too.
func (o *outbox) Read(p []byte) (int, error) {
	o.reading <- struct{}{}
	defer func() { <-o.reading }()
	if err := o.arrive(); err != nil {
		return 0, err
	}
	if o.left > 0 {
		n := copy(p[:min(int64(len(p)), o.left)], o.ahead)
		o.left -= int64(n)
		o.took(n)
		return n, nil
	}
	need, _ := frameHeader(o.header[:o.taken])
	n := min(copy(p, o.ahead), copy(o.header[o.taken:need], o.ahead))
	o.taken += n
	o.took(n)
	if need, payload := frameHeader(o.header[:o.taken]); o.taken == need {
		o.taken, o.left = 0, payload
	}
	return n, nil
}

// nextMessage returns the next message, if that is one whole frame of at most limit bytes that has arrived. It waits until
// something arrives, and returns nil if the library has to look at it.
func (o *outbox) nextMessage(limit int) *message {
	o.reading <- struct{}{}
	defer func() { <-o.reading }()
	for o.taken == 0 && o.left == 0 && o.arrive() == nil {
		if size, end := o.messageAhead(limit); end > 0 {
			m := getMessage()
			m.data = appendUnmasked(m.data, o.ahead[size:end], o.ahead[size-4:size])
			o.took(end)
			return m
		}
		if !o.takePong() {
			break
		}
	}
	return nil
}

// takePong takes an answer to a ping of this side, which is as empty as that, if one has arrived whole. The library would
// not return from it but wait for what comes next, for which it needs twice the stack: connections wait most of their life.
func (o *outbox) takePong() bool {
	if len(o.ahead) < emptyPongSize || o.ahead[0] != pongFrame || o.ahead[1] != maskBit {
		return false
	}
	o.took(emptyPongSize)
	o.pong()
	return true
}

// holdsMessage says whether nextMessage would return one without waiting.
func (o *outbox) holdsMessage(limit int) bool {
	o.reading <- struct{}{}
	defer func() { <-o.reading }()
	if o.taken > 0 || o.left > 0 || len(o.ahead) == 0 {
		return false
	}
	_, end := o.messageAhead(limit)
	return end > 0
}

// messageAhead returns the size of the header of the frame ahead, and where the frame ends, if nextMessage takes it. What is
// ahead must not be empty.
func (o *outbox) messageAhead(limit int) (header, end int) {
	header, payload := frameHeader(o.ahead[:min(len(o.ahead), maxHeaderSize)])
	if o.ahead[0] != binaryFrame || payload > int64(limit) || int64(len(o.ahead)-header) < payload || o.ahead[1]&maskBit == 0 {
		return 0, 0
	}
	return header, header + int(payload)
}

// frameHeader returns how many bytes the header of a frame has (RFC 6455, 5.2), as far as its beginning says: at least
// one more than b has, or the size of the payload is known, too.
func frameHeader(b []byte) (size int, payload int64) {
	size = 2
	if len(b) < size {
		return size, 0
	}
	payload = int64(b[1] &^ maskBit)
	switch payload {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	lengthEnd := size
	if b[1]&maskBit != 0 {
		size += 4
	}
	if len(b) < size {
		return size, 0
	}
	switch payload {
	case 126:
		payload = int64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		payload = int64(min(binary.BigEndian.Uint64(b[lengthEnd-8:]), math.MaxInt64))
	}
	return size, payload
}

func appendUnmasked(to, payload, key []byte) []byte {
	var room [512]byte
	pad := room[:min(len(room), (len(payload)+3)&^3)]
	for filled := copy(pad, key); filled < len(pad); {
		filled += copy(pad[filled:], pad[:filled])
	}
	start := len(to)
	to = slices.Grow(to, len(payload))[:start+len(payload)]
	for rest := to[start:]; len(rest) > 0; {
		n := subtle.XORBytes(rest, payload, pad)
		rest, payload = rest[n:], payload[n:]
	}
	return to
}

// arrive waits until something is ahead.
func (o *outbox) arrive() error {
	if len(o.ahead) > 0 || o.failed != nil {
		return o.failed
	}
	if o.full() {
		o.message.halt()
		o.waitForSpace()
	}
	o.message.wait()
	buffer := o.trickle[:]
	if o.larger != nil {
		o.burst = o.larger.Get().(*[]byte)
		buffer = *o.burst
	}
	n, err := 0, error(nil)
	for n == 0 && err == nil { // a pipe gives nothing when nothing was written
		n, err = o.Conn.Read(buffer)
	}
	o.ahead, o.larger = buffer[:n], nil
	if n == len(buffer) {
		o.larger = &floods
		if n == trickleSize {
			o.larger = &bursts
		}
	}
	if n == 0 {
		o.failed = endedEarly(err)
		o.took(0)
	}
	return o.failed
}

// took notes that n bytes of what was ahead are taken.
func (o *outbox) took(n int) {
	o.ahead = o.ahead[n:]
	if len(o.ahead) == 0 && o.burst != nil {
		if len(*o.burst) == floodSize {
			floods.Put(o.burst)
		} else {
			bursts.Put(o.burst)
		}
		o.burst, o.ahead = nil, nil
	}
}

// endedEarly makes the end of the stream an error that the WebSocket library passes on: it takes io.EOF for the end of a
// message, wherever in it the stream has ended, and a part would be taken for the whole.
func endedEarly(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
