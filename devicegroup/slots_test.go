package devicegroup_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
	"openmediator/reflect"
)

func TestB7_NewDeviceGetsASlot(t *testing.T) {
	s := newScene(t)
	a := s.connect("A", isNew)
	a.receives() // not before it is on disk
	s.commit()
	a.receives("ServerInfo NEW, 0 waiting", "ReflectionQueueDry", "RolePromotedToLeader")
	state, snapshot := s.stored()
	if len(state.Slots) != 1 || state.Slots[0].Device != a.id || string(snapshot.Blobs[0].Data) != "info of A" {
		t.Fatalf("stored: %+v, %+v", state, snapshot)
	}
}

// Whatever the device says of itself: what a crash leaves is the slot.
func TestB7_TheSlotOutlivesACrash(t *testing.T) {
	s := newScene(t)
	s.join("A")
	for i, edit := range []func(*d2m.ClientHello){isVolatile, withInfo(""), dropLeastRecent} {
		name := string(rune('B' + i))
		d := s.connect(name, isNew, edit)
		s.commit()
		d.receives("ServerInfo NEW, 0 waiting", "ReflectionQueueDry")
		s.afterCrash().connect(name, edit).receives("ServerInfo EXISTING, 0 waiting", "ReflectionQueueDry", "RolePromotedToLeader")
	}
}

func TestB7_SlotStateThatIsNotExpected(t *testing.T) {
	s := newScene(t)
	stranger := s.connect("A")
	stranger.receives("closed 4115")
	if s.group.Needs() != devicegroup.NeedNothing || s.group.Slots() != 0 {
		t.Error("a refused device left something in a group that did not exist")
	}

	a, b := s.pair()
	b.reflects("confirm")
	s.settle()
	a.acks("confirm")
	s.commitAll()
	before := s.last
	s.connect("A2", isNew).receives("closed 4115")
	s.connect("C").receives("closed 4115")
	if s.group.Slots() != 2 || s.leader() != "A" || s.commitAll() != 0 || s.last != before {
		t.Error("a refused device changed something")
	}
	a.receives()
}

// What a second ClientHello of the same device finds: the slot confirmed or not, the first connection still there or not.
func TestB7_UnconfirmedSlot(t *testing.T) {
	for _, test := range []struct {
		confirmed, connected bool
		expected             d2m.SlotState
		want, wantOld        string
	}{
		{false, false, d2m.SlotNew, "ServerInfo NEW, 0 waiting", ""},
		{false, false, d2m.SlotExisting, "ServerInfo EXISTING, 1 waiting", ""},
		{false, true, d2m.SlotNew, "ServerInfo NEW, 0 waiting", "closed 4112"},
		{false, true, d2m.SlotExisting, "ServerInfo EXISTING, 1 waiting", "closed 4112"},
		{true, false, d2m.SlotNew, "closed 4115", ""},
		{true, false, d2m.SlotExisting, "ServerInfo EXISTING, 1 waiting", ""},
		{true, true, d2m.SlotNew, "closed 4115", ""},
		{true, true, d2m.SlotExisting, "ServerInfo EXISTING, 1 waiting", "closed 4112"},
	} {
		t.Run(fmt.Sprintf("confirmed %v, connected %v, expects %v", test.confirmed, test.connected, test.expected), func(t *testing.T) {
			s := newScene(t)
			a, b := s.pair()
			a.reflects("first")
			s.settle()
			if test.confirmed {
				b.acks("first")
				a.reflects("second")
				s.settle()
			}
			if !test.connected {
				b.ends()
			}
			again := s.connect("B2", func(h *d2m.ClientHello) { h.Expected = test.expected })
			s.commit()
			if got := again.line(again.takes()[0]); got != test.want {
				t.Errorf("the newer connection gets %q, want %q", got, test.want)
			}
			if test.wantOld != "" {
				b.receives(test.wantOld)
			}
			if waiting := test.confirmed || test.expected == d2m.SlotExisting; waiting != (s.waiting() == 1) {
				t.Errorf("%d messages wait", s.waiting())
			}
		})
	}
}

func TestB7_WhatConfirmsASlot(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(a, b *device)
		want string
	}{
		{"an ack of what was delivered", func(a, b *device) { b.acks("hello") }, "closed 4115"},
		{"an ack of an ephemeral", func(a, b *device) { b.acks("typing") }, "closed 4115"},
		{"an ack of what was not delivered", func(a, b *device) {
			a.reflects("unread")
			a.s.commit()
			b.sends(d2m.ReflectedAck{ID: 3})
		}, "ServerInfo NEW, 0 waiting"},
		{"a message at once", func(a, b *device) { b.sends(d2m.GetDevicesInfo{}) }, "ServerInfo NEW, 0 waiting"},
		{"a message after 5 s", func(a, b *device) {
			a.s.pass(5 * time.Second)
			b.sends(d2m.GetDevicesInfo{})
		}, "ServerInfo NEW, 0 waiting"},
		{"a message after more than 5 s", func(a, b *device) {
			a.s.pass(5*time.Second + time.Millisecond)
			b.sends(d2m.GetDevicesInfo{})
		}, "closed 4115"},
		{"a message after more than 5 s, with others written meanwhile", func(a, b *device) {
			a.s.pass(4 * time.Second)
			a.reflectsEphemeral("meanwhile")
			a.s.commit()
			b.takes()
			a.s.pass(2 * time.Second)
			b.sends(d2m.GetDevicesInfo{})
		}, "closed 4115"},
		{"silence for an hour", func(a, b *device) { a.s.pass(time.Hour) }, "ServerInfo NEW, 0 waiting"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t)
			a, b := s.pair()
			a.reflects("hello")
			a.reflectsEphemeral("typing")
			s.settle()
			test.do(a, b)
			again := s.connect("B2", isNew)
			s.commit()
			if got := again.line(again.takes()[0]); got != test.want {
				t.Errorf("the newer connection gets %q, want %q", got, test.want)
			}
		})
	}
}

