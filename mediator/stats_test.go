package mediator_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/d2m"
	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/reflect"
	"openmediator/reflect/memstore"
)

func TestStats(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		a, _ := s.login(id, 1, d2m.SlotNew)
		b, _ := s.login(id, 2, d2m.SlotNew)
		stranger := s.dial(newIdentity(t))
		expect[d2m.ServerHello](stranger)
		a.send(d2m.Reflect{ID: 1, Envelope: make([]byte, 100)})
		await[d2m.ReflectAck](a.device)
		first := await[d2m.Reflected](b.device)
		b.send(d2m.ReflectedAck{ID: first.ID})
		b.send(d2m.ReflectedAck{ID: first.ID}) // takes nothing out of the queue
		a.send(d2m.Reflect{Flags: d2m.FlagEphemeral, Envelope: []byte("now")})
		await[d2m.Reflected](b.device)
		a.begin("scope", 0)
		a.send(d2m.Reflect{ID: 2, Envelope: []byte("staged")})
		a.send(d2m.CommitTransaction{})
		await[d2m.CommitTransactionAck](a.device)
		b.begin("scope", 0)
		b.leave()
		await[d2m.TransactionEnded](a.device)
		stranger.send(d2m.Reflect{})
		stranger.expectClose(d2m.CloseProtocolError)
		synctest.Wait()
		time.Sleep(time.Second)

		got := s.Stats()
		for what, n := range map[string][2]int64{
			"requests": {int64(got.Requests), 0}, "unauthenticated": {int64(got.Unauthenticated), 0}, "registered": {int64(got.Registered), 1},
			"upgrades": {got.Upgrades, 3}, "logins": {got.Logins, 2}, "wrong responses": {got.WrongResponses, 0},
			"reflected": {got.Reflected, 2}, "ephemerals": {got.Ephemerals, 1}, "acked": {got.Acked, 1},
			"begun": {got.Begun, 2}, "committed": {got.Committed, 1}, "aborted": {got.Aborted, 1},
			"4010": {got.Closes[d2m.CloseProtocolError], 1}, "1001": {got.Closes[d2m.CloseGoingAway], 0},
			"staged": {got.Staged, 0}, "in use": {int64(got.GroupsInUse), 1}, "failures": {got.StoreFailures, 0},
		} {
			if n[0] != n[1] {
				t.Errorf("%s: %d, want %d", what, n[0], n[1])
			}
		}
		if got.Delivered < 2 || got.Delivered > 3 { // the last one may have come too late for b
			t.Errorf("delivered: %d", got.Delivered)
		}
		if c := got.CommitSeconds; c.Count == 0 || c.Count != got.CommitGroups.Count || got.CommitGroups.Sum < float64(c.Count) {
			t.Errorf("commits: %+v, %+v", c, got.CommitGroups)
		}
	})
}

// A wrong answer to the challenge is counted, and so is a limit; a second look finds the same.
func TestStatsOfRefusals(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		config := mediator.DefaultConfig()
		config.MaxConnections = 1
		s := startServer(t, listen.NewPipe(), memstore.New(), config)
		d := s.dial(newIdentity(t))
		hello := expect[d2m.ServerHello](d)
		if _, err := s.tryDial(newIdentity(t)); err == nil {
			t.Error("a second connection was accepted")
		}
		wrong := d.hello(hello, 1, d2m.SlotNew)
		wrong.Response[0] ^= 1
		d.send(wrong)
		d.expectClose(d2m.CloseProtocolError)
		for range 2 {
			time.Sleep(2 * time.Minute) // the log has told it meanwhile
			if got := s.Stats(); got.WrongResponses != 1 || got.Refused["connections"] != 1 || len(got.Refused) != 9 || got.Logins != 0 {
				t.Errorf("%+v", got)
			}
		}
	})
}

// B43: a server whose store fails is not ready, and is again when the store works, though no device comes meanwhile.
func TestB43_ConditionOfTheStore(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		synctest.Wait()
		if c := s.Condition(); !c.Ready() || c.Upstream != mediator.UpstreamNone {
			t.Errorf("at the start: %+v", c)
		}
		var failing atomic.Bool
		failing.Store(true)
		s.memory().Fail(func(memstore.Op, d2m.GroupID) error {
			if failing.Load() {
				return reflect.ErrUnavailable
			}
			return nil
		})
		s.refused(newIdentity(t), 1, d2m.SlotNew, d2m.CloseInternal)
		synctest.Wait()
		if c := s.Condition(); c.Ready() || !c.StoreFailing || s.Stats().StoreFailures == 0 {
			t.Errorf("while the store fails: %+v", c)
		}
		time.Sleep(time.Minute)
		if s.Condition().Ready() {
			t.Error("the server is ready while the store still fails")
		}
		failing.Store(false)
		time.Sleep(6 * time.Second)
		if c := s.Condition(); !c.Ready() {
			t.Errorf("when it works again: %+v", c)
		}
		if groups := s.survey(); len(groups) != 0 {
			t.Errorf("there are groups: %v", groups)
		}
	})
}

func TestConditionWhenStopped(t *testing.T) {
	s := start(t)
	device, _ := s.login(newIdentity(t), 1, d2m.SlotNew)
	device.leave()
	if !s.Condition().Ready() {
		t.Errorf("%+v", s.Condition())
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := s.Condition(); c.Ready() || !c.Stopping || c.Listening {
		t.Errorf("%+v", c)
	}
}
