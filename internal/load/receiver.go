package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"time"

	"openmediator/d2m"
)

// receiver is a device of a group that takes what is reflected and acknowledges it. All fields are its goroutine's.
type receiver struct {
	*reflecting
	c       *conn
	tally   *tally
	content []byte // of each message, behind number and time
	number  uint64 // of the next message
	acks    []byte
}

// ackFrame is an ack but for the id, which ends it.
var ackFrame = appendMessage(nil, d2m.ReflectedAck{})

// run receives until it is told to stop.
func (r *receiver) run() error {
	for {
		err := r.c.fill()
		if errors.Is(err, os.ErrDeadlineExceeded) && (r.stopping.Load() || r.ctx.Err() != nil) {
			return nil
		}
		if err == nil {
			err = r.receive()
		}
		if err == nil {
			err = r.acknowledge()
		}
		if err != nil {
			return err
		}
	}
}

// receive checks and notes what has come.
func (r *receiver) receive() error {
	now := r.now()
	counts := r.measured(now)
	t := r.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		frame, err := r.c.next()
		if frame == nil || err != nil {
			return err
		}
		if d2m.Type(frame[0]) != d2m.TypeReflected {
			continue
		}
		from, err := r.check(frame[d2m.HeaderSize:])
		if err != nil {
			return err
		}
		t.allArrived++
		if counts {
			t.delivered++
		}
		if r.measured(from) {
			t.delivery.Add(now - from)
		}
	}
}

// check returns from when the latency of a message counts.
func (r *receiver) check(payload []byte) (from time.Duration, err error) {
	message, err := d2m.ParseReflected(payload)
	if err != nil {
		return 0, violation("%v", err)
	}
	if len(message.Envelope) != r.Size {
		return 0, violation("message has %d bytes, and was sent with %d", len(message.Envelope), r.Size)
	}
	if number := binary.LittleEndian.Uint64(message.Envelope); number != r.number {
		return 0, violation("a device has got message %d of its group, where %d was next", number, r.number)
	}
	if !bytes.Equal(message.Envelope[MinSize:], r.content) {
		return 0, violation("message %d has come with another content than it was sent with", r.number)
	}
	r.number++
	r.acks = append(r.acks, ackFrame...)
	binary.LittleEndian.PutUint32(r.acks[len(r.acks)-4:], uint32(message.ID))
	return time.Duration(binary.LittleEndian.Uint64(message.Envelope[8:])), nil
}

// acknowledge sends the acks of what was read at once.
func (r *receiver) acknowledge() error {
	acks := r.acks
	r.acks = r.acks[:0]
	size := len(acks)
	if r.SingleAcks {
		size = len(ackFrame)
	}
	for ; len(acks) > 0; acks = acks[size:] {
		if err := r.c.write(acks[:size]); err != nil {
			return err
		}
	}
	return nil
}
