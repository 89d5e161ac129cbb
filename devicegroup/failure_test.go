package devicegroup_test

import (
	"fmt"
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
	"openmediator/reflect"
	"openmediator/reflect/memstore"
)

var errNoDisk = reflect.ErrUnavailable

func TestB43_TheStoreFails(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want string // how connections end
		kept bool   // the message shows after all
	}{
		{"unavailable", reflect.ErrUnavailable, "closed 1011", false},
		{"unavailable, though stored", memstore.ErrUnavailableStored, "closed 1011", true},
		{"fenced", reflect.ErrFenced, "closed 1001", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t)
			a, b := s.pair()
			a.reflects("acked")
			s.commit()
			b.takes()
			b.acks("acked")
			a.reflects("not acked")
			s.commitFails(test.err)
			if !s.group.Failed() {
				t.Fatal("the group goes on")
			}
			b.reflects("too late")
			b.receives(test.want)
			a.receives("ReflectAck acked", test.want)
			if s.group.Needs() != devicegroup.NeedNothing || s.seal(true) {
				t.Error("a dead group wants to store something")
			}

			s.claim() // the disk works again
			a, b = s.connect("A2"), s.connect("B2")
			s.commit()
			if got := fmt.Sprint(b.line(b.takes()[1])); test.kept != (got == "Reflected 2 not acked") {
				t.Errorf("B gets %q", got)
			}
			a.takes()
			a.reflects("again")
			s.commit()
			a.receives("ReflectAck again")
			if again := of[d2m.Reflected](b.takes()); len(again) != 1 || again[0].ID <= 2 {
				t.Errorf("B gets %v", again)
			}
		})
	}
}

// A connection that has its close code keeps it; all others of the group are ended, those that wait for ServerInfo, too.
func TestB43_EveryConnectionOfTheGroupIsClosed(t *testing.T) {
	s := newScene(t, slots(3))
	a, b := s.pair()
	refused := s.connect("C")
	c := s.connect("C2", isNew)
	again := s.connect("A2")
	full := s.connect("D", isNew)
	b.reflects("hello")
	s.commitFails(errNoDisk)
	refused.receives("closed 4115") // it was decided before anything had to be stored
	for _, d := range []*device{a, b, c, again} {
		d.receives("closed 1011")
	}
	full.receives("closed 1011") // in doubt not 4111
}

// Nothing that needs no store is shown either, once a commit has failed that came before it.
func TestB43_RefusalsBehindAFailedCommit(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.drops("B")
	wrong := s.connect("B2") // 4115 would delete its data, and the drop may not have happened
	a.sends(d2m.GetDevicesInfo{})
	s.commitFails(errNoDisk)
	wrong.receives("closed 1011")
	a.receives("closed 1011")
	b.receives("closed 1011")
}

func TestB43_RegistrationWithAFailedGroup(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{{reflect.ErrUnavailable, "closed 1011"}, {reflect.ErrFenced, "closed 1001"}} {
		s := newScene(t)
		first := s.connect("A", isNew)
		s.commitFails(test.err)
		first.receives(test.want)
		s.connect("B", isNew).receives(test.want)
		s.connect("A2").receives(test.want) // in doubt never 4115
		if s.group.Needs() != devicegroup.NeedNothing {
			t.Error("a dead group wants to store something")
		}
		s.claim()
		again := s.connect("A3", isNew)
		s.commit()
		again.receives("ServerInfo NEW, 0 waiting", "ReflectionQueueDry", "RolePromotedToLeader")
	}
}

// Fail is for a store that is gone while nothing is being stored.
func TestB43_TheStoreIsGone(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	s.group.Fail(errNoDisk)
	s.after()
	a.receives("closed 1011")
	b.receives("closed 1011")
	s.group.Tick(s.now)
}

// The store's answer comes after the group was given up: it counts for nothing.
func TestB43_ALateAnswer(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.reflects("hello")
	s.seal(false)
	s.group.Fail(errNoDisk)
	s.answer(nil)
	a.receives("closed 1011")
	b.receives("closed 1011")
}

// While one commit is under way more is accepted, and fails with it.
func TestB43_LaterBatchesFailToo(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.reflects("in flight")
	s.seal(false)
	a.reflects("behind it")
	b.reflectsEphemeral("typing")
	s.answer(errNoDisk)
	a.receives("closed 1011")
	b.receives("closed 1011")
}

func TestB43_AFailedLazyCommitEndsTheGroupToo(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.reflects("hello")
	s.settle()
	s.commitAll()
	b.acks("hello")
	s.commitFails(errNoDisk)
	a.receives("closed 1011")
	b.receives("closed 1011")
	s.claim()
	s.connect("B2").receives("ServerInfo EXISTING, 1 waiting", "Reflected 1 hello", "ReflectionQueueDry", "RolePromotedToLeader")
}

func TestB43_AnythingStoredThatCannotBeReadIsAnError(t *testing.T) {
	for _, state := range [][]byte{{0}, {99}, {1, 0x80}, {1, 0, 0, 0, 5}} {
		_, err := devicegroup.New(sceneGroup, devicegroup.DefaultConfig(), &reflect.Snapshot{Epoch: 1, State: state}, noon)
		if err == nil {
			t.Errorf("state %v: no error", state)
		}
		if _, _, err := devicegroup.StoredDeadline(devicegroup.DefaultConfig(), state, noon); err == nil {
			t.Errorf("state %v: no error for its deadline", state)
		}
	}
}

func TestB45_WhatACodeAnnouncesIsStoredFirst(t *testing.T) {
	for _, test := range []struct {
		name  string
		cause func(s *scene, a, b *device)
		want  string // how B ends
	}{
		{"dropped by another device", func(s *scene, a, b *device) { a.drops("B") }, "closed 4113"},
		{"dropped to make room", func(s *scene, a, b *device) {
			s.connect("A2") // and so B is connected longest
			s.connect("C", isNew, dropLeastRecent)
		}, "closed 4113"},
		{"dropped for its queue", func(s *scene, a, b *device) { a.reflects("1", "2", "3") }, "closed 4114"},
	} {
		for _, fails := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, fails %v", test.name, fails), func(t *testing.T) {
				s := newScene(t, slots(2), queueOf(2))
				a, b := s.pair()
				s.pass(time.Second)
				test.cause(s, a, b)
				if all := b.takes(); len(all) > 0 && all[len(all)-1].end != nil {
					t.Fatal("B is closed before its end is stored")
				}
				if fails {
					s.commitFails(errNoDisk)
					b.receives("closed 1011")
					return
				}
				s.commit()
				b.receives(test.want)
			})
		}
	}
}

func TestB45_NothingOfTheStreamAfterTheEndIsDecided(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.reflects("hello")
	s.commit()
	b.sends(d2m.GetDevicesInfo{})
	b.sendsBytes(nil)
	b.receives("DevicesInfo", "closed 4010")
	s.connect("B2").receives("ServerInfo EXISTING, 1 waiting", "Reflected 1 hello", "ReflectionQueueDry")
}
