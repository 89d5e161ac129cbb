package hostile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// Opcodes of RFC 6455, 5.2.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa

	fin = 0x80 // in the first byte of a frame
)

// lengthBits is in how many bits a frame's length is encoded: 7, 16 or 64.
type lengthBits int

// maskingKey is that of all frames. Its bytes differ, so that one that is applied at the wrong place is noticed.
var maskingKey = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// wsFrame is a masked frame with the shortest length; first is its first byte.
func wsFrame(first byte, payload []byte) []byte {
	return append(wsHeader(first, shortestLength(len(payload)), uint64(len(payload))), masked(payload)...)
}

// wsFrameIn is a masked frame whose length is encoded as asked.
func wsFrameIn(bits lengthBits, first byte, payload []byte) []byte {
	return append(wsHeader(first, bits, uint64(len(payload))), masked(payload)...)
}

// wsHeader is the beginning of a masked frame, up to its payload.
func wsHeader(first byte, bits lengthBits, length uint64) []byte {
	const mask = 0x80
	b := []byte{first}
	switch bits {
	case 7:
		b = append(b, mask|byte(length))
	case 16:
		b = binary.BigEndian.AppendUint16(append(b, mask|126), uint16(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, mask|127), length)
	}
	return append(b, maskingKey[:]...)
}

func shortestLength(n int) lengthBits {
	switch {
	case n < 126:
		return 7
	case n < 1<<16:
		return 16
	}
	return 64
}

func masked(payload []byte) []byte { return maskedWith(maskingKey[:], payload) }

func maskedWith(key, payload []byte) []byte {
	b := make([]byte, len(payload))
	for i := range b {
		b[i] = payload[i] ^ key[i%len(key)]
	}
	return b
}

// closePayload is that of a Close frame.
func closePayload(code uint16, reason string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, code), reason...)
}

// stream is a connection to the mediator, spoken byte by byte: it answers nothing by itself and may break every rule.
type stream struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

// patience is for what comes at once if it comes at all.
const patience = 5 * time.Second

func newStream(t testing.TB, c net.Conn) *stream {
	c.SetDeadline(time.Now().Add(patience))
	return &stream{t: t, Conn: c, r: bufio.NewReaderSize(c, 4096)}
}

func (s *stream) write(b []byte) {
	s.t.Helper()
	if _, err := s.Write(b); err != nil {
		s.t.Fatal(err)
	}
}

// endWriting says that nothing more will be sent, if the connection knows a way to.
func (s *stream) endWriting() {
	if half, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
}

var errMasked = errors.New("a frame of the server is masked")

// read returns the next frame of the server: its first byte and its payload.
func (s *stream) read() (first byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(s.r, head[:]); err != nil {
		return 0, nil, err
	}
	size := uint64(head[1])
	switch {
	case size > 127:
		return 0, nil, errMasked
	case size >= 126:
		var long [8]byte
		bytes := long[6:]
		if size == 127 {
			bytes = long[:]
		}
		if _, err := io.ReadFull(s.r, bytes); err != nil {
			return 0, nil, err
		}
		size = binary.BigEndian.Uint64(long[:])
	}
	payload = make([]byte, size)
	_, err = io.ReadFull(s.r, payload)
	return head[0], payload, err
}

// expectEnd fails unless the stream ends here, and without a reset (B45).
func (s *stream) expectEnd() {
	s.t.Helper()
	if b, err := s.r.ReadByte(); err != io.EOF {
		s.t.Fatalf("got byte %#x and error %v, want the end of the stream", b, err)
	}
}
