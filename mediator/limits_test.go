package mediator_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"openmediator/d2m"
	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/reflect/memstore"
)

// peerListener is a listen.Pipe to which one connects from an address.
type peerListener struct {
	*listen.Pipe
	peer net.Addr
}

func (l peerListener) Dial() (net.Conn, error) { return l.DialFrom(l.peer) }

// Addresses that connections come from in these tests.
const (
	attacker = "203.0.113.7"
	honest   = "198.51.100.23"
)

// from is the server, reached from an address. It has been started on a listen.Pipe.
func (s *testServer) from(ip string) *testServer {
	there := *s
	peer := &net.TCPAddr{IP: net.ParseIP(ip), Port: 50_000}
	if secure, ok := s.listener.(listen.Secure); ok {
		secure.Listener = peerListener{secure.Listener.(*listen.Pipe), peer}
		there.listener = secure
	} else {
		there.listener = peerListener{s.listener.(*listen.Pipe), peer}
	}
	return &there
}

// startLimited runs a server over pipes with other limits than the defaults.
func startLimited(t testing.TB, change func(*mediator.Config)) *testServer {
	t.Helper()
	config := mediator.DefaultConfig()
	change(&config)
	return startServer(t, listen.NewPipe(), memstore.New(), config)
}

// tryWire asks for an upgrade and returns the answer; its status is 0 if the connection was closed without one. The
// connection stays open, and nothing that comes after the answer is read.
func (s *testServer) tryWire(id identity) (w *wire, status int, retryAfter time.Duration) {
	s.t.Helper()
	w = s.dialTCP()
	if _, err := io.WriteString(w, upgradeRequest("GET", id.path())); err != nil {
		return w, 0, 0
	}
	response, err := http.ReadResponse(w.r, nil)
	if err != nil {
		return w, 0, 0
	}
	if response.StatusCode == http.StatusTooManyRequests {
		body, _ := io.ReadAll(response.Body)
		if !strings.HasPrefix(string(body), "too many ") || strings.Contains(string(body), attacker) {
			s.t.Errorf("refusal says %q", body)
		}
		seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
		if err != nil {
			s.t.Errorf("refusal says to come again after %q", response.Header.Get("Retry-After"))
		}
		retryAfter = time.Duration(seconds) * time.Second
	}
	return w, response.StatusCode, retryAfter
}

// flood opens connections that never log in, and returns how many were upgraded, how many refused with 429.
func (s *testServer) flood(n int) (upgraded, refused int) {
	s.t.Helper()
	id := newIdentity(s.t)
	for range n {
		switch _, status, retry := s.tryWire(id); status {
		case http.StatusSwitchingProtocols:
			upgraded++
		case http.StatusTooManyRequests:
			refused++
			if retry != 10*time.Second {
				s.t.Fatalf("refusal says to come again after %v", retry)
			}
		default:
			s.t.Fatalf("answered with %d", status)
		}
		synctest.Wait() // the request of an upgraded connection counts no more
	}
	return upgraded, refused
}

// reflectsAtOnce fails if a group that comes now, from an address, is delayed or disturbed.
func (s *testServer) reflectsAtOnce(ip string) {
	s.t.Helper()
	began := time.Now()
	id := newIdentity(s.t)
	a, _ := s.from(ip).login(id, 1, d2m.SlotNew)
	expect[d2m.RolePromotedToLeader](a.device)
	b, _ := s.from(ip).login(id, 2, d2m.SlotNew)
	for i := range 10 {
		a.reflect(d2m.ReflectID(i), []byte("as if nothing was"))
		expect[d2m.Reflected](b.device)
	}
	a.leave()
	b.leave()
	if took := time.Since(began); took != 0 {
		s.t.Errorf("took %v", took)
	}
}

