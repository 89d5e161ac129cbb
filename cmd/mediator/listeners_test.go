package main

import (
	"context"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"openmediator/client"
	"openmediator/d2m"
)

// startActivated starts a command as systemd does: with sockets, their names, and a socket that it tells how far it is.
func (s *shell) startActivated(sockets map[string]net.Listener, args ...string) (p *process, told *net.UnixConn) {
	s.t.Helper()
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path("notify"), Net: "unixgram"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { told.Close() })
	var names []string
	var files []*os.File
	for name, l := range sockets {
		file, err := l.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			s.t.Fatal(err)
		}
		defer file.Close()
		names, files = append(names, name), append(files, file)
	}
	program, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	activated := *s
	activated.files = files
	activated.environ = append(s.environ, "NOTIFY_SOCKET="+s.path("notify"), "LISTEN_FDS="+strconv.Itoa(len(files)),
		"LISTEN_FDNAMES="+strings.Join(names, ":"))
	// systemd knows the number of the process before it runs the program; a shell does, too.
	script := `LISTEN_PID=$$ exec "$0" "$@"`
	return activated.startProgram("/bin/sh", nil, append([]string{"-c", script, program}, args...)...), told
}

func expectTold(t *testing.T, told *net.UnixConn, want string) {
	t.Helper()
	b := make([]byte, 100)
	n, err := told.Read(b)
	if err != nil || string(b[:n]) != want {
		t.Errorf("systemd is told %q, %v; want %q", b[:n], err, want)
	}
}

func listenLoopback(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// systemd opens the sockets: a plain one, one for TLS, and a unix one that only the environment knows.
func TestSocketActivation(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	plain, secure := listenLoopback(t), listenLoopback(t)
	unix, err := net.Listen("unix", s.path("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	p, told := s.startActivated(map[string]net.Listener{"plain": plain, "secure": secure, "local": unix}, "serve", "--data", s.path("data"),
		"--listen", "systemd:plain", "--listen", "systemd+tls:secure", "--listen", "systemd:local", "--tls-dev")
	expectTold(t, told, "READY=1")
	for _, want := range []string{"ws://" + plain.Addr().String(), "wss://" + secure.Addr().String(), "unix:" + s.path("socket")} {
		p.stderr.await(t, `"listen":"`+want+`"`)
	}
	login(t, "ws://"+plain.Addr().String(), newTestKeys(t), 1).CloseNow()
	loginTLS(t, "wss://"+secure.Addr().String(), 1).CloseNow()
	keys := newTestKeys(t)
	full, _ := client.URL("ws://mediator", keys.GroupID(), client.DefaultServerGroup)
	local := client.Dialer{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", s.path("socket"))
	}}
	wire, err := local.Dial(testContext(t), full)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wire.Login(testContext(t), keys, d2m.ClientHello{DeviceID: 1}); err != nil {
		t.Error(err)
	}
	wire.CloseNow()
	p.signal(os.Interrupt)
	expectTold(t, told, "STOPPING=1")
	if code := p.wait(); code != exitDone {
		t.Errorf("exit code %d: %s", code, p.stderr)
	}
}

func TestSocketActivationRefuses(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	public, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer public.Close()
	for want, test := range map[string]struct {
		code int
		args []string
	}{
		"systemd has passed no socket of this name, but public; name it by FileDescriptorName=": {exitFailed, []string{"--listen", "systemd:other"}},
		"can be reached from other machines, and connections are not encrypted":                 {exitUsage, []string{"--listen", "systemd:"}},
	} {
		os.Remove(s.path("notify"))
		p, _ := s.startActivated(map[string]net.Listener{"public": public}, append([]string{"serve", "--data", s.path("data")}, test.args...)...)
		if code := p.wait(); code != test.code || !strings.Contains(p.stderr.String(), want) {
			t.Errorf("exit code %d: %s", code, p.stderr)
		}
	}
}

// A proxy of the group may connect if unix-mode says so.
func TestUnixMode(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	p := s.start("serve", "--data", s.path("data"), "--listen", "unix:"+s.path("socket"), "--unix-mode", "0660")
	p.listening()
	info, err := os.Lstat(s.path("socket"))
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	p.stop()
}
