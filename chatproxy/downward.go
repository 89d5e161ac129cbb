package chatproxy

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"openmediator/d2m"
)

// errLeft ends reading for a device that has gone.
var errLeft = errors.New("device has left")

// receive brings the device what the chat server sends, and returns how that ended. When the device has left, it reads on
// and discards: a socket that is closed while something arrives sends a reset, which would eat what was sent last.
func (s *Session) receive(conn net.Conn) End {
	in := newInput()
	defer in.release()
	timed := false // a unit has begun and has to be complete in time
	for {
		readErr := in.read(conn)
		took, err := s.deliverAll(in)
		switch {
		case errors.Is(err, errLeft):
			conn.SetReadDeadline(time.Time{})
			io.Copy(io.Discard, conn)
			return End{Cause: errLeft}
		case err != nil:
			return End{Code: d2m.CloseChatServerInternal, Reason: "chat server announced a frame that is too large", Cause: err}
		case readErr != nil:
			return endOf(readErr)
		}
		switch begun := in.makeRoom(); {
		case begun && (took || !timed):
			timed = true
			conn.SetReadDeadline(time.Now().Add(unitTimeout))
		case !begun && timed:
			timed = false
			conn.SetReadDeadline(time.Time{})
		}
	}
}

// endOf says how a session ends whose connection cannot be read any more.
func endOf(err error) End {
	switch {
	case errors.Is(err, io.EOF):
		return End{Code: d2m.CloseChatServerClosed, Reason: "chat server closed its connection"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return End{Code: d2m.CloseChatServerInternal, Reason: "chat server did not complete what it began to send", Cause: err}
	}
	return End{Code: d2m.CloseChatServerClosed, Reason: "connection to the chat server was lost", Cause: err}
}

// deliverAll hands on the units that are there as a whole, and says whether there were any.
func (s *Session) deliverAll(in *input) (took bool, err error) {
	for {
		unit, err := in.next()
		if err != nil || len(unit) == 0 {
			if took {
				s.device.Wake()
			}
			return took, err
		}
		if !s.deliver(unit) {
			return took, errLeft
		}
		took = true
	}
}

// deliver keeps a unit for Take. While too much is there that the device has not taken, it wakes that and waits. It reports
// false if the device has left.
func (s *Session) deliver(unit []byte) bool {
	if !s.downRate.AllowN(time.Now(), len(unit)) {
		s.device.Wake()
		if s.downRate.WaitN(s.ctx, len(unit)) != nil {
			return false
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.crowded(len(unit)) {
		s.mu.Unlock()
		s.device.Wake()
		s.mu.Lock()
	}
	for s.crowded(len(unit)) {
		s.changed.Wait()
	}
	if s.left {
		return false
	}
	if s.down == nil {
		s.down = unitsBuffers.Get().(*units)
	}
	s.down.add(unit)
	return true
}

// crowded says whether a unit has to wait until the device has taken some. s.mu is held.
func (s *Session) crowded(size int) bool {
	return s.unsent+s.down.size()+d2m.HeaderSize+size > maxWaiting && !s.left
}

// Take returns D2M messages for the device, one unit of the chat server in each, and where each ends. They may be used
// until [Session.Release] or the next Take. That one tells that they are with the kernel: until then they count against the
// bound. With no messages, end tells that the session has ended; nothing comes behind it.
func (s *Session) Take() (data []byte, ends []int, end *End) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release()
	s.taken, s.down = s.down, nil
	s.unsent = s.taken.size()
	s.changed.Broadcast()
	if s.taken != nil {
		s.proxy.counters.took(s.taken)
		return s.taken.data, s.taken.ends, nil
	}
	if s.end != nil {
		stopTimer(s.overdue)
	}
	return nil, nil, s.end
}

// Release tells that what Take gave has been copied. It is for the goroutine that called Take.
func (s *Session) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release()
}

// release gives back what Take gave last. s.mu is held.
func (s *Session) release() {
	if s.taken != nil {
		s.taken.recycle()
		s.taken = nil
	}
}
