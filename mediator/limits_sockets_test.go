//go:build integration

package mediator_test

import (
	"bufio"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/reflect/memstore"
)

// These tests open as many real connections as an attacker would. They run for half a minute each, with
// go test -tags integration -run Attack ./mediator.

// foreignListener is a listener on loopback whose connections seem to come from elsewhere.
type foreignListener struct {
	listen.Loopback
	next func() net.Addr
}

func (l foreignListener) Accept() (net.Conn, error) {
	c, err := l.Loopback.Accept()
	if err != nil {
		return nil, err
	}
	return foreignConn{c.(*net.TCPConn), l.next()}, nil
}

type foreignConn struct {
	*net.TCPConn
	peer net.Addr
}

func (c foreignConn) RemoteAddr() net.Addr { return c.peer }

// residentBytes is how much memory the process holds.
func residentBytes(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); fields[0] == "VmRSS:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("status has no line VmRSS")
	return 0
}

// attack opens n connections that never log in and holds those that the server upgrades.
func (s *testServer) attack(n int) (upgraded, refused, closed int) {
	s.t.Helper()
	request := upgradeRequest("GET", newIdentity(s.t).path())
	for range n {
		c, err := s.listener.Dial()
		if err != nil {
			s.t.Fatal(err)
		}
		status := 0
		if _, err := c.Write([]byte(request)); err == nil {
			if response, err := http.ReadResponse(bufio.NewReaderSize(c, 512), nil); err == nil {
				status = response.StatusCode
			}
		}
		switch status {
		case http.StatusSwitchingProtocols:
			upgraded++
			s.t.Cleanup(func() { c.Close() })
			continue
		case http.StatusTooManyRequests:
			refused++
		default:
			closed++
		}
		c.Close()
	}
	return upgraded, refused, closed
}

// honestlyReflects fails if a device without a limit waits for more than a second, of ten that reflect.
func (s *testServer) honestlyReflects(id identity) {
	s.t.Helper()
	began := time.Now()
	a, _ := s.login(id, 1, d2m.SlotNew)
	for i := range 10 {
		a.send(d2m.Reflect{ID: d2m.ReflectID(i), Envelope: []byte("unimpressed")})
		await[d2m.ReflectAck](a.device)
	}
	a.leave()
	if took := time.Since(began); took > time.Second {
		s.t.Errorf("an honest device took %v", took)
	}
}

// 20,000 connections of one address that never authenticate: the server holds 250 of them, and less than 32 MiB for them.
func TestB44_AttackByOneAddress(t *testing.T) {
	config := mediator.DefaultConfig()
	config.MaxAddressUpgrades = 0 // it is the other limit that is tried here
	config.HandshakeTimeout = 2 * time.Minute
	from := make(chan net.Addr, 1)
	l := foreignListener{listen.TCP(t), func() net.Addr {
		select {
		case addr := <-from:
			return addr
		default:
			return &net.TCPAddr{IP: net.ParseIP(attacker), Port: 50_000}
		}
	}}
	s := startServer(t, l, memstore.New(), config)
	before := residentBytes(t)
	upgraded, refused, closed := s.attack(20_000)
	grown := residentBytes(t) - before
	t.Logf("%d upgraded, %d refused with 429, %d closed; %d KiB", upgraded, refused, closed, grown>>10)
	if upgraded != 250 || refused+closed != 19_750 || s.Connections() != 250 {
		t.Error("want 250 upgraded, and all others refused")
	}
	if grown > 32<<20 {
		t.Errorf("memory has grown by %d KiB", grown>>10)
	}
	from <- &net.TCPAddr{IP: net.ParseIP(honest), Port: 50_000}
	s.honestlyReflects(newIdentity(t))
}

// 20,000 connections of as many addresses that never authenticate: the server holds those that it is configured to, and
// for each less than 32 KiB; over TLS those of the other end are counted with it.
func TestB44_AttackByManyAddresses(t *testing.T) {
	const strangers = 8000
	config := mediator.DefaultConfig()
	config.MaxUnauthenticated = strangers
	config.HandshakeTimeout = 2 * time.Minute
	i := uint32(0)
	l := foreignListener{listen.TCP(t), func() net.Addr {
		i++
		return &net.TCPAddr{IP: net.IPv4(10, byte(i>>16), byte(i>>8), byte(i)), Port: 50_000}
	}}
	s := startServer(t, l, memstore.New(), config)
	id := newIdentity(t)
	a, _ := s.login(id, 2, d2m.SlotNew)
	expect[d2m.RolePromotedToLeader](a.device)
	before := residentBytes(t)
	upgraded, refused, closed := s.attack(20_000)
	grown := residentBytes(t) - before
	t.Logf("%d upgraded, %d refused with 429, %d closed; %d KiB, %d bytes each", upgraded, refused, closed, grown>>10, grown/strangers)
	if upgraded != strangers || refused+closed != 20_000-strangers {
		t.Errorf("want %d upgraded, and all others refused", strangers)
	}
	most := int64(32 << 10)
	if isOverTLS(t) {
		most *= 2 // the attacker's end takes as much
	}
	if grown > strangers*most {
		t.Errorf("memory has grown by %d KiB", grown>>10)
	}
	began := time.Now()
	a.reflect(1, []byte("unimpressed"))
	if took := time.Since(began); took > time.Second {
		t.Errorf("an honest device took %v", took)
	}
}

// 200,000 groups that one address tries to register, as fast as it can: those that the rate allows come into being.
func TestB44_AttackWithGroups(t *testing.T) {
	s := startServer(t, listen.NewPipe(), memstore.New(), mediator.DefaultConfig()).from(attacker) // it runs out of ports else
	began := time.Now()
	registered, refused := 0, 0
	for range 200_000 {
		w, status := s.dialOnce()
		if status == http.StatusSwitchingProtocols && w.registers() {
			registered++
		} else {
			refused++
		}
		w.Close()
	}
	took := time.Since(began)
	most := 60 + int(took/time.Minute)
	t.Logf("%d registered, %d refused in %v", registered, refused, took)
	if n := len(s.storedGroups()); n != registered || n > most || n < most-1 {
		t.Errorf("%d groups came into being, want %d", n, most)
	}
}

// dialOnce asks for an upgrade for a group of its own.
func (s *testServer) dialOnce() (w *stranger, status int) {
	s.t.Helper()
	c, err := s.listener.Dial()
	if err != nil {
		s.t.Fatal(err)
	}
	w = &stranger{wire{t: s.t, Conn: c, r: bufio.NewReaderSize(c, 512)}, newIdentity(s.t)}
	if _, err := c.Write([]byte(upgradeRequest("GET", w.id.path()))); err != nil {
		return w, 0
	}
	response, err := http.ReadResponse(w.r, nil)
	if err != nil {
		return w, 0
	}
	return w, response.StatusCode
}

// stranger is a connection for a group that there is not yet.
type stranger struct {
	wire
	id identity
}

// registers says hello and reports whether the server takes the device.
func (w *stranger) registers() bool {
	w.t.Helper()
	w.message(w.id.hello(w.t, expectOn[d2m.ServerHello](&w.wire), 1, d2m.SlotNew))
	m, code := w.next()
	if m == nil && code != d2m.CloseGoingAway {
		w.t.Fatalf("closed with %d", code)
	}
	return m != nil
}
