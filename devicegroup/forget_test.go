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
