package devicegroup_test

import (
	"testing"

	"openmediator/d2m"
)

func (s *scene) leads(want string) {
	s.t.Helper()
	if got := s.leader(); got != want {
		s.t.Fatalf("%q leads, want %q", got, want)
	}
}

func TestB12_TheFirstToRunDryLeads(t *testing.T) {
	s := newScene(t)
	a := s.connect("A", isNew)
	b := s.connect("B", isNew)
	s.commit()
	s.leads("") // both are connected, neither is dry
	b.receives("ServerInfo NEW, 0 waiting", "ReflectionQueueDry", "RolePromotedToLeader")
	s.leads("B")
	a.receives("ServerInfo NEW, 0 waiting", "ReflectionQueueDry")
	s.leads("B")
}

func TestB12_TheLongestDryFollows(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(a, b *device)
	}{
		{"the leader goes", func(a, b *device) { a.ends() }},
		{"it is dropped", func(a, b *device) { b.drops("A") }},
		{"it drops itself", func(a, b *device) { a.drops("A") }},
		{"it breaks the protocol", func(a, b *device) { a.sendsBytes(nil) }},
		{"it comes again", func(a, b *device) { a.s.connect("A2") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t)
			devices := s.join("A", "C", "B") // C has been dry for longer than B
			s.leads("A")
			test.end(devices[0], devices[2])
			s.leads("C")
			s.commit()
			devices[1].receives("RolePromotedToLeader")
			for _, message := range of[d2m.RolePromotedToLeader](devices[2].takes()) {
				t.Errorf("B gets %v, too", message.Type())
			}
		})
	}
}

func TestB12_WhoIsNotDryDoesNotFollow(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	b.ends()
	a.reflects("waits")
	s.settle()
	again := s.connect("B2")
	a.ends()
	s.leads("")
	again.receives("ServerInfo EXISTING, 1 waiting", "Reflected 1 waits", "ReflectionQueueDry", "RolePromotedToLeader")
	s.leads("B2")
}

func TestB12_TheEndOfAnotherChangesNothing(t *testing.T) {
	s := newScene(t)
	devices := s.join("A", "B", "C")
	devices[1].ends()
	s.leads("A")
	devices[0].receives()
	devices[2].receives()
	devices[0].ends()
	s.leads("C")
}

func TestB12_LeadershipIsNotRemembered(t *testing.T) {
	s := newScene(t)
	s.pair()
	s.commitAll()
	s.crash()
	s.leads("")
	s.connect("B2").receives("ServerInfo EXISTING, 0 waiting", "ReflectionQueueDry", "RolePromotedToLeader")
	s.connect("A2").receives("ServerInfo EXISTING, 0 waiting", "ReflectionQueueDry")
}

func TestB13_TheLeaderIsProbedWhenAnotherWaits(t *testing.T) {
	s := newScene(t)
	probed := func(want string) {
		t.Helper()
		got := ""
		if c := s.group.Probe(); c != nil {
			got = c.Handle.(*device).name
		}
		if got != want {
			t.Fatalf("%q is to be looked at, want %q", got, want)
		}
		if s.group.Probe() != nil {
			t.Fatal("a probe was asked for twice")
		}
	}
	gone, _ := s.pair()
	gone.ends() // before anybody has looked
	probed("")
	s.group.Fail(errNoDisk)
	s.claim()

	a := s.connect("A2")
	s.settle()
	probed("")
	b := s.connect("B2")
	s.commit()
	probed("") // B is connected, but not dry: it could not lead
	if s.group.Contested() {
		t.Error("contested by a device that is not dry")
	}
	b.receives("ServerInfo EXISTING, 0 waiting", "ReflectionQueueDry")
	probed("A2")
	if !s.group.Contested() {
		t.Error("not contested, though B waits to lead")
	}
	s.join("C")
	s.group.Probe()
	a.ends()
	probed("B2") // for C waits
	b.ends()
	probed("")
	s.leads("C")
	if s.group.Contested() {
		t.Error("contested by nobody")
	}
}
