// Package nowait writes to sockets without waiting.
//
// A write of the standard library waits until all is written, and to bound that takes a deadline, which is a timer set and
// unset at each write. Most writes find room in the kernel at once: those need neither.
package nowait

import (
	"net"
	"syscall"
)

// Socket returns the TCP socket that c is, or nil if it is none.
func Socket(c net.Conn) syscall.RawConn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}