// One address holds 250 connections that do not log in, of however many it opens, and each for 25 s at most, though it
// reads nothing. Another address does not notice. (20,000 of them on real sockets: limits_sockets_test.go.)
func TestB44_UnauthenticatedOfOneAddress(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		for range 2 {
			if upgraded, refused := s.from(attacker).flood(300); upgraded != 250 || refused != 50 {
				t.Errorf("%d connections, %d refused; want 250 and 50", upgraded, refused)
			}
			s.reflectsAtOnce(honest)
			time.Sleep(26 * time.Second)
			if n := s.Connections(); n != 0 {
				t.Errorf("%d connections after 26 s", n)
			}
			time.Sleep(time.Minute)
		}
	})
}

// The /64 of an IPv6 address counts as one address, and an IPv4 address is the same however it is written.
func TestB44_AddressesThatAreOne(t *testing.T) {
	limited := func(t *testing.T, first, second string) bool {
		t.Helper()
		refused := false
		inBubble(t, func(t *testing.T) {
			s := startLimited(t, func(c *mediator.Config) { c.MaxAddressUnauthenticated = 1 })
			s.from(first).flood(1)
			_, n := s.from(second).flood(1)
			refused = n == 1
		})
		return refused
	}
	for _, pair := range []struct {
		first, second string
		one           bool
	}{
		{"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
		{"64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2", false},
		{"127.0.0.1", "127.0.0.1", false},
		{"::1", "::1", false},
		{"::ffff:127.0.0.1", "::ffff:127.0.0.1", false},
	} {
		if limited(t, pair.first, pair.second) != pair.one {
			t.Errorf("%s and %s are one address: want %t", pair.first, pair.second, pair.one)
		}
	}
}

// Of all connections a quarter are for those who are not logged in, from wherever they come.
func TestB44_UnauthenticatedInAll(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startLimited(t, func(c *mediator.Config) { c.MaxConnections = 200 })
		id := newIdentity(t)
		a, _ := s.from(honest).login(id, 1, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](a.device)
		b, _ := s.from(honest).login(id, 2, d2m.SlotNew)
		upgraded := 0
		for i := range 80 {
			n, _ := s.from(fmt.Sprintf("192.0.2.%d", i)).flood(1)
			upgraded += n
		}
		if upgraded != 50 {
			t.Errorf("%d strangers, want 50", upgraded)
		}
		a.reflect(1, []byte("unimpressed"))
		expect[d2m.Reflected](b.device)
		if _, refused := s.flood(1); refused != 1 { // from a pipe without an address
			t.Error("a peer without an address may exceed what all may have")
		}
	})
}

// Those who are logged in may be more: up to the connections of the address.
func TestB44_ConnectionsOfOneAddress(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startLimited(t, func(c *mediator.Config) { c.MaxAddressConnections, c.MaxAddressUnauthenticated = 10, 30 })
		var devices []*registered
		for range 10 {
			d, _ := s.from(attacker).login(newIdentity(t), 1, d2m.SlotNew)
			devices = append(devices, d)
		}
		if upgraded, _ := s.from(attacker).flood(5); upgraded != 0 {
			t.Errorf("%d connections above the limit", upgraded)
		}
		s.reflectsAtOnce(honest)
		devices[0].leave()
		synctest.Wait()
		if upgraded, _ := s.from(attacker).flood(5); upgraded != 1 {
			t.Errorf("%d connections for one that has left", upgraded)
		}
	})
}

// What one address opens is limited by rate: a burst, then so many a minute. The refusal says when to come again.
func TestB44_UpgradesOfOneAddress(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startLimited(t, func(c *mediator.Config) { c.MaxAddressUpgrades, c.AddressUpgradeBurst = 6, 20 })
		open := func() (status int, retry time.Duration) {
			w, status, retry := s.from(attacker).tryWire(newIdentity(t))
			w.Close()
			synctest.Wait()
			return status, retry
		}
		for i := range 20 {
			if status, _ := open(); status != http.StatusSwitchingProtocols {
				t.Fatalf("connection %d of the burst was answered with %d", i, status)
			}
		}
		for range 5 {
			for range 10 {
				if status, retry := open(); status != http.StatusTooManyRequests || retry != 10*time.Second {
					t.Fatalf("answered with %d, to come again after %v; want 429 and 10 s", status, retry)
				}
			}
			s.reflectsAtOnce(honest)
			time.Sleep(10 * time.Second)
			if status, _ := open(); status != http.StatusSwitchingProtocols {
				t.Fatalf("answered with %d after the time that the refusal said", status)
			}
		}
	})
}

