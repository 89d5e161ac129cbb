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
	for _, stored := range []bool{false, true} {
		s := newScene(t)
		a, b := s.pair()
		a.reflects("hello")
		s.settle()
		s.commitAll()
		b.acks("hello")
		if s.commit() != 0 {
			t.Error("a confirmation was written at once")
		}
		want := "ServerInfo NEW, 0 waiting"
		if stored {
			s.commitAll()
			want = "closed 4115"
		}
		s.crash()
		again := s.connect("B2", isNew)
		s.commit()
		if got := again.line(again.takes()[0]); got != want {
			t.Errorf("after a crash, stored %v: %q, want %q", stored, got, want)
		}
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

func TestB9_TheOlderConnectionIsGoneFirst(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	again := s.connect("A2")
	if s.leader() != "B" {
		t.Fatalf("%q leads before the newer connection has its ServerInfo, want B", s.leader())
	}
	s.commit()
	again.receives("ServerInfo EXISTING, 0 waiting", "ReflectionQueueDry") // though the older one has not read a thing
	b.receives("RolePromotedToLeader")
	a.reflects("from the grave")
	s.commit()
	b.receives()
	a.receives("closed 4112")
	again.reflects("alive")
	s.commit()
	b.receives("Reflected 1 alive")
	if s.leader() != "B" {
		t.Errorf("%q leads after the older connection's end, want B", s.leader())
	}
}

func TestB9_WhatTheOlderConnectionWasPromisedItGets(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.reflects("last words")
	again := s.connect("A2")
	a.receives()
	s.commit()
	a.receives("ReflectAck last words", "closed 4112")
	again.receives("ServerInfo EXISTING, 0 waiting", "ReflectionQueueDry")
	b.receives("Reflected 1 last words", "RolePromotedToLeader")
}

func TestB10_OrderAtTheStart(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	b.ends()
	a.reflects("one", "two")
	s.settle()
	again := s.connect("B2")
	a.reflects("meanwhile")
	s.commit()
	again.receives("ServerInfo EXISTING, 2 waiting",
		"Reflected 1 one", "Reflected 2 two", "Reflected 3 meanwhile", "ReflectionQueueDry")
	a.ends()
	again.receives("RolePromotedToLeader")
}

// What is accepted between the last message that was handed out and ReflectionQueueDry belongs before it.
func TestB10_DryComesAfterWhatArrivesMeanwhile(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	b.ends()
	s.commit()
	again := s.connect("B2")
	if messages, _ := again.flush(); len(messages) != 1 {
		t.Fatalf("B gets %v, want only ServerInfo", messages)
	}
	a.reflects("meanwhile")
	s.group.Drained(s.now, again.conn) // the message waits for its commit
	s.after()
	again.receives()
	s.commit()
	again.receives("Reflected 1 meanwhile", "ReflectionQueueDry")
}

func TestB10_DryIsNotSaidWhileSomethingWaits(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	b.ends()
	a.reflects("one")
	s.settle()
	again := s.connect("B2")
	s.group.Drained(s.now, again.conn)
	if again.conn.Dry() {
		t.Fatal("a queue with a message in it was called dry")
	}
	again.receives("ServerInfo EXISTING, 1 waiting", "Reflected 1 one", "ReflectionQueueDry")
}

func TestB10_EverythingMayBeSentBeforeDry(t *testing.T) {
	s := newScene(t)
	a, _ := s.pair()
	s.crash()
	b := s.connect("B2")
	b.reflects("early")
	b.sends(d2m.GetDevicesInfo{})
	b.sends(d2m.SetSharedDeviceData{Data: []byte("x")})
	b.drops("A")
	s.commit()
	b.receives("ServerInfo EXISTING, 0 waiting", "ReflectAck early", "DevicesInfo", "DropDeviceAck A",
		"ReflectionQueueDry", "RolePromotedToLeader")
	if !a.gone {
		t.Error("a connection outlived the crash")
	}
}

func TestB10_ServerInfo(t *testing.T) {
	s := newScene(t, slots(7))
	s.connect("A", isNew)
	s.settle()
	s.crash()
	s.pass(90 * time.Second)
	got := of[d2m.ServerInfo](s.connect("A2").takes())[0]
	if got.MaxDeviceSlots != 7 || got.CurrentTime != uint64(s.now.UnixMilli()) {
		t.Errorf("ServerInfo: %+v, want 7 slots and the time %d", got, s.now.UnixMilli())
	}
}

func TestB11_DeviceInfoIsReplaced(t *testing.T) {
	s := newScene(t)
	for i, info := range []string{"phone", "tablet", "", strings.Repeat("x", d2m.MaxDeviceInfoSize)} {
		edit := []func(*d2m.ClientHello){withInfo(info)}
		if i == 0 {
			edit = append(edit, isNew)
		}
		a := s.connect("A", edit...)
		s.settle()
		a.sends(d2m.GetDevicesInfo{})
		devices := of[d2m.DevicesInfo](a.takes())[0].Devices
		if len(devices) != 1 || string(devices[0].Info) != info {
			t.Errorf("DevicesInfo %v, want info of %d bytes", devices, len(info))
		}
		s.crash()
		_, snapshot := s.stored()
		if string(snapshot.Blobs[0].Data) != info {
			t.Errorf("stored info %q, want %q", snapshot.Blobs[0].Data, info)
		}
	}
}

// An info that the store gives back as nothing is the empty one, not a new one.
func TestB11_EmptyDeviceInfoIsNotStoredAgain(t *testing.T) {
	s := newScene(t)
	s.connect("A", isNew, withInfo(""))
	s.settle()
	s.crash()
	again := s.connect("A2", withInfo(""))
	if s.group.Needs() == devicegroup.NeedNow {
		t.Error("an empty device info was stored again")
	}
	again.receives("ServerInfo EXISTING, 0 waiting", "ReflectionQueueDry", "RolePromotedToLeader")
}

func TestB11_DevicesInfoOfAllSlotsFitsIntoOneMessage(t *testing.T) {
	s := newScene(t, slots(devicegroup.MaxSlotsLimit))
	s.now = time.UnixMilli(1<<53 - 1)
	largest := strings.Repeat("\xff", d2m.MaxDeviceInfoSize)
	var last *device
	for i := range devicegroup.MaxSlotsLimit {
		last = s.connect("A", isNew, withInfo(largest), func(h *d2m.ClientHello) {
			h.DeviceID = d2m.DeviceID(1<<64 - 1 - uint64(i))
		})
		s.settle()
	}
	last.sends(d2m.GetDevicesInfo{})
	got := of[d2m.DevicesInfo](last.takes())
	if len(got) != 1 || len(got[0].Devices) != devicegroup.MaxSlotsLimit {
		t.Fatalf("DevicesInfo: %d messages", len(got))
	}
	if size := len(got[0].Append(nil)); size > d2m.MaxMessageSize {
		t.Errorf("DevicesInfo has %d bytes, want at most %d", size, d2m.MaxMessageSize)
	}
}
