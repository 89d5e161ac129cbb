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
	"openmediator/reflect"
	"openmediator/reflect/memstore"
)

// expectGone fails unless the last group has gone from the store at a time, and not long before.
func (s *testServer) expectGone(at time.Time) {
	s.t.Helper()
	time.Sleep(time.Until(at.Add(-2 * time.Second)))
	if len(s.storedGroups()) == 0 {
		s.t.Fatal("the group has gone before its time")
	}
	time.Sleep(4 * time.Second)
	if len(s.storedGroups()) != 0 {
		s.t.Fatal("the group is still there")
	}
	if s.GroupsInUse() != 0 {
		s.t.Error("the group is still in use")
	}
}

// A volatile slot goes 10 minutes after its device, in a group that nobody visits; with the last slot the group goes.
func TestB34_VolatileSlotExpires(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		d := s.loginVolatile(id, 1)
		expect[d2m.RolePromotedToLeader](d.device)
		in := d.listen()
		time.Sleep(time.Hour)
		if over, _, _ := in.ended(); over || len(s.storedGroups()) != 1 {
			t.Fatal("the slot of a connected device has gone")
		}
		d.ws.CloseNow()
		s.expectGone(time.Now().Add(10 * time.Minute))
		s.refused(id, 1, d2m.SlotExisting, d2m.CloseSlotState)
	})
}

// A device that comes back in time keeps its slot, and its time runs anew when it leaves.
func TestB34_VolatileSlotIsKeptByComingBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		s.loginVolatile(id, 1).leaveAtOnce()
		for range 5 {
			time.Sleep(9 * time.Minute)
			d := s.dial(id)
			hello := d.hello(expect[d2m.ServerHello](d), 1, d2m.SlotExisting)
			hello.Expiration = d2m.Volatile
			d.send(hello)
			expect[d2m.ServerInfo](d)
			d.leaveAtOnce()
		}
		s.expectGone(time.Now().Add(10 * time.Minute))
	})
}

func TestB34_PersistentSlotStays(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		d, _ := s.login(id, 1, d2m.SlotNew)
		d.leaveAtOnce()
		s.loginVolatile(id, 2).leaveAtOnce()
		time.Sleep(5 * time.Hour)
		s.login(id, 1, d2m.SlotExisting)
		s.refused(id, 2, d2m.SlotExisting, d2m.CloseSlotState)
	})
}

// An operator may set a limit for persistent ones, too.
func TestB34_MaximumAbsence(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		config := mediator.DefaultConfig()
		config.Group.MaxAbsence = 30 * time.Hour
		s := startServer(t, listen.NewPipe(), memstore.New(), config)
		d, _ := s.login(newIdentity(t), 1, d2m.SlotNew)
		d.leaveAtOnce()
		s.expectGone(time.Now().Add(30 * time.Hour))
	})
}

// The time runs on over a restart; that of a device that was connected runs from the start.
func TestB34_AfterARestart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		s.loginVolatile(newIdentity(t), 1).leaveAtOnce()
		left := time.Now()
		time.Sleep(4 * time.Minute)
		s.Shutdown(t.Context())
		time.Sleep(time.Minute)
		next := startServer(t, listen.NewPipe(), s.memory().Clone(), mediator.DefaultConfig())
		next.expectGone(left.Add(10 * time.Minute))
	})
}

func TestB34_AfterACrash(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		d := s.loginVolatile(newIdentity(t), 1)
		d.listen()
		time.Sleep(time.Hour)
		next := startServer(t, listen.NewPipe(), s.memory().Clone(), mediator.DefaultConfig())
		next.expectGone(time.Now().Add(10 * time.Minute))
	})
}

// A device that was connected when its group's store failed counts as gone from then on, not from the server's start (B31).
func TestB34_AfterAFailureOfTheStore(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		d := s.loginVolatile(id, 1)
		expect[d2m.RolePromotedToLeader](d.device)
		d.listen()
		time.Sleep(time.Hour)
		s.failNext(memstore.OpCommit, id.group, func() error { return reflect.ErrUnavailable })
		d.send(d2m.SetSharedDeviceData{Data: []byte("shared")})
		s.expectGone(time.Now().Add(10 * time.Minute))
	})
}

// A store that fails when the time has come, or when the device leaves, delays the end and does not prevent it (B43).
func TestB34_StoreFailsMeanwhile(t *testing.T) {
	for name, wait := range map[string]time.Duration{"when the device leaves": 0, "when the slot expires": 5 * time.Minute} {
		for what, failure := range failures {
			t.Run(name+" "+what, func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					s := startInBubble(t)
					id := newIdentity(t)
					d := s.loginVolatile(id, 1)
					expect[d2m.RolePromotedToLeader](d.device)
					time.Sleep(10 * time.Second)
					if wait != 0 {
						d.leaveAtOnce()
						time.Sleep(wait)
					}
					came := s.failNext(memstore.OpCommit, id.group, failure.now)
					if wait == 0 {
						d.leaveAtOnce()
					}
					time.Sleep(15 * time.Minute)
					if !came() {
						t.Fatal("nothing has failed")
					}
					if n := len(s.storedGroups()); n != 0 || s.GroupsInUse() != 0 {
						t.Errorf("%d groups stored, %d in use", n, s.GroupsInUse())
					}
				})
			})
		}
	}
}

// A group that fails and is claimed again while one of its connections is still closing expires its slots in time.
func TestB34_ClaimedAgainWhileClosing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		closing := s.loginWire(id, 1, d2m.SlotNew) // it does not answer a Close frame
		go io.Copy(io.Discard, closing.Conn)
		s.loginVolatile(id, 2).leaveAtOnce()
		expires := time.Now().Add(10 * time.Minute)
		time.Sleep(9*time.Minute + 30*time.Second)
		s.failNext(memstore.OpCommit, id.group, func() error { return reflect.ErrUnavailable })
		closing.message(d2m.SetSharedDeviceData{Data: []byte("shared")})
		synctest.Wait()
		d, _ := s.login(id, 3, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](d.device)
		time.Sleep(time.Until(expires.Add(2 * time.Second)))
		d.send(d2m.GetDevicesInfo{})
		if info := expect[d2m.DevicesInfo](d.device); len(info.Devices) != 2 {
			t.Errorf("%d devices, want those that are not volatile: 2", len(info.Devices))
		}
	})
}

// While the store cannot be read the server tries again, and not all the time.
func TestB34_ClaimFails(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		s.loginVolatile(id, 1).leaveAtOnce()
		time.Sleep(9 * time.Minute)
		var claims atomic.Int64
		s.memory().Fail(func(op memstore.Op, of d2m.GroupID) error {
			if op == memstore.OpClaim && of == id.group {
				claims.Add(1)
			}
			return reflect.ErrUnavailable
		})
		time.Sleep(time.Hour)
		if n := claims.Load(); n < 30 || n > 120 {
			t.Errorf("%d attempts in an hour", n)
		}
		s.memory().Fail(nil)
		time.Sleep(5 * time.Minute)
		if len(s.storedGroups()) != 0 {
			t.Error("the group is still there")
		}
	})
}
