package devicegroup_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/reflect"
)

// withNumbersFrom makes next the number that is drawn next, in a group whose slots have nothing waiting.
func (s *scene) withNumbersFrom(next uint64) {
	s.t.Helper()
	s.commitAll()
	state, _ := s.stored()
	state.Bound = next
	for i := range state.Slots {
		state.Slots[i].First, state.Slots[i].Next = 1, next
	}
	b := &reflect.Batch{Group: sceneGroup, Epoch: s.group.Epoch(), State: state.Append(nil)}
	if err := s.store.Commit([]*reflect.Batch{b})[0]; err != nil {
		s.t.Fatal(err)
	}
	s.crash()
}

func TestB14_ToEveryOtherSlotInOneOrder(t *testing.T) {
	s := newScene(t)
	devices := s.join("A", "B", "C", "D")
	a, b, c, d := devices[0], devices[1], devices[2], devices[3]
	d.ends()
	a.reflects("1 of A")
	b.reflects("2 of B")
	a.reflects("3 of A")
	c.reflects("4 of C")
	s.commit()
	a.receives("ReflectAck 1 of A", "ReflectAck 3 of A", "Reflected 2 2 of B", "Reflected 4 4 of C")
	b.receives("ReflectAck 2 of B", "Reflected 1 1 of A", "Reflected 3 3 of A", "Reflected 4 4 of C")
	c.receives("ReflectAck 4 of C", "Reflected 1 1 of A", "Reflected 2 2 of B", "Reflected 3 3 of A")
	s.connect("D2").receives("ServerInfo EXISTING, 4 waiting",
		"Reflected 1 1 of A", "Reflected 2 2 of B", "Reflected 3 3 of A", "Reflected 4 4 of C", "ReflectionQueueDry")
}

func TestB14_NobodyGetsWhatItReflected(t *testing.T) {
	s := newScene(t)
	a, _ := s.pair()
	a.reflects("mine")
	s.settle()
	a.ends()
	s.connect("A2").receives("ServerInfo EXISTING, 0 waiting", "ReflectionQueueDry")
	s.crash()
	s.connect("A3").receives("ServerInfo EXISTING, 0 waiting", "ReflectionQueueDry", "RolePromotedToLeader")
}

func TestB14_WhoJoinsLaterGetsWhatComesLater(t *testing.T) {
	s := newScene(t)
	a, _ := s.pair()
	a.reflects("before")
	c := s.connect("C", isNew)
	a.reflects("after")
	s.commit()
	c.receives("ServerInfo NEW, 0 waiting", "Reflected 2 after", "ReflectionQueueDry")
}

func TestB14_AQueueThatCrosses32Bits(t *testing.T) {
	s := newScene(t)
	s.pair()
	s.withNumbersFrom(1<<32 - 2)
	a, b := s.connect("A2"), s.connect("B2")
	s.settle()
	a.reflects("p", "q", "r")
	a.reflectsEphemeral("typing")
	a.reflects("s", "t")
	s.commit()
	b.receives("Reflected 4294967294 p", "Reflected 4294967295 q", "Reflected 0 r",
		"Reflected 1 typing (ephemeral)", "Reflected 2 s", "Reflected 3 t")

	// Acks on both sides of the crossing, out of order, and redelivery with the same numbers.
	b.acks("r", "p", "typing", "s")
	s.commitAll()
	s.crash()
	again := s.connect("B3")
	again.receives("ServerInfo EXISTING, 2 waiting", "Reflected 4294967295 q", "Reflected 3 t",
		"ReflectionQueueDry", "RolePromotedToLeader")
	again.acks("t", "q")
	if s.waiting() != 0 {
		t.Errorf("%d messages wait", s.waiting())
	}
}

