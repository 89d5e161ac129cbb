package redis

import (
	"fmt"
	"strconv"

	"openmediator/bench/compare/load"
)

// Receiver connects a device that receives.
func (b *Broker) Receiver(group, device int) (load.Receiver, error) {
	c, err := dial(b.Address)
	if err != nil {
		return nil, err
	}
	r := &receiver{conn: c, mapping: b.Mapping, single: b.SingleAcks, stream: b.stream(group, device), device: strconv.Itoa(device)}
	if r.mapping == Cursor {
		r.cursors = fmt.Sprintf("cursors:%d", group)
		if _, err := r.Write(r.appendAck(nil, id{})); err != nil {
			return nil, err
		}
	}
	_, err = r.Write(r.appendRead(nil))
	return r, err
}

type receiver struct {
	// fixed
	*conn
	mapping Mapping
	single  bool
	stream  string
	cursors string // the hash of the group's cursors
	device  string // its name there

	order   load.Order
	read    []id // messages that came with the last answer
	last    id   // of all that were read
	lowest  id   // of the group's cursors
	trimmed id   // what was deleted from the stream, by this device
	answers int  // numbers that come before the cursors and the answer to XREAD
	behind  bool // the cursors have been asked for
	out     []byte
}

// appendRead appends the command that waits for the next messages.
func (r *receiver) appendRead(b []byte) []byte {
	b = appendCommand(b, 1, "XREAD", "COUNT", "1000", "BLOCK", "0", "STREAMS", r.stream)
	return appendID(b, r.last)
}

// Receive reads the answer to XREAD, acknowledges, and asks for more.
func (r *receiver) Receive() (int, error) {
	if err := r.results(); err != nil {
		return 0, err
	}
	if err := r.messages(); err != nil {
		return 0, err
	}
	r.out = r.out[:0]
	if err := r.acknowledge(); err != nil {
		return 0, err
	}
	if r.mapping == Cursor {
		r.trim()
	}
	r.out = r.appendRead(r.out)
	_, err := r.Write(r.out)
	return len(r.read), err
}

// acknowledge writes an acknowledgement for each message, or one for all.
func (r *receiver) acknowledge() error {
	if !r.single {
		r.out = r.appendAck(r.out, r.read...)
		return nil
	}
	for _, read := range r.read {
		if _, err := r.Write(r.appendAck(r.out, read)); err != nil {
			return err
		}
	}
	return nil
}

func (r *receiver) appendAck(b []byte, read ...id) []byte {
	r.answers++
	if r.mapping == Cursor {
		return appendID(appendCommand(b, 1, "HSET", r.cursors, r.device), read[len(read)-1])
	}
	b = appendCommand(b, len(read), "XDEL", r.stream)
	for _, id := range read {
		b = appendID(b, id)
	}
	return b
}

// trim deletes what all devices have read, as far as is known, and asks what they have read by now.
func (r *receiver) trim() {
	if r.trimmed.before(r.lowest) {
		r.out = appendID(appendCommand(r.out, 1, "XTRIM", r.stream, "MINID"), r.lowest.next())
		r.trimmed = r.lowest
		r.answers++
	}
	r.out = appendCommand(r.out, 0, "HVALS", r.cursors)
	r.behind = true
}

// results reads the answers to what was sent before XREAD.
func (r *receiver) results() error {
	for ; r.answers > 0; r.answers-- {
		if _, err := r.integer(); err != nil {
			return err
		}
	}
	if !r.behind {
		return nil
	}
	n, err := r.array()
	if err != nil {
		return err
	}
	r.lowest = r.last
	for range n {
		text, err := r.bulk()
		if err != nil {
			return err
		}
		cursor, err := parseID(text)
		if err != nil {
			return err
		}
		if cursor.before(r.lowest) {
			r.lowest = cursor
		}
	}
	return nil
}

// messages reads one stream with its messages: *1 *2 NAME *N, and for each *2 ID *2 "m" MESSAGE.
func (r *receiver) messages() error {
	if err := r.arrays(1, 2); err != nil {
		return err
	}
	if _, err := r.bulk(); err != nil {
		return err
	}
	n, err := r.array()
	if err != nil {
		return err
	}
	r.read = r.read[:0]
	for range n {
		if err := r.message(); err != nil {
			return err
		}
	}
	return nil
}

func (r *receiver) message() error {
	if err := r.arrays(2); err != nil {
		return err
	}
	text, err := r.bulk()
	if err != nil {
		return err
	}
	if r.last, err = parseID(text); err != nil {
		return err
	}
	r.read = append(r.read, r.last)
	if err := r.arrays(2); err != nil {
		return err
	}
	if _, err := r.bulk(); err != nil {
		return err
	}
	message, err := r.bulk()
	if err != nil {
		return err
	}
	return r.order.Next(message)
}
