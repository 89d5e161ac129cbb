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

// write brings the chat server what the device has sent, until nothing waits. One goroutine at a time does.
func (s *Session) write() {
	for {
		conn, data := s.takeUp()
		if conn == nil {
			return
		}
		if err := writeAll(conn, data); err != nil {
			s.writeFailed(conn, err)
			return
		}
	}
}

// takeUp returns what is to be written, or no connection if nothing is. It tells the chat server when the device has gone
// and all is written; the reader then waits for the answer to that.
func (s *Session) takeUp() (net.Conn, []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data := s.up
	s.up, s.flying = nil, len(data)
	s.changed.Broadcast()
	if s.upstream == nil || len(data) == 0 {
		s.writes = false
		if s.left && s.upstream != nil {
			closeWrite(s.upstream)
			s.writes = true // nobody writes any more
		}
		return nil, nil
	}
	return s.upstream, data
}

// closeWrite ends the sending side, if the connection has sides, else all of it.
func closeWrite(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	} else {
		conn.Close()
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

// writeFailed ends writing; writes stays set. The reader finds the end of the connection, behind what came before it.
func (s *Session) writeFailed(conn net.Conn, err error) {
	if !errors.Is(err, errStalled) {
		return
	}
	s.mu.Lock()
	s.stalled = true
	s.mu.Unlock()
	conn.Close()
}
