package load

import (
	"encoding/binary"
	"fmt"

	"openmediator/client"
	"openmediator/d2m"
)

// The first byte of a WebSocket frame. There are no fragments.
const (
	fin       = 0x80
	binaryMsg = fin | 0x2
	closing   = fin | 0x8
	ping      = fin | 0x9
	pong      = fin | 0xa
)

const (
	masked = 0x80 // in the second byte
	// maxFrame is the longest frame that a server sends.
	maxFrame = 10 + d2m.MaxMessageSize
)

// appendHeader appends the header of a frame with a masking key of zero: the payload goes behind it as it is.
func appendHeader(b []byte, first byte, size int) []byte {
	b = append(b, first)
	switch {
	case size < 126:
		b = append(b, masked|byte(size))
	case size < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, masked|126), uint16(size))
	default:
		b = binary.BigEndian.AppendUint64(append(b, masked|127), uint64(size))
	}
	return append(b, 0, 0, 0, 0)
}

// appendFrame appends a whole frame.
func appendFrame(b []byte, first byte, payload []byte) []byte {
	return append(appendHeader(b, first, len(payload)), payload...)
}

// appendMessage appends a D2M message as a frame.
func appendMessage(b []byte, message d2m.Message) []byte {
	return appendFrame(b, binaryMsg, message.Append(nil))
}

// cutFrame returns the first frame of b and its size with the header; 0 if it is not there as a whole.
func cutFrame(b []byte) (first byte, payload []byte, size int, err error) {
	if len(b) < 2 {
		return 0, nil, 0, nil
	}
	header, length := 2, int(b[1])
	switch {
	case length == 126 && len(b) >= 4:
		header, length = 4, int(binary.BigEndian.Uint16(b[2:]))
	case length == 127 && len(b) >= 10:
		long := binary.BigEndian.Uint64(b[2:])
		if long > d2m.MaxMessageSize {
			return 0, nil, 0, violation("frame has %d bytes, want at most %d", long, d2m.MaxMessageSize)
		}
		header, length = 10, int(long)
	case length > 127:
		return 0, nil, 0, violation("frame is masked")
	case length > 125:
		return 0, nil, 0, nil
	}
	if len(b) < header+length {
		return 0, nil, 0, nil
	}
	return b[0], b[header : header+length], header + length, nil
}

// violation is something that no mediator sends.
func violation(format string, args ...any) error {
	return &client.ProtocolError{Err: fmt.Errorf(format, args...)}
}
