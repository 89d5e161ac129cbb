package chatproxy

import (
	"errors"
	"net"
	"os"
	"time"
)

// writeSlice is how long a write waits before it looks whether anything was taken.
const writeSlice = time.Second

// errStalled ends a session whose chat server takes nothing.
var errStalled = errors.New("upstream takes nothing")

// Send brings the chat server bytes from the device, at most a message of them; data stays the caller's. It returns when
// the kernel has them: a device whose chat server is slow is not read meanwhile (B38). Before there is a connection it keeps
// up to 16 KiB, and waits beyond. When the device has left, or the session has ended, it does nothing.
func (s *Session) Send(data []byte) {
	if s.upRate.WaitN(s.ctx, len(data)) != nil {
		return
	}
	conn := s.upstreamFor(data)
	if conn == nil {
		return
	}
	err := writeAll(conn, data)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = false
	if err != nil {
		s.writeFailed(conn, err)
	}
	s.sayGoodbye()
}

// upstreamFor returns the connection that data is to be written to, or nil if that is kept for later or of no use.
func (s *Session) upstreamFor(data []byte) net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.left && s.end == nil && s.upstream == nil && len(s.early) > 0 && len(s.early)+len(data) > maxWaiting {
		s.changed.Wait()
	}
	switch {
	case s.left || s.end != nil:
		return nil
	case s.upstream == nil:
		s.early = append(s.early, data...)
		s.connectOnce()
		return nil
	}
	s.writing = true
	return s.upstream
}

// writeEarly writes what the device has sent before there was a connection, and lets Send write from then on. It reports
// false if that is not possible.
func (s *Session) writeEarly(conn net.Conn) bool {
	for {
		s.mu.Lock()
		data := s.early
		if len(data) == 0 {
			s.early, s.upstream = nil, conn
			s.sayGoodbye()
			s.mu.Unlock()
			return true
		}
		s.early = nil
		s.changed.Broadcast()
		s.mu.Unlock()
		if err := writeAll(conn, data); err != nil {
			s.mu.Lock()
			s.writeFailed(conn, err)
			s.mu.Unlock()
			return false
		}
	}
}

// writeAll writes data, however long that takes, if only something is taken every stallTimeout.
func writeAll(conn net.Conn, data []byte) error {
	taken := time.Now()
	for {
		if err := conn.SetWriteDeadline(time.Now().Add(writeSlice)); err != nil {
			return err
		}
		n, err := conn.Write(data)
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		data = data[n:]
		if n > 0 {
			taken = time.Now()
		}
		if time.Since(taken) >= stallTimeout {
			return errStalled
		}
	}
}

// writeFailed ends a session whose chat server takes nothing. After any other error the reader finds the end of the
// connection, behind what came before it. s.mu is held.
func (s *Session) writeFailed(conn net.Conn, err error) {
	if errors.Is(err, errStalled) {
		s.stalled = true
		conn.Close()
	}
}
