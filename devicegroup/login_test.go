package devicegroup_test

import (
	"strings"
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
)

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

// ServerInfo waits for the disk, and so everything else does that was stored long ago.
func TestB10_NothingComesBeforeServerInfo(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	b.ends()
	a.reflects("stored")
	s.settle()
	again := s.connect("B2", withInfo("renamed"))
	a.reflectsEphemeral("typing")
	again.sends(d2m.GetDevicesInfo{})
	again.receives()
	s.group.Drained(s.now, again.conn)
	s.after()
	again.receives()
	s.commit()
	again.receives("ServerInfo EXISTING, 1 waiting", "DevicesInfo", "Reflected 1 stored", "Reflected 2 typing (ephemeral)",
		"ReflectionQueueDry")
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
