package mediator_test

import (
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/d2m"
	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/reflect/memstore"
)

// Every connection is pinged every 25 s, and one that never answers is never closed for it (d2m.md, 3).
func TestB13_Pings(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		w := s.loginWire(newIdentity(t), 1, d2m.SlotNew)
		expectOn[d2m.RolePromotedToLeader](w)
		last := time.Now()
		for i := range 200 {
			first, payload, err := w.read()
			if err != nil || first != fin|opPing || len(payload) > 125 {
				t.Fatalf("got %#x, %v; want ping %d", first, err, i)
			}
			if gap := time.Since(last); gap > 26*time.Second || i > 0 && gap < 24*time.Second {
				t.Fatalf("%v since the ping before", gap)
			}
			last = time.Now()
		}
	})
}

// contest is a leader and a device that waits to lead.
type contest struct {
	s       *testServer
	leader  *device
	pongs   *atomic.Bool // whether the leader answers pings
	in      *inbox       // what the leader gets
	second  *inbox
	started time.Time
}

// newContest makes a leader whose connection has answered a ping before, or has not.
func newContest(t *testing.T, answered bool) *contest {
	t.Helper()
	s := startInBubble(t)
	id := newIdentity(t)
	c := &contest{s: s, pongs: new(atomic.Bool)}
	c.pongs.Store(answered)
	c.leader = s.dialWith(id, c.pongs.Load)
	c.leader.register(1, d2m.SlotNew).readQueue()
	expect[d2m.RolePromotedToLeader](c.leader)
	c.in = c.leader.listen()
	time.Sleep(time.Minute)
	c.pongs.Store(false)

	second, _ := s.login(id, 2, d2m.SlotNew)
	c.second = second.listen()
	c.started = time.Now()
	return c
}

// handedOver says whether the second device leads.
func (c *contest) handedOver() bool {
	for _, m := range c.second.take() {
		if m.Type() == d2m.TypeRolePromotedToLeader {
			return true
		}
	}
	return false
}

// A leader that answered pings before, leaves two unanswered and sends nothing, is over when another device waits.
func TestB13_DeadLeader(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newContest(t, true)
		time.Sleep(20 * time.Second)
		if c.handedOver() {
			t.Fatal("leadership went over before two pings were left unanswered for a while")
		}
		for !c.handedOver() {
			if time.Since(c.started) > 75*time.Second {
				t.Fatal("the dead leader still leads after 75 s")
			}
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if over, _, _ := c.in.ended(); !over {
			t.Error("the dead leader's connection is still open")
		}
		time.Sleep(time.Hour)
		if over, code, _ := c.second.ended(); over {
			t.Errorf("the new leader was closed with %d", code)
		}
	})
}

// It is pinged at once when it becomes contested, not when its turn comes.
func TestB13_ContestedLeaderIsPingedAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		leader := s.loginWire(id, 1, d2m.SlotNew)
		expectOn[d2m.RolePromotedToLeader](leader)
		time.Sleep(10 * time.Second)
		s.login(id, 2, d2m.SlotNew)
		started := time.Now()
		if first, _, err := leader.read(); first != fin|opPing || err != nil || time.Since(started) != 0 {
			t.Errorf("got %#x, %v after %v; want a ping at once", first, err, time.Since(started))
		}
	})
}

// A missing pong of a client that never ponged is no sign of anything.
func TestB13_LeaderThatNeverPongs(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newContest(t, false)
		time.Sleep(6 * time.Hour)
		if over, _, _ := c.in.ended(); over || c.handedOver() {
			t.Error("the leader was taken for dead")
		}
	})
}

// Whatever it sends is life: messages, also parts of one that takes minutes to arrive.
func TestB13_LeaderThatSendsAndDoesNotPong(t *testing.T) {
	for name, send := range map[string]func(*wire){
		"messages":           func(w *wire) { w.message(d2m.GetDevicesInfo{}) },
		"parts of a message": func(w *wire) { w.write([]byte{0}) },
		"fragments":          func(w *wire) { w.frame(opContinuation, nil) },
		"pings":              func(w *wire) { w.frame(fin|opPing, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				config := mediator.DefaultConfig()
				config.MessageTimeout = time.Hour
				s := startServer(t, listen.NewPipe(), memstore.New(), config)
				id := newIdentity(t)
				leader := s.loginWire(id, 1, d2m.SlotNew)
				expectOn[d2m.RolePromotedToLeader](leader)
				leader.listen()
				leader.frame(fin|opPong, nil)
				second, _ := s.login(id, 2, d2m.SlotNew)
				in := second.listen()
				switch name {
				case "parts of a message":
					leader.write([]byte{fin | opBinary, 0x80 | 126, 0xff, 0xff, 0, 0, 0, 0})
				case "fragments":
					leader.frame(opBinary, []byte{0x80, 0, 0, 0})
				}
				for range 60 {
					time.Sleep(10 * time.Second)
					send(leader)
				}
				synctest.Wait()
				if n := len(in.take()); n != 0 || s.Connections() != 2 {
					t.Errorf("the leader was taken for dead: %d messages, %d connections", n, s.Connections())
				}
			})
		})
	}
}

// A dead leader's connection is gone at once, whatever still takes its bytes.
func TestB13_DeadLeaderBehindAProxy(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		w := s.loginWire(id, 1, d2m.SlotNew)
		w.frame(fin|opPong, nil)
		go io.Copy(io.Discard, w)
		second, _ := s.login(id, 2, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](second.device)
		synctest.Wait()
		if s.Connections() != 1 {
			t.Error("the dead leader's connection is still there")
		}
	})
}

// When nobody waits any more, a silent leader is left alone again.
func TestB13_NoLongerContested(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		w := s.loginWire(id, 1, d2m.SlotNew)
		w.frame(fin|opPong, nil)
		in := w.listen()
		second, _ := s.login(id, 2, d2m.SlotNew)
		time.Sleep(10 * time.Second)
		second.leave()
		time.Sleep(time.Hour)
		if over, code, _ := in.ended(); over {
			t.Errorf("the leader was closed with %d", code)
		}
	})
}

// Without another device that waits, nothing hangs on a dead leader; from when one waits, it is looked after.
func TestB13_UncontestedLeader(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		w := s.loginWire(id, 1, d2m.SlotNew)
		expectOn[d2m.RolePromotedToLeader](w)
		in := w.listen()
		w.frame(fin|opPong, nil)
		time.Sleep(10 * time.Minute)
		if over, _, _ := in.ended(); over {
			t.Fatal("ended though nobody waits")
		}
		second, _ := s.login(id, 2, d2m.SlotNew)
		started := time.Now()
		expect[d2m.RolePromotedToLeader](second.device)
		if took := time.Since(started); took > 75*time.Second {
			t.Errorf("handed over after %v", took)
		}
	})
}

// Only the leader is looked after so closely.
func TestB13_OthersMayBeSilent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		leader, _ := s.login(id, 1, d2m.SlotNew)
		leader.listen()
		w := s.loginWire(id, 2, d2m.SlotNew)
		in := w.listen()
		w.frame(fin|opPong, nil)
		time.Sleep(3 * time.Hour)
		if over, _, _ := in.ended(); over {
			t.Error("a device that does not lead was closed for its silence")
		}
	})
}
