package devicegroup_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
	"openmediator/reflect"
)

func TestB16_AloneInTheGroup(t *testing.T) {
	s := newScene(t)
	a := s.join("A")[0]
	s.commitAll()
	a.reflects("to nobody", "still nobody")
	if s.group.Needs() == devicegroup.NeedNow {
		t.Error("something has to be stored at once")
	}
	a.receives("ReflectAck to nobody", "ReflectAck still nobody")
	s.commitAll()
	if _, snapshot := s.stored(); len(snapshot.Messages) != 0 || s.waiting() != 0 {
		t.Error("a message was stored for nobody")
	}
	b := s.connect("B", isNew)
	s.commit()
	b.receives("ServerInfo NEW, 0 waiting", "ReflectionQueueDry")
}

// The slot itself must be on disk before anything is acked to its device.
func TestB16_AloneButNotYetRegistered(t *testing.T) {
	s := newScene(t)
	a := s.connect("A", isNew)
	a.reflects("early")
	a.receives()
	s.commit()
	a.receives("ServerInfo NEW, 0 waiting", "ReflectAck early", "ReflectionQueueDry", "RolePromotedToLeader")
}

func TestB16_NotAloneWithAnAbsentDevice(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	b.ends()
	a.reflects("for later")
	a.receives()
	s.commit()
	a.receives("ReflectAck for later")
	s.connect("B2").receives("ServerInfo EXISTING, 1 waiting", "Reflected 1 for later", "ReflectionQueueDry")
}

func TestB17_StoredOnceAndDeletedWithTheLastAck(t *testing.T) {
	s := newScene(t)
	devices := s.join("A", "B", "C", "D")
	devices[0].reflects("hello")
	s.settle()
	for i, d := range devices[1:] {
		s.commitAll()
		if _, snapshot := s.stored(); len(snapshot.Messages) != 1 {
			t.Fatalf("%d copies are stored before ack %d", len(snapshot.Messages), i+1)
		}
		d.acks("hello")
	}
	if s.waiting() != 0 {
		t.Error("the message waits for nobody")
	}
	s.commitAll()
	if _, snapshot := s.stored(); len(snapshot.Messages) != 0 {
		t.Error("what all have acknowledged is still stored")
	}
}

// A message is stored with others; it stays until nobody waits for any of them, and then all go.
func TestB17_StoredTogetherAndDeletedTogether(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.reflects("one", "two", "three")
	s.settle()
	b.acks("two", "three")
	s.commitAll()
	s.crash()
	b = s.connect("B2")
	b.receives("ServerInfo EXISTING, 1 waiting", "Reflected 1 one", "ReflectionQueueDry", "RolePromotedToLeader")
	b.acks("one")
	s.commitAll()
	if _, snapshot := s.stored(); len(snapshot.Messages) != 0 {
		t.Error("what all have acknowledged is still stored")
	}
}

func TestB17_DeletedWithTheSlotThatWaited(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	s.join("C")
	a.reflects("hello")
	s.settle()
	b.acks("hello")
	a.drops("C")
	s.commitAll()
	if _, snapshot := s.stored(); len(snapshot.Messages) != 0 {
		t.Error("a message waits for a slot that is gone")
	}
}

// What is found after a crash, and nobody waits for, goes at once: nobody might ever come to this group again.
func TestB17_WhatACrashHasLeftIsDeleted(t *testing.T) {
	s := newScene(t)
	a, _ := s.pair()
	left := reflect.NewChunk(sceneGroup, 0)
	left.Append(reflect.Message{Place: 0, Sender: a.id, Envelope: []byte("acknowledged long ago")})
	if err := s.store.Commit([]*reflect.Batch{{Group: sceneGroup, Epoch: s.group.Epoch(), Chunk: left.Data}})[0]; err != nil {
		t.Fatal(err)
	}
	s.crash()
	s.commit()
	if _, snapshot := s.stored(); len(snapshot.Messages) != 0 {
		t.Error("a message for which nobody waits is still stored")
	}
}

