package mosquitto

import (
	"encoding/binary"
	"fmt"

	"openmediator/bench/compare/load"
)

// Broker connects devices to a Mosquitto.
type Broker struct {
	Address    string
	Size       int  // bytes of a message
	SingleAcks bool // each acknowledgement is written by itself
}

func topic(group int) string { return fmt.Sprintf("group/%d", group) }

// Sender connects the device of a group that sends.
func (b *Broker) Sender(group int) (load.Sender, error) {
	c, err := dial(b.Address, fmt.Sprintf("sender-%d", group), true)
	if err != nil {
		return nil, err
	}
	s := &sender{conn: c, message: make([]byte, b.Size)}
	s.head = appendString(appendHead(nil, publishQoS1, 2+len(topic(group))+2+b.Size), topic(group))
	return s, nil
}

type sender struct {
	*conn
	head    []byte // of a PUBLISH, up to the packet identifier
	message []byte
	out     []byte
}

// Send writes a PUBLISH for each message.
func (s *sender) Send(first uint64, n int) error {
	s.out = s.out[:0]
	for i := range n {
		number := first + uint64(i)
		load.Number(s.message, number)
		s.out = append(s.out, s.head...)
		s.out = binary.BigEndian.AppendUint16(s.out, uint16(number%0xffff)+1) // 0 is no identifier
		s.out = append(s.out, s.message...)
	}
	_, err := s.Write(s.out)
	return err
}

// Acks reads PUBACKs.
func (s *sender) Acks() (n int, err error) {
	for n == 0 || s.r.Buffered() > 0 {
		if _, err := s.packet(puback); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// Receiver connects a device that receives, with a persistent session.
func (b *Broker) Receiver(group, device int) (load.Receiver, error) {
	c, err := dial(b.Address, fmt.Sprintf("receiver-%d-%d", group, device), false)
	if err != nil {
		return nil, err
	}
	if err := c.subscribe(topic(group)); err != nil {
		return nil, err
	}
	return &receiver{conn: c, acks: load.AckWriter{W: c, Single: b.SingleAcks}}, nil
}

type receiver struct {
	*conn
	order load.Order
	acks  load.AckWriter
}

// pubackHead comes before the identifier of the packet that is acknowledged.
var pubackHead = []byte{puback, 2}

// Receive reads all that has come and writes the PUBACKs.
func (r *receiver) Receive() (n int, err error) {
	for n == 0 || r.r.Buffered() > 0 {
		packet, err := r.packet(publishQoS1)
		if err != nil {
			return n, err
		}
		identifier, message, err := splitPublish(packet)
		if err != nil {
			return n, err
		}
		if err := r.order.Next(message); err != nil {
			return n, err
		}
		n++
		if err := r.acks.Add(pubackHead, identifier); err != nil {
			return n, err
		}
	}
	return n, r.acks.Flush()
}
