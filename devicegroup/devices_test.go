package devicegroup_test

import (
	"fmt"
	"testing"
	"time"

	"openmediator/d2m"
)

// devices asks for DevicesInfo and writes it as "A connected 1m, B away 2m": how long after noon they came or left.
func (d *device) devices() (line string) {
	d.s.t.Helper()
	d.sends(d2m.GetDevicesInfo{})
	d.s.commit()
	for i, info := range of[d2m.DevicesInfo](d.takes())[0].Devices {
		if i > 0 {
			line += ", "
		}
		state := "away"
		if info.Connected {
			state = "connected"
		}
		since := time.UnixMilli(int64(info.Since)).Sub(noon)
		line += fmt.Sprintf("%c %s %v", 'A'+rune(info.ID-10), state, since)
	}
	return line
}

func TestB31_ConnectedSinceAndLastSeen(t *testing.T) {
	s := newScene(t)
	a := s.join("A")[0]
	s.pass(time.Second)
	b := s.join("B")[0]
	s.pass(time.Second)
	b.ends()
	s.pass(time.Second)
	s.join("C")
	if got, want := a.devices(), "A connected 0s, B away 2s, C connected 3s"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	s.connect("A2")
	s.settle()
	s.pass(time.Minute)
	s.connect("B2")
	s.settle()
	if got, want := s.connections[len(s.connections)-1].devices(), "A connected 3s, B connected 1m3s, C connected 3s"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestB31_AfterACrash(t *testing.T) {
	s := newScene(t)
	devices := s.join("A", "B", "C")
	s.commitAll()
	s.pass(time.Minute)
	devices[1].ends() // this is written down
	s.commit()
	s.pass(time.Minute)
	devices[2].ends() // this is not
	s.pass(time.Minute)
	s.crash()
	s.pass(time.Minute)
	if got, want := s.connect("A2").devices(), "A connected 4m0s, B away 1m0s, C away 3m0s"; got != want {
		t.Errorf("%s, want %s: B as known, C with the server's start", got, want)
	}
}

// Who came back is written down as well: after the crash it has not been away since it left the time before.
func TestB31_AfterACrashWhoHadComeBack(t *testing.T) {
	s := newScene(t)
	_, b := s.pair()
	s.pass(time.Minute)
	b.ends()
	s.commit()
	s.pass(time.Minute)
	s.connect("B2")
	s.commitAll()
	s.pass(time.Minute)
	s.crash()
	if got, want := s.connect("A2").devices(), "A connected 3m0s, B away 3m0s"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A server whose clock runs behind does not say that a device left before it came.
func TestB31_AfterACrashWithTheClockSetBack(t *testing.T) {
	s := newScene(t)
	s.pass(time.Hour)
	s.pair()
	s.commitAll()
	s.pass(-30 * time.Minute)
	s.crash()
	if got, want := s.connect("A2").devices(), "A connected 30m0s, B away 1h0m0s"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestB31_PolicyAndInfo(t *testing.T) {
	s := newScene(t)
	a := s.join("A")[0]
	s.connect("B", isNew, isVolatile)
	s.settle()
	a.sends(d2m.GetDevicesInfo{})
	got := of[d2m.DevicesInfo](a.takes())[0].Devices
	if got[0].Expiration != d2m.Persistent || got[1].Expiration != d2m.Volatile || string(got[1].Info) != "info of B" {
		t.Errorf("%v", got)
	}
}

func TestB32_DropFreesSlotAndQueue(t *testing.T) {
	for _, connected := range []bool{true, false} {
		s := newScene(t)
		a, b := s.pair()
		a.reflects("hello")
		s.settle()
		if !connected {
			b.ends()
			s.commit()
		}
		a.drops("B")
		a.receives()
		b.receives()
		s.commit()
		a.receives("DropDeviceAck B")
		if connected {
			b.receives("closed 4113")
		}
		if s.group.Slots() != 1 || s.waiting() != 0 {
			t.Errorf("%d slots, %d messages wait", s.group.Slots(), s.waiting())
		}
		s.connect("B2").receives("closed 4115") // an app comes again in spite of 4113, and relies on this
		s.crash()
		s.connect("B3").receives("closed 4115")
		s.connect("B4", isNew)
		s.commit()
		if state, _ := s.stored(); len(state.Slots) != 2 {
			t.Errorf("%d slots are stored", len(state.Slots))
		}
	}
}

func TestB32_AnUnknownDeviceIsAckedAllTheSame(t *testing.T) {
	s := newScene(t)
	a, _ := s.pair()
	s.commitAll()
	a.drops("Z")
	a.receives("DropDeviceAck Z")
	if s.commitAll() != 0 {
		t.Error("something was stored")
	}
}

func TestB32_OwnDrop(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	b.reflects("to A")
	a.drops("A")
	a.receives()
	s.leads("B")
	s.commit()
	a.receives("DropDeviceAck A", "closed 4113") // an app that gets 4113 without the ack waits for ever
	b.receives("ReflectAck to A", "RolePromotedToLeader")
	s.crash()
	s.connect("A2").receives("closed 4115")
}

// An app does this right behind ClientHello, on a connection of its own.
func TestB32_OwnDropBeforeServerInfo(t *testing.T) {
	s := newScene(t)
	a, _ := s.pair()
	a.ends()
	again := s.connect("A2", withInfo("new info"))
	again.drops("A")
	s.commit()
	again.receives("ServerInfo EXISTING, 0 waiting", "DropDeviceAck A", "closed 4113")
	_, snapshot := s.stored()
	if len(snapshot.Blobs) != 1 {
		t.Errorf("%d device infos are stored, want that of B", len(snapshot.Blobs))
	}
}

func TestB32_OwnDropOfTheOnlyDevice(t *testing.T) {
	s := newScene(t)
	a := s.join("A")[0]
	a.drops("A")
	s.commit()
	a.receives("DropDeviceAck A", "closed 4113")
	s.isErased()
}

func TestB32_TheDropCannotBeStored(t *testing.T) {
	s := newScene(t)
	devices := s.join("A", "B")
	devices[0].drops("B")
	s.commitFails(errNoDisk)
	devices[0].receives("closed 1011") // no ack
	devices[1].receives("closed 1011") // and no 4113
	s.claim()
	s.connect("B2").receives("ServerInfo EXISTING, 0 waiting", "ReflectionQueueDry", "RolePromotedToLeader")
}

func TestB33_SharedDeviceData(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	b.ends()
	a.sends(d2m.SetSharedDeviceData{Data: []byte("first")})
	a.sends(d2m.SetSharedDeviceData{Data: []byte("second")})
	again := s.connect("B2")
	again.receives() // not before what it says is on disk
	s.commit()
	if len(s.last.Blobs) != 1 {
		t.Errorf("%d blobs were stored, want the last one alone", len(s.last.Blobs))
	}
	again.receives("ServerInfo EXISTING, 0 waiting, shared second", "ReflectionQueueDry")
	s.crash()
	s.connect("A2").receives("ServerInfo EXISTING, 0 waiting, shared second", "ReflectionQueueDry", "RolePromotedToLeader")
}

func TestB33_SharedDeviceDataIsReplacedByNothing(t *testing.T) {
	s := newScene(t)
	a := s.join("A")[0]
	a.sends(d2m.SetSharedDeviceData{Data: []byte("something")})
	s.settle()
	a.sends(d2m.SetSharedDeviceData{})
	s.settle()
	s.crash()
	s.connect("A2").receives("ServerInfo EXISTING, 0 waiting", "ReflectionQueueDry", "RolePromotedToLeader")
}

func TestB33_SharedDeviceDataHasALimit(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.sends(d2m.SetSharedDeviceData{Data: make([]byte, d2m.MaxSharedDataSize)})
	s.commit()
	a.receives()
	a.sends(d2m.SetSharedDeviceData{Data: make([]byte, d2m.MaxSharedDataSize+1)})
	a.receives("closed 4010")
	b.receives("RolePromotedToLeader")
}
