package chatproxy

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"openmediator/internal/nowait"
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
	s.proxy.counters.bytesUp.Add(int64(len(data)))
	err := conn.writeAll(data)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = false
	if err != nil {
		s.writeFailed(conn, err)
	}
	s.sayGoodbye()
}

// upstreamFor returns the connection that data is to be written to, or nil if that is kept for later or of no use.
func (s *Session) upstreamFor(data []byte) *upstream {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.left && s.end == nil && s.upstream == nil && len(s.early) > 0 && len(s.early)+len(data) > maxEarly {
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
func (s *Session) writeEarly(conn *upstream) bool {
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
		s.proxy.counters.bytesUp.Add(int64(len(data)))
		if err := conn.writeAll(data); err != nil {
			s.mu.Lock()
			s.writeFailed(conn, err)
			s.mu.Unlock()
			return false
		}
	}
}

// upstream is a connection to a chat server.
type upstream struct {
	net.Conn
	socket syscall.RawConn // nil if it is no TCP socket
}

// writeAll writes data, however long that takes, if only something is taken every stallTimeout.
func (u *upstream) writeAll(data []byte) error {
	n, err := nowait.Write(u.socket, data)
	if err != nil || n == len(data) {
		return err
	}
	defer u.SetWriteDeadline(time.Time{}) // else the next one would find that it has passed
	data = data[n:]
	taken := time.Now()
	for {
		if err := u.SetWriteDeadline(time.Now().Add(writeSlice)); err != nil {
			return err
		}
		n, err := u.Write(data)
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
func (s *Session) writeFailed(conn *upstream, err error) {
	if errors.Is(err, errStalled) {
		s.stalled = true
		conn.Close()
	}
}
