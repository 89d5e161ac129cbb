//go:build integration

package integration

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// namespace is a network of its own, without a name: a thread lives in it, and with the thread it ends, however the test
// does. Sockets that were opened and processes that were started in it stay in it.
type namespace struct {
	path string // names it while the thread lives
	work chan func()
}

func newNamespace(t *testing.T) *namespace {
	t.Helper()
	n := &namespace{work: make(chan func())}
	begun, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // for good: a thread that is left locked ends with its goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			begun <- err
			return
		}
		n.path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
		close(begun)
		for f := range n.work {
			f()
		}
	}()
	if err := <-begun; err != nil {
		t.Fatalf("network namespace: %v; it takes root to make one", err)
	}
	t.Cleanup(func() {
		close(n.work)
		<-ended
	})
	n.ip(t, "link", "set", "lo", "up")
	return n
}

// do runs a function on the namespace's thread.
func (n *namespace) do(f func()) {
	done := make(chan struct{})
	n.work <- func() {
		defer close(done)
		f()
	}
	<-done
}

// ip runs ip(8), at most once at a time.
func (n *namespace) ip(t *testing.T, arguments ...string) {
	t.Helper()
	var output []byte
	var err error
	n.do(func() { output, err = exec.Command("ip", arguments...).CombinedOutput() })
	if err != nil {
		t.Fatalf("ip %q: %v\n%s", arguments, err, output)
	}
}

// start starts a process that ends with the namespace at the latest.
func (n *namespace) start(t *testing.T, command *exec.Cmd) {
	t.Helper()
	command.Stderr = t.Output()
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var err error
	n.do(func() { err = command.Start() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command.Process.Kill()
		command.Wait()
	})
}

func (n *namespace) dial(ctx context.Context, address string) (conn net.Conn, err error) {
	n.do(func() { conn, err = new(net.Dialer).DialContext(ctx, "tcp", address) })
	return conn, err
}

// The server's end of a link, and that of the leader.
const (
	nearIP, nearDevice = "192.0.2.1", "near"
	farIP, farDevice   = "192.0.2.2", "far"
)

// link is a cable between two namespaces: the server's, in which the other devices are as well, and the leader's.
type link struct{ near, far *namespace }

func newLink(t *testing.T) *link {
	t.Helper()
	l := &link{near: newNamespace(t), far: newNamespace(t)}
	l.near.ip(t, "link", "add", nearDevice, "type", "veth", "peer", "name", farDevice, "netns", l.far.path)
	l.near.ip(t, "address", "add", nearIP+"/30", "dev", nearDevice)
	l.far.ip(t, "address", "add", farIP+"/30", "dev", farDevice)
	l.near.ip(t, "link", "set", nearDevice, "up")
	l.up(t)
	return l
}

// down takes the leader off the net: nothing of what it sends arrives any more, no FIN and no RST either, and nothing
// reaches it.
func (l *link) down(t *testing.T) {
	t.Helper()
	l.far.ip(t, "link", "set", farDevice, "down")
}

func (l *link) up(t *testing.T) {
	t.Helper()
	l.far.ip(t, "link", "set", farDevice, "up")
}