// However many groups one address registers: 60 come into being, and then one a minute. Whoever belongs to a group that
// is there already is not affected, and what is refused for another reason does not count.
func TestB44_NewGroupsOfOneAddress(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		mine, _ := s.from(honest).login(id, 1, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](mine.device)
		before := len(s.storedGroups())
		register := func(want d2m.CloseCode) {
			t.Helper()
			d := s.from(attacker).dial(newIdentity(t))
			if code := d.tryLogin(1, d2m.SlotNew); code != want {
				t.Fatalf("ended with %d, want %d", code, want)
			}
			synctest.Wait()
		}
		for range 30 {
			s.from(attacker).refused(newIdentity(t), 1, d2m.SlotExisting, d2m.CloseSlotState)
		}
		for range 60 {
			register(0)
		}
		const minutes = 10
		for range minutes {
			for range 10 {
				register(d2m.CloseGoingAway)
			}
			time.Sleep(time.Minute)
			register(0)
		}
		if n := len(s.storedGroups()) - before; n != 60+minutes {
			t.Errorf("%d groups came into being, want %d", n, 60+minutes)
		}
		s.from(attacker).login(id, 2, d2m.SlotNew)
		s.reflectsAtOnce(honest)
	})
}

// A group has 40 connections at most, those included that are ending.
func TestB44_ConnectionsOfOneGroup(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		for range 40 {
			w := s.dialWire(id) // takes nothing after this, so it takes long to end
			w.message(id.hello(t, expectOn[d2m.ServerHello](w), 1, d2m.SlotNew))
			expectOn[d2m.ServerInfo](w)
		}
		d := s.dial(id)
		if code := d.tryLogin(1, d2m.SlotNew); code != d2m.CloseGoingAway {
			t.Errorf("connection 41 ended with %d, want 1001", code)
		}
		s.reflectsAtOnce(honest)
		time.Sleep(2 * time.Minute)
		s.login(id, 1, d2m.SlotExisting)
	})
}

// A request that does not come is waited for 10 s, and 250 of them from one address; more are closed at once. One that does
// not read what it is told is over after 30 s.
func TestB44_SlowRequests(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		began := time.Now()
		ended := make(chan time.Duration, 400)
		request := upgradeRequest("GET", newIdentity(t).path())
		for i := range 400 {
			w := s.from(attacker).dialTCP()
			if i%2 == 0 {
				go io.Copy(io.Discard, w)
			}
			go func() { // a byte a second
				for i := range request {
					if _, err := w.Write([]byte{request[i]}); err != nil {
						break
					}
					time.Sleep(time.Second)
				}
				ended <- time.Since(began)
			}()
		}
		synctest.Wait()
		if n := len(ended); n != 150 {
			t.Errorf("%d were closed at once, want 150", n)
		}
		if _, status, _ := s.from(attacker).tryWire(newIdentity(t)); status != 0 {
			t.Errorf("one more was answered with %d", status)
		}
		s.reflectsAtOnce(honest)
		time.Sleep(12 * time.Second)
		if n := len(ended); n != 275 {
			t.Errorf("%d have ended after 12 s, want those closed at once and the 125 that read", n)
		}
		time.Sleep(20 * time.Second)
		if n := len(ended); n != 400 {
			t.Errorf("%d of 400 have ended after 32 s", n)
		}
		s.from(attacker).login(newIdentity(t), 1, d2m.SlotNew)
	})
}

