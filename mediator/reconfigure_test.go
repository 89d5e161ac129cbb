package mediator_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"openmediator/chatproxy"
	"openmediator/d2m"
	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/privacy"
	"openmediator/reflect/memstore"
)

// reconfigure changes the defaults of a running server.
func (s *testServer) reconfigure(change func(*mediator.Config)) {
	s.t.Helper()
	config := mediator.DefaultConfig()
	change(&config)
	if err := s.Reconfigure(config); err != nil {
		s.t.Fatal(err)
	}
}

// A lower limit refuses who comes next. Who is there stays and is served.
func TestReconfigureLimits(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		a, _ := s.login(id, 1, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](a.device)
		b, _ := s.login(id, 2, d2m.SlotNew)
		s.reconfigure(func(c *mediator.Config) { c.MaxConnections = 1 })
		if _, status, _ := s.tryWire(id); status != 429 {
			t.Errorf("a third connection got status %d", status)
		}
		s.reconfigure(func(c *mediator.Config) { c.MaxGroupConnections = 2 })
		if code := s.dial(id).tryLogin(3, d2m.SlotNew); code != d2m.CloseGoingAway {
			t.Errorf("a third connection of the group ended with %d", code)
		}
		s.reconfigure(func(c *mediator.Config) {})
		if code := s.dial(id).tryLogin(3, d2m.SlotNew); code != 0 {
			t.Errorf("a third connection, allowed again, ended with %d", code)
		}
		a.reflect(1, []byte("still here"))
		expect[d2m.Reflected](b.device)
	})
}

// A configuration that is wrong, or comes after the end, changes nothing.
func TestReconfigureRefuses(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startLimited(t, func(c *mediator.Config) { c.MaxConnections = 1 })
		config := mediator.DefaultConfig()
		config.Group.MaxSlots = 99
		if err := s.Reconfigure(config); err == nil || !strings.Contains(err.Error(), "99 is not within") {
			t.Errorf("got %v", err)
		}
		s.login(newIdentity(t), 1, d2m.SlotNew)
		if _, status, _ := s.tryWire(newIdentity(t)); status != 429 {
			t.Errorf("the limit has gone: status %d", status)
		}
		s.Shutdown(context.Background())
		if err := s.Reconfigure(mediator.DefaultConfig()); err == nil {
			t.Error("reconfigured after the end")
		}
	})
}

// The limits of a group hold at once, for one whose devices are connected as well.
func TestReconfigureGroup(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		a, _ := s.login(id, 1, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](a.device)
		s.login(id, 2, d2m.SlotNew)
		s.reconfigure(func(c *mediator.Config) { c.Group.MaxSlots = 2 })
		d := s.dial(id)
		hello := d.hello(expect[d2m.ServerHello](d), 3, d2m.SlotNew)
		hello.SlotsExhausted = d2m.Reject
		d.send(hello)
		d.expectCloseAtOnce(d2m.CloseDeviceLimit)
		s.reconfigure(func(c *mediator.Config) { c.Group.MaxSlots = 3 })
		if third, _ := s.login(id, 3, d2m.SlotNew); third.info.MaxDeviceSlots != 3 {
			t.Errorf("a device is told of %d slots", third.info.MaxDeviceSlots)
		}
	})
}

// Slots expire by the time that holds now: those of devices that have been away since before (B34).
func TestReconfigureExpiry(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		visited, alone := newIdentity(t), newIdentity(t)
		stays, _ := s.login(visited, 1, d2m.SlotNew)
		goes, _ := s.login(visited, 2, d2m.SlotNew)
		goes.leaveAtOnce()
		stays.listen()
		last, _ := s.login(alone, 1, d2m.SlotNew)
		last.leaveAtOnce()
		left := time.Now()
		time.Sleep(time.Hour)
		s.reconfigure(func(c *mediator.Config) { c.Group.MaxAbsence = 2 * time.Hour })
		time.Sleep(time.Until(left.Add(2*time.Hour - time.Second)))
		if n := len(s.storedGroups()); n != 2 {
			t.Errorf("%d groups before the time", n)
		}
		time.Sleep(4 * time.Second)
		if n := len(s.storedGroups()); n != 1 {
			t.Errorf("%d groups after the time", n)
		}
		again, _ := s.login(visited, 1, d2m.SlotExisting)
		again.send(d2m.GetDevicesInfo{})
		if info := await[d2m.DevicesInfo](again.device); len(info.Devices) != 1 {
			t.Errorf("%d devices after the time", len(info.Devices))
		}
	})
}

