package chatproxy

import (
	"io"
	"sync"

	"openmediator/csp"
	"openmediator/d2m"
)

// Sizes of the buffer for what comes from a chat server, in bytes: while little does, or nothing, and while much does.
const (
	idleSize = 512
	busySize = 64 << 10 // holds the largest unit
)

var busyBuffers = sync.Pool{New: func() any { return new([busySize]byte) }}

// input is what has come from the chat server and is not delivered.
type input struct {
	framer     *csp.Framer
	idle       [idleSize]byte
	buffer     []byte // idle, or one from the pool
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

// makeRoom moves what is left to the front of a buffer that has room behind it: a small one as soon as a large one
// was not filled, for it may be kept for hours. It says whether a unit has begun.
func (in *input) makeRoom() (begun bool) {
	rest := in.buffer[in.start:in.end]
	switch {
	case len(in.buffer) == idleSize && in.end == idleSize:
		in.moveTo(busyBuffers.Get().(*[busySize]byte)[:], rest)
	case len(in.buffer) == busySize && in.end < busySize && len(rest) < idleSize:
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

// release gives a large buffer back to the pool.
func (in *input) release() {
	if len(in.buffer) == busySize {
		busyBuffers.Put((*[busySize]byte)(in.buffer))
	}
	in.buffer = in.idle[:]
}
