package mediator

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// connected returns both ends of a TCP connection.
func connected(t *testing.T) (here, there *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near.(*net.TCPConn), far.(*net.TCPConn)
}

// control runs a function on the descriptor of a connection.
func control(t *testing.T, c *net.TCPConn, do func(fd int) error) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = do(int(fd)) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
}

// vanish makes the kernel drop whatever arrives at c, as if the cable was cut.
func vanish(t *testing.T, c *net.TCPConn) {
	t.Helper()
	drop := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
	program := unix.SockFprog{Len: 1, Filter: (*unix.SockFilter)(unsafe.Pointer(&drop))}
	control(t, c, func(fd int) error {
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
	})
}

// pass lets real time pass in which nothing arrives at c.
func pass(t *testing.T, c net.Conn, d time.Duration) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(d))
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Fatal("something arrived")
	}
}

func TestB13_SilentFor(t *testing.T) {
	here, there := connected(t)
	over := newLink(here, time.Minute)
	pass(t, here, 20*time.Millisecond)
	if got := silentFor(over); got != 0 {
		t.Errorf("nothing was sent, and it is silent for %v", got)
	}

	here.Write([]byte("hello"))
	io.ReadFull(there, make([]byte, 5))
	there.Write([]byte("hello"))
	here.SetReadDeadline(time.Time{})
	io.ReadFull(here, make([]byte, 5))
	pass(t, here, 20*time.Millisecond)
	if got := silentFor(over); got != 0 {
		t.Errorf("all is acknowledged, and it is silent for %v", got)
	}

	vanish(t, there)
	here.Write([]byte("is anybody there?"))
	pass(t, here, 60*time.Millisecond)
	if got := silentFor(over); got < 50*time.Millisecond || got > 10*time.Second {
		t.Errorf("silent for %v after 60ms", got)
	}
	for name, c := range map[string]net.Conn{
		"the socket itself":  here,
		"TLS over a link":    tls.Server(over, nil),
		"a link around that": newLink(tls.Server(over, nil), time.Minute),
	} {
		if got := silentFor(c); got < 50*time.Millisecond {
			t.Errorf("%s: silent for %v", name, got)
		}
	}
}

// A live peer with a closed window is not silent (B13).
func TestB13_ClosedWindowIsNotSilence(t *testing.T) {
	here, _ := connected(t)
	here.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	for written, block := 0, make([]byte, 1<<16); ; {
		n, err := here.Write(block)
		if written += n; err != nil && written > 0 {
			break
		}
	}
	pass(t, here, 100*time.Millisecond)
	if got := silentFor(here); got != 0 {
		t.Errorf("a peer that does not read counts as silent for %v", got)
	}
}

func TestB13_SilenceOfOtherConnections(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	if got := silentFor(newLink(near, time.Minute)); got != 0 {
		t.Errorf("a pipe is silent for %v", got)
	}
	here, _ := connected(t)
	here.Close()
	if got := silentFor(here); got != 0 {
		t.Errorf("a closed socket is silent for %v", got)
	}
}

func TestB13_SocketOptions(t *testing.T) {
	here, _ := connected(t)
	tuneSocket(here)
	for name, option := range map[string]struct{ option, want int }{
		"TCP_USER_TIMEOUT":  {unix.TCP_USER_TIMEOUT, 75_000}, // above the stall timeout, which it must not forestall
		"TCP_NOTSENT_LOWAT": {unix.TCP_NOTSENT_LOWAT, 32 << 10},
	} {
		control(t, here, func(fd int) error {
			got, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, option.option)
			if got != option.want {
				t.Errorf("%s is %d, want %d", name, got, option.want)
			}
			return err
		})
	}
	control(t, here, func(fd int) error {
		if got, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE); got == 0 {
			t.Error("keep-alive is off")
		}
		return nil
	})
}
