package load

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// manyLoopback tells that all of 127.0.0.0/8 is this machine.
const manyLoopback = true

// bindWithoutPort leaves the choice of the port to connect, which knows that ports of other connections will do.
func bindWithoutPort(_, _ string, raw syscall.RawConn) error {
	var err error
	if controlled := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	}); controlled != nil {
		return controlled
	}
	return err
}

// maxFiles returns how many files this process may have open.
func maxFiles() (int, error) {
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return int(min(limit.Cur, 1<<30)), err
}
