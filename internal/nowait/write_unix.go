//go:build unix

package nowait

import (
	"os"
	"sync"
	"syscall"
)

// attempt is a write. It is kept for the next one, with its method as a value: else each would allocate both.
type attempt struct {
	data  []byte
	taken int
	err   error
	run   func(fd uintptr) (done bool)
}

var attempts = sync.Pool{New: func() any {
	a := new(attempt)
	a.run = a.write
	return a
}}

// Write writes as much of data as the kernel takes at once, which may be nothing, and returns how many bytes. The socket may
// be nil, and takes nothing then. A write deadline that has passed is an error, as in any write; data stays the caller's.
func Write(socket syscall.RawConn, data []byte) (taken int, err error) {
	if socket == nil || len(data) == 0 {
		return 0, nil
	}
	a := attempts.Get().(*attempt)
	a.data, a.taken, a.err = data, 0, nil
	err = socket.Write(a.run)
	if err == nil {
		err = a.err
	}
	taken = a.taken
	a.data, a.err = nil, nil
	attempts.Put(a)
	return taken, err
}

// write is done after one write: what the kernel does not take is not waited for.
func (a *attempt) write(fd uintptr) (done bool) {
	for {
		n, err := syscall.Write(int(fd), a.data)
		switch err {
		case nil:
			a.taken = n
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
		default:
			a.err = os.NewSyscallError("write", err)
		}
		return true
	}
}
