package devicegroup_test

import (
	"fmt"
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
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

// isErased checks that nothing is stored of the group.
func (s *scene) isErased() {
	s.t.Helper()
	s.commitAll()
	_, snapshot := s.stored()
	if snapshot.State != nil || len(snapshot.Blobs) > 0 || len(snapshot.Messages) > 0 || s.group.Slots() > 0 {
		s.t.Errorf("the group is not erased: %+v", snapshot)
	}
}

func TestB34_VolatileSlotsExpire(t *testing.T) {
	s := newScene(t)
	a := s.join("A")[0]
	b := s.connect("B", isNew, isVolatile)
	s.settle()
	if _, ok := s.group.Deadline(); ok {
		t.Error("a slot expires though its device is connected")
	}
	s.tick(time.Hour)
	b.ends()
	s.commit()
	a.reflects("for B")
	s.settle()
	if at, ok := s.group.Deadline(); !ok || !at.Equal(s.now.Add(10*time.Minute)) {
		t.Errorf("deadline %v %v, want %v", at, ok, s.now.Add(10*time.Minute))
	}
	s.tick(10*time.Minute - time.Millisecond)
	if s.group.Slots() != 2 {
		t.Fatal("a volatile slot went too early")
	}
	s.tick(time.Millisecond)
	if s.group.Slots() != 1 || s.waiting() != 0 || s.noticed(devicegroup.SlotExpired) != 1 {
		t.Fatalf("%d slots, %d messages wait", s.group.Slots(), s.waiting())
	}
	s.commit()
	s.crash()
	s.connect("B2").receives("closed 4115")
	a = s.connect("A2")
	a.receives("ServerInfo EXISTING, 0 waiting", "ReflectionQueueDry", "RolePromotedToLeader")
}

func TestB34_ComingBackInTimeKeepsTheSlot(t *testing.T) {
	s := newScene(t)
	b := s.connect("B", isNew, isVolatile)
	s.settle()
	b.ends()
	s.tick(9 * time.Minute)
	again := s.connect("B2", isVolatile)
	s.settle()
	s.tick(2 * time.Minute)
	again.ends()
	s.tick(9 * time.Minute)
	if s.group.Slots() != 1 {
		t.Error("the time is counted from an earlier absence")
	}
	s.connect("B3") // PERSISTENT now
	s.settle()
	s.connections[2].ends()
	s.tick(1000 * time.Hour)
	if s.group.Slots() != 1 {
		t.Error("a slot that has become persistent expired")
	}
}

// Nobody ever connects again: what is claimed to look after the group must do without a visit.
func TestB34_VolatileSlotsExpireAfterACrashToo(t *testing.T) {
	for _, test := range []struct {
		name   string
		before func(s *scene, b *device)
		want   time.Duration // from the server's start to the slot's end
	}{
		{"connected at the crash", func(s *scene, b *device) {}, 10 * time.Minute},
		{"left before the crash", func(s *scene, b *device) {
			b.ends()
			s.commit()
			s.pass(4 * time.Minute)
		}, 6 * time.Minute},
		{"left long before the crash", func(s *scene, b *device) {
			b.ends()
			s.commit()
			s.pass(time.Hour)
		}, -50 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t)
			b := s.connect("B", isNew, isVolatile)
			s.settle()
			s.commitAll()
			test.before(s, b)
			s.crash()
			at, ok := s.group.Deadline()
			if !ok || at.Sub(s.now) != test.want {
				t.Fatalf("deadline %v after the start, want %v", at.Sub(s.now), test.want)
			}
			if got := s.storedDeadline(); !got.Equal(at) {
				t.Errorf("deadline %v as stored, want %v", got, at)
			}
			s.tick(max(test.want, 0))
			s.isErased()
		})
	}
}

// storedDeadline is the deadline of a group that nobody has claimed; zero if there is none.
func (s *scene) storedDeadline() time.Time {
	s.t.Helper()
	_, snapshot := s.stored()
	at, ok, err := devicegroup.StoredDeadline(s.config, snapshot.State, s.now)
	if err != nil || ok == at.IsZero() {
		s.t.Fatalf("stored deadline: %v, %v, %v", at, ok, err)
	}
	return at
}

func TestB34_PersistentSlotsStay(t *testing.T) {
	s := newScene(t)
	a := s.join("A")[0]
	a.ends()
	s.commit()
	if _, ok := s.group.Deadline(); ok || !s.storedDeadline().IsZero() {
		t.Error("a persistent slot has a deadline")
	}
	s.tick(10 * 365 * 24 * time.Hour)
	s.connect("A2")
	s.commit()
	if s.group.Slots() != 1 {
		t.Error("a persistent slot expired")
	}
}

func TestB34_MaximumAbsence(t *testing.T) {
	s := newScene(t, func(c *devicegroup.Config) { c.MaxAbsence = 24 * time.Hour })
	a, b := s.pair()
	s.tick(48 * time.Hour)
	b.ends()
	s.tick(24*time.Hour - time.Millisecond)
	if s.group.Slots() != 2 {
		t.Error("a slot expired too early")
	}
	s.tick(time.Millisecond)
	if s.group.Slots() != 1 {
		t.Error("a slot outlived the maximum absence")
	}
	a.receives()
}

func TestB34_WithTheLastSlotEverythingGoes(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.sends(d2m.SetSharedDeviceData{Data: []byte("shared")})
	a.reflects("hello")
	s.settle()
	b.drops("A")
	b.reflects("in the same step") // alone now
	b.drops("B")
	s.commit()
	a.receives("closed 4113")
	b.receives("DropDeviceAck A", "ReflectAck in the same step", "DropDeviceAck B", "closed 4113")
	s.isErased()
	groups := 0
	if err := s.store.Groups(func(d2m.GroupID, []byte) error { groups++; return nil }); err != nil || groups != 0 {
		t.Errorf("%d groups are stored, %v", groups, err)
	}

	// A new device starts afresh, in this process and in the next.
	for _, name := range []string{"C", "D"} {
		c := s.connect(name, isNew)
		s.commit()
		c.receives("ServerInfo NEW, 0 waiting", "ReflectionQueueDry", "RolePromotedToLeader")
		if got := c.devices(); got != name+" connected 0s" {
			t.Errorf("devices: %s", got)
		}
		c.drops(name)
		s.commit()
		s.isErased()
		s.crash()
	}
}

// The last slot goes while its messages are being stored, and a new device comes before that is over.
func TestB34_TheEndAndTheBeginningInOneCommit(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.sends(d2m.SetSharedDeviceData{Data: []byte("old")})
	a.reflects("old")
	s.seal(false)
	a.reflects("old, too")
	a.drops("B")
	a.drops("A")
	c := s.connect("C", isNew)
	c.sends(d2m.SetSharedDeviceData{Data: []byte("new")})
	s.answer(nil)
	s.commit()
	a.receives("ReflectAck old", "ReflectAck old, too", "DropDeviceAck B", "DropDeviceAck A", "closed 4113")
	b.receives("closed 4113")
	c.receives("ServerInfo NEW, 0 waiting", "ReflectionQueueDry", "RolePromotedToLeader")
	s.commitAll()
	if _, snapshot := s.stored(); len(snapshot.Messages) != 0 || len(snapshot.Blobs) != 2 {
		t.Errorf("stored: %d messages, %d blobs, want shared data and one device info", len(snapshot.Messages), len(snapshot.Blobs))
	}
	s.crash()
	s.connect("C2").receives("ServerInfo EXISTING, 0 waiting, shared new", "ReflectionQueueDry", "RolePromotedToLeader")
}
