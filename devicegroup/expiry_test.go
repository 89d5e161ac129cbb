package devicegroup_test

import (
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
)

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

func TestB34_TheNextDeadline(t *testing.T) {
	s := newScene(t)
	var devices []*device
	for _, name := range []string{"A", "B", "C"} {
		devices = append(devices, s.connect(name, isNew, isVolatile))
	}
	s.settle()
	for _, i := range []int{1, 0, 2} { // B leaves first
		devices[i].ends()
		s.pass(time.Minute)
	}
	for left := 2; left >= 0; left-- {
		at, _ := s.group.Deadline()
		if want := noon.Add(time.Duration(12-left) * time.Minute); !at.Equal(want) {
			t.Errorf("deadline %v, want %v", at, want)
		}
		s.tick(at.Sub(s.now))
		if s.group.Slots() != left {
			t.Errorf("%d slots, want %d", s.group.Slots(), left)
		}
	}
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
