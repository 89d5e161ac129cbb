package load

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"time"

	"openmediator/d2m"
)

const (
	// reflectHeader is the container and the header before an envelope.
	reflectHeader = d2m.HeaderSize + 8
	// burstSize is how many bytes a sender writes at once, or one message.
	burstSize = 64 << 10
)

// sender is the device of a group that reflects. All fields are its goroutine's.
type sender struct {
	*reflecting
	c        *conn
	tally    *tally
	schedule *schedule // nil: no think time

	burst []byte // frames that only lack number and time
	frame int    // size of one
	body  int    // where in it the D2M message begins

	sent, acked uint64          // since the start
	counts      []time.Duration // from when the latency of message n counts, at n modulo the window
}

func (r *reflecting) newSender(c *conn, t *tally, content []byte, group int) *sender {
	frame, body := frameOf(content)
	s := &sender{reflecting: r, c: c, tally: t, frame: len(frame), body: body, counts: make([]time.Duration, r.Window)}
	for range min(r.Window, max(1, burstSize/len(frame))) {
		s.burst = append(s.burst, frame...)
	}
	if r.Think > 0 {
		s.schedule = newSchedule(rand.New(rand.NewPCG(r.server.Seed, uint64(group))), r.Think)
	}
	return s
}

// run sends until the time is over and all that was sent has been acked.
func (s *sender) run() error {
	defer s.sending.Done()
	for s.ctx.Err() == nil {
		over, err := s.send()
		if err != nil {
			return err
		}
		if over && s.sent == s.acked {
			return nil
		}
		if err := s.wait(over); err != nil {
			return err
		}
	}
	return nil
}

// send sends what is due and has room in the window. over means that nothing more is to be sent.
func (s *sender) send() (over bool, err error) {
	now := s.now()
	for now < s.until {
		n := s.take(now)
		if n == 0 {
			return false, nil
		}
		if err := s.c.write(s.burst[:n*s.frame]); err != nil {
			return false, err
		}
		if s.schedule != nil {
			now = s.now() // the write may have taken its time
		}
	}
	s.noteOverdue(now)
	return true, nil
}

// take prepares as many frames of the burst as may be sent and returns how many.
func (s *sender) take(now time.Duration) int {
	room := min(s.Window-int(s.sent-s.acked), len(s.burst)/s.frame)
	n := 0
	for ; n < room; n++ {
		from := now
		if s.schedule != nil {
			due, late := false, time.Duration(0)
			if from, late, due = s.schedule.take(now); !due {
				break
			}
			s.noteLate(from, late)
		}
		s.counts[s.sent%uint64(s.Window)] = from
		message := s.burst[n*s.frame+s.body:]
		binary.LittleEndian.PutUint32(message[reflectHeader-4:], uint32(s.sent))
		binary.LittleEndian.PutUint64(message[reflectHeader:], s.sent)
		binary.LittleEndian.PutUint64(message[reflectHeader+8:], uint64(from))
		s.sent++
	}
	if s.schedule != nil {
		s.schedule.ready = false
	}
	return n
}

func (s *sender) noteLate(from, late time.Duration) {
	if late < 0 || !s.measured(from) {
		return
	}
	s.tally.mu.Lock()
	defer s.tally.mu.Unlock()
	s.tally.late.Add(late)
}

// noteOverdue counts what was due and never had room, with the time that it has waited.
func (s *sender) noteOverdue(now time.Duration) {
	if s.schedule == nil || s.schedule.ready || s.schedule.next >= s.until {
		return
	}
	s.tally.mu.Lock()
	defer s.tally.mu.Unlock()
	for s.schedule.next < s.until {
		if from, _, _ := s.schedule.take(s.until); s.measured(from) {
			s.tally.overdue++
			s.tally.ack.Add(now - from)
		}
	}
}

// wait reads until an ack has come or the next message is due.
func (s *sender) wait(over bool) error {
	if s.schedule != nil {
		deadline := time.Time{}
		room := s.sent-s.acked < uint64(s.Window)
		switch {
		case over:
		case room:
			deadline = s.start.Add(min(s.schedule.next, s.until))
		default:
			deadline = s.start.Add(s.until)
		}
		s.schedule.ready = room
		s.setReadDeadline(s.c, deadline)
	}
	err := s.c.fill()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil // run looks why
	}
	if err != nil {
		return err
	}
	return s.receive()
}

// receive notes the acks that have come.
func (s *sender) receive() error {
	now := s.now()
	counts := s.measured(now)
	t := s.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		frame, err := s.c.next()
		if frame == nil || err != nil {
			return err
		}
		switch d2m.Type(frame[0]) {
		case d2m.TypeReflectAck:
		case d2m.TypeReflected:
			return violation("a device has got what it sent itself")
		default:
			continue
		}
		ack, err := d2m.ParseReflectAck(frame[d2m.HeaderSize:])
		if err != nil {
			return violation("%v", err)
		}
		if s.acked == s.sent || uint32(ack.ID) != uint32(s.acked) {
			return violation("message %d was acked, where %d of %d messages were acked before", ack.ID, s.acked, s.sent)
		}
		from := s.counts[s.acked%uint64(s.Window)]
		s.acked++
		t.allAcked++
		if counts {
			t.acked++
		}
		if s.measured(from) {
			t.ack.Add(now - from)
		}
	}
}