func TestB17_AcksAreLazy(t *testing.T) {
	for _, test := range []struct {
		name  string
		after func(s *scene, b *device)
		want  []string
	}{
		{"nothing", func(s *scene, b *device) {}, []string{"ServerInfo EXISTING, 2 waiting", "Reflected 1 one", "Reflected 2 two"}},
		{"a commit at once", func(s *scene, b *device) {
			b.reflects("other")
			s.commit()
		}, []string{"ServerInfo EXISTING, 2 waiting", "Reflected 1 one", "Reflected 2 two"}},
		{"a commit that is due anyway after half a second", func(s *scene, b *device) {
			s.pass(500 * time.Millisecond)
			b.reflects("other")
			s.commit()
		}, []string{"ServerInfo EXISTING, 1 waiting", "Reflected 2 two"}},
		{"the commit for what is lazy", func(s *scene, b *device) { s.commitAll() },
			[]string{"ServerInfo EXISTING, 1 waiting", "Reflected 2 two"}},
		{"the connection's end", func(s *scene, b *device) {
			b.ends()
			s.commit()
		}, []string{"ServerInfo EXISTING, 1 waiting", "Reflected 2 two"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t)
			a, b := s.pair()
			a.reflects("one", "two")
			s.settle()
			s.commitAll()
			b.acks("one")
			if got := s.group.Needs(); got != devicegroup.NeedLater {
				t.Errorf("an ack needs to be stored: %v, want %v", got, devicegroup.NeedLater)
			}
			test.after(s, b)
			s.crash()
			s.connect("B2").receives(append(test.want, "ReflectionQueueDry", "RolePromotedToLeader")...)
		})
	}
}

func TestB18_DeliveredAgainWithTheSameNumberAndTime(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	for _, text := range []string{"one", "two", "three", "four"} {
		a.reflects(text)
		s.commit()
		s.pass(time.Second)
	}
	first := of[d2m.Reflected](b.takes())
	b.acks("two")
	b.ends()
	again := of[d2m.Reflected](s.connect("B2").takes())
	s.commitAll()
	s.pass(time.Hour)
	s.crash()
	afterCrash := of[d2m.Reflected](s.connect("B3").takes())
	want := fmt.Sprint(slices.Delete(first, 1, 2))
	if fmt.Sprint(again) != want || fmt.Sprint(afterCrash) != want {
		t.Errorf("delivered again: %v, after a crash %v, want %s", again, afterCrash, want)
	}
}

func TestB18_HandedOutButNeverRead(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.reflects("one")
	s.commit()
	b.flush() // into a socket that is dead
	b.ends()
	s.connect("B2").receives("ServerInfo EXISTING, 1 waiting", "Reflected 1 one", "ReflectionQueueDry")
}

func TestB19_AcksInAnyOrder(t *testing.T) {
	for _, order := range [][]string{
		{"1", "2", "3", "4"}, {"4", "3", "2", "1"}, {"2", "4", "1", "3"}, {"3", "1", "4", "2"},
	} {
		s := newScene(t)
		a, b := s.pair()
		a.reflects("1", "2", "3", "4")
		s.settle()
		for i, text := range order {
			b.acks(text)
			if s.waiting() != 3-i {
				t.Errorf("%v: %d messages wait after %d acks", order, s.waiting(), i+1)
			}
			s.commitAll()
			left := slices.Sorted(slices.Values(order[i+1:]))
			var stored []string
			for _, r := range of[d2m.Reflected](s.afterCrash().connect("B2").takes()) {
				stored = append(stored, string(r.Envelope))
			}
			if !slices.Equal(stored, left) {
				t.Errorf("%v: after %d acks and a crash %v wait, want %v", order, i+1, stored, left)
			}
		}
	}
}

// afterCrash is the group as a server would find it that started now. s goes on.
func (s *scene) afterCrash() *scene {
	other := &scene{t: s.t, config: s.config, store: s.store.Clone(), now: s.now}
	other.claim()
	return other
}

