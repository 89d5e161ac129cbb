package csp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Sizes in bytes.
const (
	// MaxBoxSize is the largest box of a frame.
	MaxBoxSize = 8192
	// MaxFrameSize is the largest frame, its length included.
	MaxFrameSize = frameLengthSize + MaxBoxSize
	// MaxDataSize is the most data of a payload.
	MaxDataSize = MaxBoxSize - BoxOverhead - payloadHeaderSize

	frameLengthSize   = 2
	payloadHeaderSize = 4 // type u8 · zeroes 3
	minBoxSize        = BoxOverhead + payloadHeaderSize
)

// Session seals and opens the payloads of a connection after its handshake, on
// either side. One direction is not for concurrent use; the two, Seal and Open,
// may be used by two goroutines.
type Session struct {
	// fixed
	key [32]byte

	// of Seal
	out   direction
	plain []byte // room for one payload in the clear

	// of Open
	in direction
}

func newSession(key [32]byte, out, in direction) *Session {
	return &Session{key: key, out: out, in: in}
}

// Seal appends the frame of a payload, u16 length · box, to dst and returns the
// extended slice. The only error is data above [MaxDataSize]; then nothing is
// appended and the session is as before. What was sealed has to be sent, in this
// order, or the other side can open nothing more.
func (s *Session) Seal(dst []byte, p Payload) ([]byte, error) {
	if len(p.Data) > MaxDataSize {
		return dst, fmt.Errorf("payload: data has %d bytes, at most %d", len(p.Data), MaxDataSize)
	}
	s.plain = append(s.plain[:0], byte(p.Type), 0, 0, 0)
	s.plain = append(s.plain, p.Data...)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(s.plain)+BoxOverhead))
	return s.out.seal(dst, s.plain, &s.key), nil
}

// Open takes the box of a frame, without its length. The type may be one that is
// unknown. Data is fresh memory, the caller's. An error is a box that is too short
// or too long, or not the next one of the other side; it does not count, but there
// is nothing to be done then but to end the connection.
func (s *Session) Open(box []byte) (Payload, error) {
	if len(box) < minBoxSize {
		return Payload{}, fmt.Errorf("frame: box has %d bytes, want at least %d", len(box), minBoxSize)
	}
	if len(box) > MaxBoxSize {
		return Payload{}, fmt.Errorf("frame: box has %d bytes, at most %d", len(box), MaxBoxSize)
	}
	plain, ok := s.in.open(box, &s.key)
	if !ok {
		return Payload{}, errors.New("frame: box cannot be opened")
	}
	return Payload{Type: PayloadType(plain[0]), Data: plain[payloadHeaderSize:]}, nil
}

// Format implements [fmt.Formatter] and prints no secret.
func (Session) Format(state fmt.State, _ rune) { io.WriteString(state, "csp.Session") }