// An ack on one side of the crossing is not taken for one on the other.
func TestB14_AcksAroundTheCrossing(t *testing.T) {
	s := newScene(t)
	s.pair()
	s.withNumbersFrom(1 << 32)
	a, b := s.connect("A2"), s.connect("B2")
	s.settle()
	a.reflects("zero")
	s.settle()
	b.sends(d2m.ReflectedAck{ID: 1<<32 - 1})
	b.sends(d2m.ReflectedAck{ID: 1<<31 + 1}) // as far behind as can be
	b.receives()
	if s.waiting() != 1 {
		t.Fatal("the ack of an old number deleted a message")
	}
	b.acks("zero")
	if s.waiting() != 0 {
		t.Fatal("the ack of number 0 was not taken")
	}
	b.sends(d2m.ReflectedAck{ID: 1}) // never drawn
	b.receives("closed 4012")
}

func TestB14_NumbersAreNotReusedAfterEphemerals(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.reflectsEphemeral("typing", "typing on")
	s.commit()
	b.receives("Reflected 1 typing (ephemeral)", "Reflected 2 typing on (ephemeral)")
	s.crash()

	// The device acknowledges ephemerals, and does it on the next connection (d2m.md, in the wild, 15 and 16).
	a, again := s.connect("A2"), s.connect("B2")
	s.settle()
	a.reflects("stored")
	s.settle()
	again.sends(d2m.ReflectedAck{ID: b.given["typing"]})
	again.sends(d2m.ReflectedAck{ID: b.given["typing on"]})
	again.receives()
	if s.waiting() != 1 {
		t.Fatal("the ack of an old ephemeral deleted a stored message")
	}
	if again.given["stored"] <= b.given["typing on"] {
		t.Errorf("number %d after %d", again.given["stored"], b.given["typing on"])
	}
}

// Numbers shown before a crash are below all numbers drawn after it, wherever in the block of reserved ones it happens
// and whatever was being written at that moment.
func TestB14_NumbersAreReservedBeforeTheyShow(t *testing.T) {
	for _, count := range []int{1, 511, 512, 513, 1023, 1024, 1025, 1500} {
		for _, writing := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d numbers, while something lazy is written %v", count, writing), func(t *testing.T) {
				s := newScene(t)
				a, b := s.pair()
				a.reflects("hello")
				s.settle()
				for i := range count {
					if i == count/2 && writing {
						b.acks("hello")
						s.seal(true) // the store does not answer any more
					}
					a.reflectsEphemeral("typing")
					if s.flight == nil {
						s.commit()
					}
				}
				shown := slices.Max(numbers(b.takes()))
				s.crash()
				a, b = s.connect("A2"), s.connect("B2")
				s.settle()
				a.reflectsEphemeral("next")
				s.commit()
				if got := slices.Min(numbers(b.takes())); got <= shown {
					t.Errorf("number %d after a crash, %d had been shown", got, shown)
				}
			})
		}
	}
}

func numbers(all []received) (ids []d2m.ReflectedID) {
	for _, r := range of[d2m.Reflected](all) {
		ids = append(ids, r.ID)
	}
	return append(ids, 0)[:max(len(ids), 1)]
}

func TestB15_NoAckBeforeTheCommit(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.reflects("hello")
	a.receives()
	b.receives()
	s.seal(false)
	a.receives() // the store has it, but has not answered
	b.receives()
	a.reflects("not in this batch")
	s.answer(nil)
	a.receives("ReflectAck hello")
	b.receives("Reflected 1 hello")
	_, snapshot := s.stored()
	if len(snapshot.Messages) != 1 {
		t.Errorf("%d messages are stored, want 1", len(snapshot.Messages))
	}
	s.crash()
	s.connect("B2").receives("ServerInfo EXISTING, 1 waiting", "Reflected 1 hello", "ReflectionQueueDry", "RolePromotedToLeader")
}

func TestB15_NothingShowsWhenTheCommitFails(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{reflect.ErrUnavailable, "closed 1011"},
		{fmt.Errorf("disk on fire: %w", reflect.ErrUnavailable), "closed 1011"},
		{reflect.ErrFenced, "closed 1001"},
	} {
		s := newScene(t)
		a, b := s.pair()
		a.reflects("hello")
		a.reflectsEphemeral("typing")
		b.reflects("hello back")
		s.seal(true)
		s.group.Committed(s.now, s.flight, test.err)
		s.after()
		a.receives(test.want)
		b.receives(test.want)
	}
}