// What an address has used up stays used up, and the rate that it is made up for is the present one.
func TestReconfigureRates(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		few := func(c *mediator.Config) { c.MaxAddressUpgrades, c.AddressUpgradeBurst = 6, 5 }
		s := startLimited(t, few)
		expect := func(when string, want int) {
			t.Helper()
			upgraded := 0
			for range 10 {
				if _, status, _ := s.from(attacker).tryWire(newIdentity(t)); status == 101 {
					upgraded++
				}
			}
			if upgraded != want {
				t.Errorf("%s: %d of 10 were upgraded, want %d", when, upgraded, want)
			}
		}
		expect("at first", 5)
		s.reconfigure(func(c *mediator.Config) { c.MaxAddressUpgrades, c.AddressUpgradeBurst = 60, 7 })
		expect("with a higher burst", 0)
		time.Sleep(3 * time.Second)
		expect("3 s later", 3)
		s.reconfigure(func(c *mediator.Config) { c.MaxAddressUpgrades = 0 })
		expect("without a limit", 10)
		s.reconfigure(few)
		expect("with a limit again", 5)
	})
}

// Each connection keeps its place among those that are pinged.
func TestReconfigurePings(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		w := s.loginWire(newIdentity(t), 1, d2m.SlotNew)
		expectOn[d2m.RolePromotedToLeader](w)
		for _, interval := range []time.Duration{5 * time.Second, 40 * time.Second, time.Second, 25 * time.Second} {
			s.reconfigure(func(c *mediator.Config) { c.PingInterval = interval })
			last := time.Now()
			for i := range 5 {
				if first, _, err := w.read(); err != nil || first != fin|opPing {
					t.Fatalf("got %#x, %v; want a ping", first, err)
				}
				if gap := time.Since(last); gap > interval+time.Second || i > 0 && gap < interval-time.Second {
					t.Errorf("%v since the ping before, want %v", gap, interval)
				}
				last = time.Now()
			}
		}
	})
}

// A session with a chat server goes on where it is; the next one goes where it is now to go.
func TestReconfigureChat(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		u := newUpstream()
		s := startWithChat(t, listen.NewPipe(), u)
		speak := func(d *registered, text string, to net.Conn) net.Conn {
			t.Helper()
			d.send(d2m.Proxy{Data: []byte(text)})
			if to == nil {
				to = <-u.conns
			}
			if got := readExactly(t, to, len(text)); string(got) != text {
				t.Errorf("chat server got %q, want %q", got, text)
			}
			return to
		}
		id := newIdentity(t)
		first, _ := s.login(id, 1, d2m.SlotNew)
		old := speak(first, "before", nil)
		s.reconfigure(func(c *mediator.Config) {
			c.Chat = chatproxy.Config{Upstreams: parseUpstreams(t, "other.example:5222"), Dial: u.dial}
		})
		speak(first, "after", old)
		second, _ := s.login(id, 2, d2m.SlotNew)
		speak(second, "new", nil)
		if got := strings.Join(u.dialed, " "); got != "chat.example:5222 other.example:5222" {
			t.Errorf("connected to %s", got)
		}
	})
}

// The log says when it begins to name users.
func TestReconfigurePrivacy(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var log logBuffer
		config := mediator.DefaultConfig()
		config.Log = zerolog.New(&log)
		s := startServer(t, listen.NewPipe(), memstore.New(), config)
		full := policyOf(privacy.Full)
		for _, policy := range []privacy.Policy{full, full, {}} {
			config.Privacy = policy
			if err := s.Reconfigure(config); err != nil {
				t.Fatal(err)
			}
			s.login(newIdentity(t), 1, d2m.SlotNew)
			s.dial(newIdentity(t)).ws.CloseNow()
			synctest.Wait()
		}
		if n := len(log.lines("privacy is off")); n != 1 {
			t.Errorf("announced %d times", n)
		}
		if ended, full := len(log.lines("connection ended")), len(log.lines(`"address"`)); ended != 3 || full != 2 {
			t.Errorf("%d lines, %d of them with an address", ended, full)
		}
	})
}