// A device that never got its ServerInfo cannot have confirmed anything, however late its messages come.
func TestB7_ServerInfoThatWasNotWrittenConfirmsNothing(t *testing.T) {
	s := newScene(t)
	a := s.connect("A", isNew)
	s.commit()
	s.pass(time.Minute)
	a.sends(d2m.GetDevicesInfo{})
	again := s.connect("A2", isNew)
	s.commit()
	again.receives("ServerInfo NEW, 0 waiting", "ReflectionQueueDry", "RolePromotedToLeader")
}

func TestB7_ConfirmationIsStoredLazily(t *testing.T) {
	for name, confirm := range map[string]func(s *scene, b *device){
		"by an ack": func(s *scene, b *device) { b.acks("hello") },
		"by time": func(s *scene, b *device) {
			s.pass(time.Minute)
			b.sends(d2m.GetDevicesInfo{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			a, b := s.pair()
			a.reflects("hello")
			s.settle()
			s.commitAll()
			confirm(s, b)
			if s.group.Needs() != devicegroup.NeedLater {
				t.Error("a confirmation is not written lazily")
			}
			early := s.afterCrash()
			again := early.connect("B2", isNew)
			early.commit()
			again.receives("ServerInfo NEW, 0 waiting", "ReflectionQueueDry", "RolePromotedToLeader")
			s.commitAll()
			s.afterCrash().connect("B2", isNew).receives("closed 4115")
		})
	}
}

func TestB7_LoginThatChangesNothingWritesNothing(t *testing.T) {
	for _, test := range []struct {
		name    string
		edit    func(*d2m.ClientHello)
		durable bool
	}{
		{"as before", func(*d2m.ClientHello) {}, false},
		{"another device info", withInfo("renamed"), true},
		{"another expiration policy", isVolatile, true},
		{"another policy for exhausted slots", dropLeastRecent, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t)
			s.connect("A", isNew)
			s.settle()
			s.crash()
			again := s.connect("A2", test.edit)
			if needs := s.group.Needs() == devicegroup.NeedNow; needs != test.durable {
				t.Errorf("something has to be stored at once: %v, want %v", needs, test.durable)
			}
			if waits := len(again.takes()) == 0; waits != test.durable {
				t.Errorf("ServerInfo waits: %v, want %v", waits, test.durable)
			}
		})
	}
}

func TestB8_NoSlotFree(t *testing.T) {
	s := newScene(t)
	s.join(strings.Split("ABCDEFGHIJ", "")...) // ten is the default
	s.commitAll()
	k := s.connect("K", isNew)
	k.receives("closed 4111")
	if s.group.Slots() != 10 || s.commitAll() != 0 {
		t.Error("a refused device changed something")
	}
	s.connect("J2").receives("ServerInfo EXISTING, 0 waiting", "ReflectionQueueDry") // who has a slot needs none
}

func TestB8_DropLeastRecentDropsTheLongestAway(t *testing.T) {
	s := newScene(t, slots(3))
	devices := s.join("A", "B", "C") // A is connected longest, but B left first
	s.pass(time.Minute)
	devices[1].ends()
	s.pass(time.Minute)
	devices[2].ends()
	s.commit()
	d := s.connect("D", isNew, dropLeastRecent)
	d.receives()
	s.commit()
	d.receives("ServerInfo NEW, 0 waiting", "ReflectionQueueDry")
	s.connect("B2").receives("closed 4115")
	s.connect("C2").receives("ServerInfo EXISTING, 0 waiting", "ReflectionQueueDry")
	devices[0].receives()
	if s.noticed(devicegroup.LeastRecentDrop) != 1 {
		t.Error("nobody was told of the drop")
	}
}

func TestB8_DropLeastRecentDropsTheLongestConnected(t *testing.T) {
	s := newScene(t, slots(3))
	var devices []*device
	for _, name := range []string{"A", "B", "C"} {
		devices = append(devices, s.connect(name, isNew))
		s.settle()
		s.pass(time.Minute)
	}
	devices[0].ends()
	s.connect("A2")
	s.settle() // A came first, but is connected since just now
	s.pass(time.Minute)
	d := s.connect("D", isNew, dropLeastRecent)
	devices[1].receives() // not before its slot is gone for good
	s.commit()
	devices[1].receives("closed 4113")
	d.receives("ServerInfo NEW, 0 waiting", "ReflectionQueueDry")
	if s.group.Slots() != 3 {
		t.Errorf("%d slots", s.group.Slots())
	}
}

// The only slot is dropped for the next device: what the first one left behind must not come back.
func TestB8_DropLeastRecentOfTheOnlySlot(t *testing.T) {
	s := newScene(t, slots(1))
	a := s.join("A")[0]
	a.sends(d2m.SetSharedDeviceData{Data: []byte("of A")})
	s.settle()
	a.sends(d2m.SetSharedDeviceData{Data: []byte("of A, too")}) // this is not stored yet
	b := s.connect("B", isNew, dropLeastRecent)
	s.commit()
	a.receives("closed 4113")
	b.receives("ServerInfo NEW, 0 waiting", "ReflectionQueueDry", "RolePromotedToLeader")
	s.commitAll()
	_, snapshot := s.stored()
	want := fmt.Sprint([]reflect.Blob{{Device: b.id, Data: []byte("info of B")}})
	if fmt.Sprint(snapshot.Blobs) != want {
		t.Errorf("stored blobs: %v, want %v", snapshot.Blobs, want)
	}
}