func TestB15_AcksInTheOrderOfTheReflects(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.reflects("one", "two")
	s.seal(false)
	a.reflects("three")
	b.reflects("other")
	a.reflects("four")
	s.answer(nil)
	s.commit()
	a.receives("ReflectAck one", "ReflectAck two", "ReflectAck three", "ReflectAck four", "Reflected 4 other")
}

func TestB15_TheAckHasTheStoredTimestamp(t *testing.T) {
	s := newScene(t)
	devices := s.join("A", "B", "C")
	a, b, c := devices[0], devices[1], devices[2]
	c.ends()
	a.reflects("hello")
	accepted := uint64(s.now.UnixMilli())
	s.pass(3 * time.Second) // the disk is slow
	s.commit()
	acked := of[d2m.ReflectAck](a.takes())[0].Timestamp
	seen := of[d2m.Reflected](b.takes())[0].Timestamp
	s.pass(time.Hour)
	s.crash()
	later := of[d2m.Reflected](s.connect("C2").takes())[0].Timestamp
	if acked != accepted || seen != acked || later != acked {
		t.Errorf("accepted at %d, acked with %d, seen with %d, and %d after a crash", accepted, acked, seen, later)
	}
}

func TestB15_TimestampsDoNotGoBackWithTheClock(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.reflects("one")
	s.pass(-time.Hour)
	b.reflects("two")
	s.pass(2 * time.Hour)
	a.reflects("three")
	s.pass(-time.Hour)
	a.reflectsEphemeral("typing")
	a.reflects("four")
	s.commit()
	stamps := []uint64{
		of[d2m.ReflectAck](b.takes())[0].Timestamp,
	}
	for _, ack := range of[d2m.ReflectAck](a.takes()) {
		stamps = append(stamps, ack.Timestamp)
	}
	noonMilli, hour := uint64(noon.UnixMilli()), uint64(time.Hour.Milliseconds())
	want := []uint64{noonMilli, noonMilli, noonMilli + hour, noonMilli + hour}
	if !slices.Equal(stamps, want) {
		t.Errorf("timestamps %d, want %d", stamps, want)
	}
}

func TestB15_TimestampsDoNotGoBackAcrossARestart(t *testing.T) {
	for _, test := range []struct {
		name string
		last func(s *scene, a, b *device) // the last thing that had a timestamp
	}{
		{"a message that waits", func(s *scene, a, b *device) {
			a.reflects("hello")
			s.settle()
		}},
		{"an empty queue", func(s *scene, a, b *device) {
			a.reflects("hello")
			s.settle()
			b.acks("hello")
			s.commitAll()
			if _, snapshot := s.stored(); len(snapshot.Messages) != 0 {
				s.t.Error("the queue is not empty")
			}
		}},
		{"alone in the group", func(s *scene, a, b *device) {
			a.drops("B")
			s.settle()
			s.commitAll()
			s.pass(time.Minute)
			a.reflects("to nobody")
			a.receives("ReflectAck to nobody")
			s.commitAll()
		}},
		{"an ephemeral", func(s *scene, a, b *device) {
			a.reflectsEphemeral("first") // reserves numbers
			s.settle()
			s.commitAll()
			s.pass(time.Minute)
			a.reflectsEphemeral("typing")
			s.settle()
			s.commitAll()
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t)
			a, b := s.pair()
			s.pass(time.Minute)
			test.last(s, a, b)
			last := uint64(s.now.UnixMilli())
			s.pass(-time.Hour)
			s.crash()
			a = s.connect("A2")
			s.settle()
			a.reflects("after")
			s.commit()
			if got := of[d2m.ReflectAck](a.takes())[0].Timestamp; got < last {
				t.Errorf("timestamp %d ms before the last one", last-got)
			}
		})
	}
}
