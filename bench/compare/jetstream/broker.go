package jetstream

import (
	"bytes"
	"fmt"
	"strconv"

	"openmediator/bench/compare/load"
)

// Broker connects devices to a JetStream.
type Broker struct {
	Address    string
	Size       int  // bytes of a message
	SingleAcks bool // each acknowledgement is written by itself
}

func stream(group int) string  { return fmt.Sprintf("group-%d", group) }
func subject(group int) string { return fmt.Sprintf("reflect.%d", group) }

// Receiver connects a device that receives. The first one of a group makes its stream.
func (b *Broker) Receiver(group, device int) (load.Receiver, error) {
	c, err := dial(b.Address)
	if err != nil {
		return nil, err
	}
	if device == 0 {
		err = c.api("STREAM.CREATE."+stream(group), map[string]any{
			"name": stream(group), "subjects": []string{subject(group)}, "retention": "interest", "storage": "file",
			"discard": "new", "num_replicas": 1,
		})
		if err != nil {
			return nil, err
		}
	}
	deliver := fmt.Sprintf("deliver.%d.%d", group, device)
	if err := c.subscribe(deliver); err != nil {
		return nil, err
	}
	durable := fmt.Sprintf("device-%d", device)
	err = c.api(fmt.Sprintf("CONSUMER.DURABLE.CREATE.%s.%s", stream(group), durable), map[string]any{
		"stream_name": stream(group),
		"config": map[string]any{
			"durable_name": durable, "deliver_subject": deliver, "deliver_policy": "all", "ack_policy": "explicit",
		},
	})
	return &receiver{conn: c, acks: load.AckWriter{W: c, Single: b.SingleAcks}}, err
}

type receiver struct {
	*conn
	order load.Order
	acks  load.AckWriter
}

// What comes before and after the subject of an acknowledgement.
var (
	ackHead = []byte("PUB ")
	ackTail = []byte(" 0\r\n\r\n")
)

// Receive reads all that has come and acknowledges it.
func (r *receiver) Receive() (n int, err error) {
	for n == 0 || r.r.Buffered() > 0 {
		m, ok, err := r.read()
		if err != nil {
			return n, err
		}
		if !ok {
			continue
		}
		if err := r.order.Next(m.payload); err != nil {
			return n, err
		}
		n++
		if err := r.acks.Add(ackHead, m.reply, ackTail); err != nil {
			return n, err
		}
	}
	return n, r.acks.Flush()
}

// Sender connects the device of a group that sends.
func (b *Broker) Sender(group int) (load.Sender, error) {
	c, err := dial(b.Address)
	if err != nil {
		return nil, err
	}
	inbox := fmt.Sprintf("_INBOX.sender.%d", group)
	s := &sender{conn: c, message: make([]byte, b.Size)}
	s.head = []byte("PUB " + subject(group) + " " + inbox + " " + strconv.Itoa(b.Size) + "\r\n")
	return s, c.subscribe(inbox)
}

type sender struct {
	*conn
	head    []byte // of a publication
	message []byte
	out     []byte
}

// Send publishes.
func (s *sender) Send(first uint64, n int) error {
	s.out = s.out[:0]
	for i := range n {
		load.Number(s.message, first+uint64(i))
		s.out = append(s.out, s.head...)
		s.out = append(s.out, s.message...)
		s.out = append(s.out, "\r\n"...)
	}
	_, err := s.Write(s.out)
	return err
}

var failed = []byte(`"error"`)

// Acks reads what JetStream answers.
func (s *sender) Acks() (n int, err error) {
	for n == 0 || s.r.Buffered() > 0 {
		m, ok, err := s.read()
		if err != nil {
			return n, err
		}
		if !ok {
			continue
		}
		if bytes.Contains(m.payload, failed) {
			return n, fmt.Errorf("nats: refuses a message: %s", m.payload)
		}
		n++
	}
	return n, nil
}