func TestB19_AcksThatAreIgnored(t *testing.T) {
	for _, test := range []struct {
		name string
		ack  func(b *device)
	}{
		{"of what is acked already", func(b *device) { b.acks("one") }},
		{"of an ephemeral", func(b *device) { b.acks("typing") }},
		{"of what was not delivered on this connection", func(b *device) { b.sends(d2m.ReflectedAck{ID: 5}) }},
		{"of a number below all that were drawn", func(b *device) { b.sends(d2m.ReflectedAck{ID: 0}) }},
		{"of a number far below", func(b *device) { b.sends(d2m.ReflectedAck{ID: 1<<31 + 6}) }},
		{"of its own message", func(b *device) { b.sends(d2m.ReflectedAck{ID: 4}) }},
		{"with reserved bytes that are not zero", func(b *device) {
			b.sendsBytes([]byte{byte(d2m.TypeReflectedAck), 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t)
			a, b := s.pair()
			s.join("C")
			a.reflects("one")
			a.reflectsEphemeral("typing")
			a.reflects("two")
			b.reflects("own")
			s.settle()
			b.acks("one")
			a.reflects("unread") // number 5
			s.commit()
			test.ack(b)
			s.commitAll()
			b.receives("Reflected 5 unread")
			if state, _ := s.stored(); s.waiting() != 4 || !slices.Equal(state.Slots[1].Gaps, nil) || state.Slots[1].Next != 2 {
				t.Errorf("%d messages wait, slot %+v", s.waiting(), state.Slots[1])
			}
		})
	}
}

func TestB19_AnAckOnTheNextConnectionBeforeRedelivery(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.reflects("one", "two")
	s.settle()
	b.ends()
	again := s.connect("B2")
	again.sends(d2m.ReflectedAck{ID: b.given["one"]})
	again.receives("ServerInfo EXISTING, 2 waiting", "Reflected 1 one", "Reflected 2 two", "ReflectionQueueDry")
	again.acks("one", "two")
	if s.waiting() != 0 {
		t.Errorf("%d messages wait", s.waiting())
	}
}

func TestB19_ANumberThatWasNeverDrawn(t *testing.T) {
	for _, ahead := range []d2m.ReflectedID{1, 2, 1000, 1<<31 - 1} {
		s := newScene(t)
		a, b := s.pair()
		a.reflects("one")
		s.settle()
		b.sends(d2m.ReflectedAck{ID: 1 + ahead})
		b.receives("closed 4012")
		a.reflects("two")
		s.commit()
		a.receives("ReflectAck two")
		if s.waiting() != 2 {
			t.Errorf("%d ahead: %d messages wait, want 2", ahead, s.waiting())
		}
	}
}

// When all have left, the group may be given up: whoever claims it then still knows which numbers were never drawn.
func TestB19_ANumberThatWasNeverDrawnThoughAllHadLeft(t *testing.T) {
	for _, ahead := range []d2m.ReflectedID{0, 1, 2, 1000} {
		s := newScene(t)
		a, b := s.pair()
		b.ends()
		a.reflects("one")
		s.settle()
		a.ends()
		s.commitAll()
		s.claim()
		b = s.connect("B2")
		s.settle()
		b.sends(d2m.ReflectedAck{ID: 1 + ahead})
		if ahead == 0 {
			s.commitAll()
			if s.waiting() != 0 {
				t.Error("the message that was acknowledged still waits")
			}
			continue
		}
		b.receives("closed 4012")
	}
}

// One message is left alone while a great many others come and are acknowledged: neither memory nor disk holds them.
func TestB19_ManyAcksAboveOneThatIsMissing(t *testing.T) {
	const rounds, each = 100, 1000
	s := newScene(t)
	a, b := s.pair()
	a.reflects("left alone")
	s.settle()
	message := d2m.Reflect{Envelope: []byte("x")}.Append(nil)
	for round := range rounds {
		for range each {
			s.group.Receive(s.now, a.conn, message)
		}
		s.seal(false)
		s.answer(nil)
		a.takes()
		b.takes()
		for i := range each {
			s.group.Receive(s.now, b.conn, d2m.ReflectedAck{ID: d2m.ReflectedID(2 + round*each + i)}.Append(nil))
		}
		s.pass(time.Second)
	}
	s.commitAll()
	state, snapshot := s.stored()
	if s.waiting() != 1 || len(snapshot.Messages) != 1 || len(snapshot.State) > 100 {
		t.Errorf("%d messages wait, %d are stored, the state has %d bytes", s.waiting(), len(snapshot.Messages), len(snapshot.State))
	}
	if want := []uint64{1}; !slices.Equal(state.Slots[1].Gaps, want) {
		t.Errorf("gaps %v, want %v", state.Slots[1].Gaps, want)
	}
	s.crash()
	s.connect("B2").receives("ServerInfo EXISTING, 1 waiting", "Reflected 1 left alone", "ReflectionQueueDry", "RolePromotedToLeader")
}

func TestB23_TheSameReflectIDTwice(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	for _, text := range []string{"one", "two"} {
		a.sent[7] = "seven"
		a.sends(d2m.Reflect{ID: 7, Envelope: []byte(text)})
	}
	s.commit()
	a.receives("ReflectAck seven", "ReflectAck seven")
	b.receives("Reflected 1 one", "Reflected 2 two")
}

func TestB23_AnyReflectIDIsEchoed(t *testing.T) {
	s := newScene(t)
	a, _ := s.pair()
	ids := []d2m.ReflectID{1<<32 - 1, 0, 0x80000000, 1}
	for _, id := range ids {
		a.sends(d2m.Reflect{ID: id})
	}
	s.commit()
	for i, ack := range of[d2m.ReflectAck](a.takes()) {
		if ack.ID != ids[i] {
			t.Errorf("ack %d is for %d, want %d", i, ack.ID, ids[i])
		}
	}
}
