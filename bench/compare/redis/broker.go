package redis

import (
	"fmt"

	"openmediator/bench/compare/load"
)

// Mapping is how a group is kept.
type Mapping int

const (
	StreamPerDevice Mapping = iota
	Cursor
)

// Broker connects devices to a Redis.
type Broker struct {
	Address    string
	Mapping    Mapping
	Size       int  // bytes of a message
	SingleAcks bool // each acknowledgement is written by itself
}

// stream returns the name of the stream that a device reads.
func (b *Broker) stream(group, device int) string {
	if b.Mapping == Cursor {
		return fmt.Sprintf("group:%d", group)
	}
	return fmt.Sprintf("device:%d:%d", group, device)
}

// streams returns how many streams a message is appended to.
func (b *Broker) streams() int {
	if b.Mapping == Cursor {
		return 1
	}
	return load.ReceiversPerGroup
}

// Sender connects the device of a group that sends.
func (b *Broker) Sender(group int) (load.Sender, error) {
	c, err := dial(b.Address)
	if err != nil {
		return nil, err
	}
	s := &sender{conn: c, message: make([]byte, b.Size)}
	for device := range b.streams() {
		s.heads = append(s.heads, appendCommand(nil, 1, "XADD", b.stream(group, device), "*", "m"))
	}
	return s, nil
}

type sender struct {
	*conn
	heads   [][]byte // of the commands for a message, up to the message itself
	message []byte
	out     []byte
}

// Send writes an XADD for each message and stream.
func (s *sender) Send(first uint64, n int) error {
	s.out = s.out[:0]
	for i := range n {
		load.Number(s.message, first+uint64(i))
		for _, head := range s.heads {
			s.out = append(s.out, head...)
			s.out = appendBulk(s.out, s.message)
		}
	}
	_, err := s.Write(s.out)
	return err
}

// Acks reads the ids that Redis has given to the messages.
func (s *sender) Acks() (n int, err error) {
	for n == 0 || s.r.Buffered() > 0 {
		for range s.heads {
			if _, err := s.bulk(); err != nil {
				return n, err
			}
		}
		n++
	}
	return n, nil
}
