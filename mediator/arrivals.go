package mediator

import (
	"crypto/subtle"
	"encoding/binary"
	"io"
	"math"
	"sync"
)

const (
	trickleSize = 512      // that is read at a time from an idle connection, bytes
	burstSize   = 16 << 10 // and from one on which much arrives

	maxHeaderSize = 14 // of a frame
	maskBit       = 0x80
)

var bursts = sync.Pool{New: func() any { b := make([]byte, burstSize); return &b }}

// arrivals is the reading half of an outbox: what has been read from the socket, in large pieces when much arrives, and is
// not taken yet. Two take it. Messages that have arrived whole, as one frame, are cut out by nextMessage; nearly all of a
// busy connection are. All else (fragments, control frames, what violates RFC 6455, messages that are still arriving) the
// WebSocket library reads, which takes some five times as long. It never gets more than the rest of the frame that it is
// reading, so between two frames it holds nothing.
type arrivals struct {
	wait func() // is called before the socket is read; nil: nobody wants to know

	reading chan struct{} // holds a token while somebody reads: the library's Close does so, too
	trickle [trickleSize]byte
	burst   *[]byte // from the pool, or nil
	ahead   []byte  // read and not yet taken: a part of trickle or burst
	more    bool    // the last read was full: there may be more at once
	failed  error   // how reading ended
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
	if o.taken > 0 || o.left > 0 || o.arrive() != nil {
		return nil
	}
	size, payload := frameHeader(o.ahead[:min(len(o.ahead), maxHeaderSize)])
	if o.ahead[0] != binaryFrame || payload > int64(limit) || int64(len(o.ahead)-size) < payload || o.ahead[1]&maskBit == 0 {
		return nil
	}
	end := size + int(payload)
	m := getMessage()
	m.data = appendUnmasked(m.data, o.ahead[size:end], o.ahead[size-4:size])
	o.took(end)
	return m
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
	var pad [64]byte
	for i := range pad {
		pad[i] = key[i%4]
	}
	start := len(to)
	to = append(to, payload...)
	for rest := to[start:]; len(rest) > 0; {
		rest = rest[subtle.XORBytes(rest, rest, pad[:]):]
	}
	return to
}

// arrive waits until something is ahead.
func (o *outbox) arrive() error {
	if len(o.ahead) > 0 || o.failed != nil {
		return o.failed
	}
	if o.wait != nil {
		o.wait()
	}
	o.waitForSpace()
	buffer := o.trickle[:]
	if o.more {
		o.burst = bursts.Get().(*[]byte)
		buffer = *o.burst
	}
	n, err := 0, error(nil)
	for n == 0 && err == nil { // a pipe gives nothing when nothing was written
		n, err = o.Conn.Read(buffer)
	}
	o.ahead, o.more = buffer[:n], n == len(buffer)
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
		bursts.Put(o.burst)
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
