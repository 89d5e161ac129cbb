package devicegroup_test

import (
	"testing"

	"openmediator/d2m"
)

func TestB20_EphemeralsHaveAPlaceInTheOrder(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.reflects("one")
	a.reflectsEphemeral("typing")
	a.reflects("two")
	a.reflectsEphemeral("typing on")
	s.commit()
	a.receives("ReflectAck one", "ReflectAck two") // and none for an ephemeral
	b.receives("Reflected 1 one", "Reflected 2 typing (ephemeral)", "Reflected 3 two", "Reflected 4 typing on (ephemeral)")
}

// Its place holds for a device that is still behind, too: before ReflectionQueueDry, after what is older.
func TestB20_EphemeralsForADeviceThatIsBehind(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	b.ends()
	a.reflects("one")
	s.settle()
	again := s.connect("B2")
	a.reflectsEphemeral("typing")
	a.reflects("two")
	s.commit()
	again.receives("ServerInfo EXISTING, 1 waiting", "Reflected 1 one", "Reflected 2 typing (ephemeral)", "Reflected 3 two",
		"ReflectionQueueDry")
}

func TestB20_OnlyForWhoIsConnected(t *testing.T) {
	s := newScene(t)
	devices := s.join("A", "B", "C")
	devices[2].ends()
	devices[0].reflectsEphemeral("typing")
	late := s.connect("C2")
	s.commit()
	devices[1].receives("Reflected 1 typing (ephemeral)")
	late.receives("ServerInfo EXISTING, 0 waiting", "ReflectionQueueDry")
	devices[0].receives()
}

func TestB20_LostForADeviceThatGoesBeforeItsTurn(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.reflectsEphemeral("typing")
	s.commit()
	b.ends()
	s.connect("B2").receives("ServerInfo EXISTING, 0 waiting", "ReflectionQueueDry")
}

func TestB20_NeverOnDisk(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.reflectsEphemeral("typing")
	s.commit()
	s.commitAll()
	b.receives("Reflected 1 typing (ephemeral)")
	if _, snapshot := s.stored(); len(snapshot.Messages) != 0 || s.waiting() != 0 {
		t.Error("an ephemeral is stored")
	}
}

// Once numbers are reserved, an ephemeral waits for no disk.
func TestB20_WaitsForNoCommit(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.reflectsEphemeral("first")
	s.settle()
	a.reflectsEphemeral("typing")
	if messages, _ := b.flush(); len(messages) != 1 {
		t.Errorf("B gets %v before any commit, want one message", messages)
	}
}

func TestB20_OtherFlagsAreIgnored(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.sends(d2m.Reflect{Flags: 0xfffe, ID: 1, Envelope: []byte("stored")})
	a.sends(d2m.Reflect{Flags: 0xffff, ID: 2, Envelope: []byte("ephemeral")})
	s.commit()
	if acks := of[d2m.ReflectAck](a.takes()); len(acks) != 1 || acks[0].ID != 1 {
		t.Errorf("acks %v, want one for 1", acks)
	}
	for i, r := range of[d2m.Reflected](b.takes()) {
		if want := uint16(i) * d2m.FlagEphemeral; r.Flags != want {
			t.Errorf("Reflected %q has flags %#x, want %#x", r.Envelope, r.Flags, want)
		}
	}
}