// In all, as many requests are waited for as there may be strangers.
func TestB44_SlowRequestsInAll(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startLimited(t, func(c *mediator.Config) { c.MaxUnauthenticated = 20 })
		closed := 0
		for i := range 30 {
			w := s.from(fmt.Sprintf("192.0.2.%d", i)).dialTCP()
			synctest.Wait()
			w.SetReadDeadline(time.Now())
			if _, err := w.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
				closed++
			}
		}
		if closed != 10 {
			t.Errorf("%d were closed at once, want 10", closed)
		}
	})
}

// The log has one line a minute per kind of limit, with the count, and no address; refusals have no lines of their own.
func TestB42_LimitsInTheLog(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var log logBuffer
		s := startLimited(t, func(c *mediator.Config) {
			c.Log = zerolog.New(&log).Level(zerolog.InfoLevel)
			c.MaxAddressUnauthenticated, c.MaxAddressGroups, c.AddressGroupBurst, c.MaxGroupConnections = 5, 1, 1, 1
		})
		s.from(attacker).login(newIdentity(t), 1, d2m.SlotNew)
		for range 3 {
			if code := s.from(attacker).dial(newIdentity(t)).tryLogin(1, d2m.SlotNew); code != d2m.CloseGoingAway {
				t.Fatalf("ended with %d", code)
			}
		}
		id := newIdentity(t)
		s.login(id, 1, d2m.SlotNew)
		if code := s.dial(id).tryLogin(2, d2m.SlotNew); code != d2m.CloseGoingAway {
			t.Fatalf("ended with %d", code)
		}
		synctest.Wait()
		s.from(attacker).flood(25)
		time.Sleep(time.Minute)
		synctest.Wait()
		for text, want := range map[string]string{
			`"connections from this address that are not logged in"`: `"refused":20`,
			`"new groups from this address"`:                         `"refused":3`,
			`"connections of one group"`:                             `"refused":1`,
		} {
			if lines := log.lines(text); len(lines) != 1 || !strings.Contains(lines[0], want+",") {
				t.Errorf("lines with %s: %q, want one with %s", text, lines, want)
			}
		}
		time.Sleep(time.Hour)
		if lines := log.lines("a limit was reached"); len(lines) != 3 {
			t.Errorf("%d lines, want 3: %q", len(lines), lines)
		}
		if lines := log.lines("too many"); len(lines) != 0 {
			t.Errorf("refusals have lines of their own: %q", lines)
		}
		for _, address := range []string{attacker, "203.0.113"} {
			if lines := log.lines(address); len(lines) != 0 {
				t.Errorf("the log holds the address: %q", lines)
			}
		}
	})
}

// An address that is over all its limits, and goes on, disturbs no other: each message of an honest device is
// acknowledged and delivered at once.
func TestB44_HonestDeviceWhileAnotherAddressAttacks(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		a, _ := s.from(honest).login(id, 1, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](a.device)
		b, _ := s.from(honest).login(id, 2, d2m.SlotNew)
		for range 60 {
			s.from(attacker).dial(newIdentity(t)).tryLogin(1, d2m.SlotNew)
		}
		stop := make(chan struct{})
		ended := make(chan int)
		go func() {
			attacks := 0
			defer func() { ended <- attacks }()
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
				}
				s.from(attacker).dialTCP().Write([]byte("G"))
				if d, err := s.from(attacker).tryDial(newIdentity(t)); err == nil && attacks%2 == 0 {
					d.tryLogin(1, d2m.SlotNew)
				}
				attacks++
			}
		}()
		for i := range 5 {
			time.Sleep(time.Second)
			began := time.Now()
			a.reflect(d2m.ReflectID(i), []byte("undisturbed"))
			expect[d2m.Reflected](b.device)
			s.reflectsAtOnce(honest)
			if took := time.Since(began); took != 0 {
				t.Errorf("message %d took %v", i, took)
			}
		}
		close(stop)
		if n := <-ended; n < 100 {
			t.Errorf("%d attacks, want more", n)
		}
	})
}
