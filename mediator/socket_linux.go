package mediator

import (
	"net"
	"time"

	"golang.org/x/sys/unix"

	"openmediator/internal/nowait"
)

const (
	userTimeout = 75 * time.Second // above the stall timeout, which is the server's own (B13)
	notSentLow  = 32 << 10         // bytes handed to the kernel ahead of time (B38)
)

// tuneSocket sets what finds a dead peer and what keeps the kernel's queue short. A socket that refuses an option works
// without it.
func tuneSocket(c net.Conn) {
	raw := nowait.Socket(below(c))
	if raw == nil {
		return
	}
	raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, notSentLow)
	})
}

// silentFor returns for how long a peer's TCP has sent nothing that owes an acknowledgement; 0 if it owes none or that cannot
// be known (B13).
func silentFor(c net.Conn) (silent time.Duration) {
	raw := nowait.Socket(below(c))
	if raw == nil {
		return 0
	}
	raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil && info.Unacked > 0 {
			silent = time.Duration(info.Last_ack_recv) * time.Millisecond
		}
	})
	return silent
}
