package devicegroup_test

import (
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
)

// A group is forgotten while one device is away and another holds the lock: the connected ones are closed when it is durable,
// and nothing is left.
func TestB34_Forget(t *testing.T) {
	s := newScene(t)
	devices := s.join("A", "B", "C")
	a, b, c := devices[0], devices[1], devices[2]
	c.ends()
	a.reflects("for B and C")
	s.settle()
	b.sends(d2m.BeginTransaction{})
	s.settle()
	a.reflects("deferred")
	b.reflects("staged")
	s.settle()
	if connected, last := s.group.Presence(); connected != 2 || last.Before(noon) || last.After(s.now) {
		t.Errorf("%d connected, the last one at %v", connected, last)
	}
	s.group.Forget(s.now, devicegroup.Close{Code: d2m.CloseDropped, Reason: "forgotten"})
	s.after()
	a.receives()
	s.commitAll()
	a.receives("closed 4113")
	b.receives("closed 4113")
	s.isErased()
	if connected, last := s.group.Presence(); connected != 0 || !last.IsZero() {
		t.Errorf("%d connected, the last one at %v", connected, last)
	}
	s.crash()
	s.connect("A2").receives("closed 4115")
	again := s.connect("A", isNew)
	s.commitAll()
	again.receives("ServerInfo NEW, 0 waiting", "ReflectionQueueDry", "RolePromotedToLeader")
	s.tick(time.Hour)
}

// One slot is dropped without another device having asked for it: the holder of the lock, who loses it (B28).
func TestB32_DropFromOutside(t *testing.T) {
	s := newScene(t)
	devices := s.join("A", "B")
	a, b := devices[0], devices[1]
	b.sends(d2m.BeginTransaction{})
	s.settle()
	if !s.group.Locked() {
		t.Error("no transaction is under way")
	}
	members := s.group.Members()
	if len(members) != 2 || !members[0].Leads || members[1].Leads || !members[1].Connected {
		t.Errorf("members: %+v", members)
	}
	why := devicegroup.Close{Code: d2m.CloseDropped, Reason: "dropped"}
	if s.group.Drop(s.now, 12345, why) || !s.group.Drop(s.now, members[1].Device, why) || s.group.Locked() {
		t.Error("not this slot was dropped, or it kept the lock")
	}
	if s.group.Durable() >= s.group.Mark() {
		t.Error("said to be durable before the commit")
	}
	s.after()
	b.receives()
	s.commitAll()
	b.receives("closed 4113")
	a.receives("TransactionEnded, B held the lock for ")
	if s.group.Durable() < s.group.Mark() || s.group.Slots() != 1 {
		t.Error("not durable after the commit")
	}
	s.connect("B").receives("closed 4115")
}
