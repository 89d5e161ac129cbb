package chatproxy

import (
	"io"
	"sync"

	"openmediator/csp"
	"openmediator/d2m"
)

// Sizes of the buffer for what comes from a chat server, in bytes: while little does, while much does, and for a unit that
// does not fit otherwise.
const (
	idleSize  = 512
	busySize  = 16 << 10
	largeSize = 64 << 10 // holds the largest unit
)

var (
	busyBuffers  = sync.Pool{New: func() any { return new([busySize]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeSize]byte) }}
)

// input is what has come from the chat server and is not delivered.
type input struct {
	framer     *csp.Framer
	idle       [idleSize]byte
	buffer     []byte // idle, or one from a pool
	start, end int    // of what is in it
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

// makeRoom moves what is left to the front of a buffer that has room behind it. It says whether a unit has begun.
func (in *input) makeRoom() (begun bool) {
	rest := in.buffer[in.start:in.end]
	switch {
	case len(rest) == busySize:
		in.moveTo(largeBuffers.Get().(*[largeSize]byte)[:], rest)
	case len(in.buffer) == idleSize && in.end == idleSize:
		in.moveTo(busyBuffers.Get().(*[busySize]byte)[:], rest)
	case len(in.buffer) > idleSize && in.end < idleSize:
		in.moveTo(in.idle[:], rest)
	default:
		copy(in.buffer, rest)
	}
	in.start, in.end = 0, len(rest)
	return len(rest) > 0
}

func (in *input) moveTo(buffer, rest []byte) {
	copy(buffer, rest)
	in.release()
	in.buffer = buffer
}

// release gives a buffer back to its pool.
func (in *input) release() {
	switch len(in.buffer) {
	case busySize:
		busyBuffers.Put((*[busySize]byte)(in.buffer))
	case largeSize:
		largeBuffers.Put((*[largeSize]byte)(in.buffer))
	}
	in.buffer = in.idle[:]
}
