package csp

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrUnitTooLarge is wrapped by the error of a [Framer] for a unit above its limit.
var ErrUnitTooLarge = errors.New("unit is too large")

// Framer cuts what a chat server sends into units: the server hello (80 bytes), the
// login ack (32), then frame by frame (2 + length). It sees lengths and opens
// nothing. It is not for concurrent use.
type Framer struct {
	maxUnit int
	units   int // of the handshake, cut off so far
}

// handshakeUnits are the sizes of the units before the first frame.
var handshakeUnits = [...]int{ServerHelloSize, LoginAckSize}

// NewFramer returns one that takes units of at most maxUnit bytes, a frame's length
// included.
func NewFramer(maxUnit int) *Framer { return &Framer{maxUnit: maxUnit} }

// Next returns the size of the unit that data begins with, or 0 if data does not
// hold all of it yet. data begins with the first byte that was not in a unit
// before. A size above 0 advances the framer: the caller takes these bytes away.
//
// The only error wraps [ErrUnitTooLarge]. It comes as soon as the length is there,
// and again with each call.
func (f *Framer) Next(data []byte) (size int, err error) {
	size, known := f.unitSize(data)
	if !known {
		return 0, nil
	}
	if size > f.maxUnit {
		return 0, fmt.Errorf("%w: %d bytes, at most %d", ErrUnitTooLarge, size, f.maxUnit)
	}
	if len(data) < size {
		return 0, nil
	}
	if f.units < len(handshakeUnits) {
		f.units++
	}
	return size, nil
}

// unitSize is how large the next unit is, once that is known.
func (f *Framer) unitSize(data []byte) (size int, known bool) {
	if f.units < len(handshakeUnits) {
		return handshakeUnits[f.units], true
	}
	if len(data) < frameLengthSize {
		return 0, false
	}
	return frameLengthSize + int(binary.LittleEndian.Uint16(data)), true
}
