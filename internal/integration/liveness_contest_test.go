//go:build integration

package integration

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"openmediator/d2m"
	"openmediator/devicekeys"
	"openmediator/internal/serverprocess"
)

// groupSecret is what the group's keys are made of.
var groupSecret = [32]byte{13}

// contest is a leader at the far end of a link, and a device beside the server that waits to lead.
type contest struct {
	// fixed
	t      *testing.T
	ctx    context.Context
	binary string
	keys   *devicekeys.Keys
	link   *link
	server string // its address
	front  string // the leader's address for it: the proxy's if there is one

	leader  *device // nil if it is a process
	waiting *device
}

// newContest starts a server. With a mode of HAProxy, "tcp" or "http", the leader reaches it through that.
func newContest(t *testing.T, binary, proxy string) *contest {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	keys, err := devicekeys.FromIdentityKey(groupSecret)
	if err != nil {
		t.Fatal(err)
	}
	c := &contest{t: t, ctx: ctx, binary: binary, keys: keys, link: newLink(t)}
	if proxy == "" {
		c.server = c.serve(nearIP)
		c.front = c.server
		return c
	}
	c.server = c.serve("127.0.0.1")
	c.front = c.startHAProxy(proxy)
	return c
}

// serve starts the server, which ends with its namespace at the latest.
func (c *contest) serve(ip string) (address string) {
	c.t.Helper()
	var server *serverprocess.Process
	var err error
	data := c.t.TempDir()
	c.link.near.do(func() {
		server, err = serverprocess.Start(net.JoinHostPort(ip, "0"), data,
			"setpriv", "--pdeathsig", "KILL", "env", "MEDIATOR_ALLOW_PLAINTEXT=true", c.binary)
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		server.Kill()
		if c.t.Failed() {
			c.t.Log(server.Log())
		}
	})
	url, err := server.AwaitReady(c.ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimPrefix(url, "ws://")
}

// haproxyConfig has no limit that a test could run into, and no keep-alive: the proxy finds out nothing by itself.
const haproxyConfig = `
defaults
	mode %s
	timeout connect 10s
	timeout client 1h
	timeout server 1h
	timeout tunnel 1h
listen mediator
	bind fd@3
	server mediator %s
`

// startHAProxy starts HAProxy before the server. Connections wait for it in the socket that it gets.
func (c *contest) startHAProxy(mode string) (address string) {
	c.t.Helper()
	var listener net.Listener
	var err error
	c.link.near.do(func() { listener, err = net.Listen("tcp", net.JoinHostPort(nearIP, "0")) })
	if err != nil {
		c.t.Fatal(err)
	}
	defer listener.Close()
	socket, err := listener.(*net.TCPListener).File()
	if err != nil {
		c.t.Fatal(err)
	}
	defer socket.Close()
	config := filepath.Join(c.t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(config, fmt.Appendf(nil, haproxyConfig, mode, c.server), 0o644); err != nil {
		c.t.Fatal(err)
	}
	command := exec.Command("haproxy", "-db", "-q", "-f", config)
	command.ExtraFiles = []*os.File{socket}
	c.link.near.start(c.t, command)
	return listener.Addr().String()
}

// lead connects the device at the far end, which becomes leader.
func (c *contest) lead(answers bool) {
	c.t.Helper()
	c.leader = connect(c.ctx, c.t, c.link.far, c.front, c.keys, 1, answers)
	if _, err := next[d2m.RolePromotedToLeader](c.ctx, c.leader); err != nil {
		c.t.Fatal(err)
	}
}

// leadAsProcess is lead with the device command in a process of its own.
func (c *contest) leadAsProcess() *os.Process {
	c.t.Helper()
	file := filepath.Join(c.t.TempDir(), "device")
	create := exec.CommandContext(c.ctx, c.binary, "device", "new", file, "--identity-key", "-", "--server", "ws://"+c.front)
	create.Stdin = strings.NewReader(hex.EncodeToString(groupSecret[:]))
	if output, err := create.CombinedOutput(); err != nil {
		c.t.Fatalf("device file: %v\n%s", err, output)
	}
	listen := exec.CommandContext(c.ctx, c.binary, "device", "listen", "--json", "--device", file)
	output, err := listen.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	c.link.far.start(c.t, listen)
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if strings.Contains(lines.Text(), `"event":"leader"`) {
			return listen.Process
		}
	}
	c.t.Fatal("the device has ended, or its output, before it led")
	return nil
}

// contend connects the device that waits to lead.
func (c *contest) contend() {
	c.t.Helper()
	c.waiting = connect(c.ctx, c.t, c.link.near, c.server, c.keys, 2, true)
}

// pause stops a process and returns when none of its threads runs any more.
func (c *contest) pause(p *os.Process) {
	c.t.Helper()
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		c.t.Fatal(err)
	}
	for {
		err := unix.Waitid(unix.P_PID, p.Pid, nil, unix.WSTOPPED, nil)
		if err == nil {
			return
		}
		if err != unix.EINTR {
			c.t.Fatalf("waitid: %v", err)
		}
	}
}

// leaderPinged returns when the leader has been pinged because another device waits, and the server has its answer, if it
// answers.
func (c *contest) leaderPinged() {
	c.t.Helper()
	if err := c.leader.pinged(c.ctx); err != nil {
		c.t.Fatal(err)
	}
}

// handsOver waits until the other device leads; what tells since when.
func (c *contest) handsOver(since time.Time, within time.Duration, what string) {
	c.t.Helper()
	ctx, cancel := context.WithDeadline(c.ctx, since.Add(within))
	defer cancel()
	_, err := next[d2m.RolePromotedToLeader](ctx, c.waiting)
	if err != nil {
		c.t.Fatalf("no hand-over within %v from when %s: %v", within, what, err)
	}
	c.t.Logf("hand-over %.1f s after %s", time.Since(since).Seconds(), what)
}

// keepsLeading sees that for some time nothing takes the leadership away.
func (c *contest) keepsLeading(d time.Duration) {
	c.t.Helper()
	var leaderEnded chan struct{}
	if c.leader != nil {
		leaderEnded = c.leader.ended
	}
	began := time.Now()
	over := time.NewTimer(d)
	defer over.Stop()
	for {
		select {
		case m := <-c.waiting.messages:
			if _, promoted := m.(d2m.RolePromotedToLeader); promoted {
				c.t.Fatalf("leadership went over after %.1f s", time.Since(began).Seconds())
			}
		case <-leaderEnded:
			c.t.Fatalf("the leader was closed after %.1f s: %v", time.Since(began).Seconds(), c.leader.err)
		case <-c.waiting.ended:
			c.t.Fatalf("the waiting device was closed after %.1f s: %v", time.Since(began).Seconds(), c.waiting.err)
		case <-over.C:
			return
		}
	}
}
