package chatproxy

import (
	"io"
	"sync"

	"openmediator/csp"
	"openmediator/d2m"
)

const (
	idleBufferSize = 512     // of a session that hears little, bytes
	bufferSize     = 1 << 16 // holds the largest unit
)

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// input is what has come from the chat server and is not delivered.
type input struct {
	framer     *csp.Framer
	idle       [idleBufferSize]byte
	large      *[bufferSize]byte // in use instead of idle while much arrives
	buffer     []byte            // either of them
	start, end int               // of what is in it
}

func newInput() *input {
	in := &input{framer: csp.NewFramer(d2m.MaxProxyDataSize)}
	in.buffer = in.idle[:]
	return in
}

// read adds what arrives.
func (in *input) read(r io.Reader) error {
	n, err := r.Read(in.buffer[in.end:])
	in.end += n
	return err
}

// next takes the unit that is in front. It is empty if that is not there as a whole.
func (in *input) next() (unit []byte, err error) {
	size, err := in.framer.Next(in.buffer[in.start:in.end])
	unit = in.buffer[in.start : in.start+size]
	in.start += size
	return unit, err
}

// makeRoom moves what is left to the front, of a large buffer if the small one was full, and of the small one once little
// arrives. It says whether a unit has begun.
func (in *input) makeRoom() (begun bool) {
	rest := in.buffer[in.start:in.end]
	switch {
	case in.large == nil && in.end == idleBufferSize:
		in.large = buffers.Get().(*[bufferSize]byte)
		in.buffer = in.large[:]
		copy(in.buffer, rest)
	case in.large != nil && in.end < idleBufferSize:
		copy(in.idle[:], rest)
		in.release()
	default:
		copy(in.buffer, rest)
	}
	in.start, in.end = 0, len(rest)
	return len(rest) > 0
}

// release gives the large buffer back.
func (in *input) release() {
	if in.large != nil {
		buffers.Put(in.large)
		in.large, in.buffer = nil, in.idle[:]
	}
}
