package devicegroup_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
	"openmediator/transactions"
)

func staged(bytes int) func(*devicegroup.Config) {
	return func(c *devicegroup.Config) { c.StagedBytes = bytes }
}

// reflectsSize reflects an envelope of zeros.
func (d *device) reflectsSize(flags uint16, size int) {
	d.sends(d2m.Reflect{Flags: flags, Envelope: make([]byte, size)})
}

func TestB26_TheHoldersMessagesAreAckedAtOnceAndReachNobody(t *testing.T) {
	s := newScene(t)
	a, b, c := s.trio()
	c.ends()
	s.commitAll()
	a.begins("contact")
	a.reflects("one")
	s.pass(time.Second)
	frame := d2m.Reflect{ID: 77, Envelope: []byte("two")}.Append(nil)
	a.sendsBytes(frame)
	clear(frame) // what is staged is the lock's own
	if s.commit() != 0 {
		t.Error("something is stored before the commit")
	}
	acks := of[d2m.ReflectAck](a.takes())
	if len(acks) != 2 || acks[0].Timestamp != uint64(noon.UnixMilli()) || acks[1].Timestamp != uint64(s.now.UnixMilli()) {
		t.Fatalf("acks %v", acks)
	}
	again, d := s.connect("C2"), s.connect("D", isNew)
	s.commitAll()
	b.receives()
	again.receives("ServerInfo EXISTING, 0 waiting", "ReflectionQueueDry")
	d.receives("ServerInfo NEW, 0 waiting", "ReflectionQueueDry")
	if s.waiting() != 0 || s.group.Staged() != 3+3+2*transactions.StagedOverhead {
		t.Errorf("%d messages wait, %d bytes are staged", s.waiting(), s.group.Staged())
	}

	s.pass(time.Minute)
	a.commits()
	s.commit()
	for _, other := range []*device{b, again, d} { // the device that came under the lock included
		got := of[d2m.Reflected](other.takes())
		if len(got) != 2 || string(got[1].Envelope) != "two" || got[0].Timestamp != acks[0].Timestamp || got[1].Timestamp != acks[1].Timestamp {
			t.Errorf("%s gets %v, want both messages with the times of their acks", other.name, got)
		}
	}
}

func TestB26_OthersAreStoredAndAckedButDeferred(t *testing.T) {
	s := newScene(t)
	a, b, c := s.trio()
	a.begins("contact")
	s.pass(time.Second)
	b.reflects("from b")
	accepted := uint64(s.now.UnixMilli())
	b.receives() // not acked before it is on disk
	s.commit()
	if acks := of[d2m.ReflectAck](b.takes()); len(acks) != 1 || acks[0].Timestamp != accepted {
		t.Errorf("acks %v, want one at %d", acks, accepted)
	}
	if _, snapshot := s.stored(); len(snapshot.Messages) != 1 {
		t.Errorf("%d messages are stored, want 1", len(snapshot.Messages))
	}
	a.receives("BeginTransactionAck")
	c.receives()
	s.pass(time.Minute)
	a.commits()
	s.commit()
	for _, d := range []*device{a, c} {
		if got := of[d2m.Reflected](d.takes()); len(got) != 1 || got[0].Timestamp != accepted {
			t.Errorf("%s gets %v, want one of %d", d.name, got, accepted)
		}
	}
	b.receives("TransactionEnded, A held the lock for contact") // and not its own message
}

// Deferred messages are in nobody's queue: they are neither counted nor waited for. At the end they go to the slots there
// are then.
func TestB26_DeferredMessagesAreInNoQueue(t *testing.T) {
	s := newScene(t)
	a, b, c := s.trio()
	c.ends()
	a.begins("contact")
	b.reflects("1", "2")
	s.settle()
	if s.waiting() != 0 {
		t.Errorf("%d messages wait", s.waiting())
	}
	again, d := s.connect("C2"), s.connect("D", isNew)
	a.drops("B") // that it has gone changes nothing for what it has sent
	s.commit()
	again.receives("ServerInfo EXISTING, 0 waiting", "ReflectionQueueDry")
	d.receives("ServerInfo NEW, 0 waiting", "ReflectionQueueDry")
	a.drops("C")
	s.commit()
	again.receives("closed 4113")
	a.commits()
	s.commit()
	d.receives("TransactionEnded, A held the lock for contact", "Reflected 1 1", "Reflected 2 2")
	a.receives("DropDeviceAck B", "DropDeviceAck C", "CommitTransactionAck", "Reflected 1 1", "Reflected 2 2")
}

func TestB26_NothingElseWaitsForTheLock(t *testing.T) {
	s := newScene(t)
	a, b, c := s.trio()
	a.reflects("before")
	s.settle()
	a.begins("contact")
	a.takes()
	b.acks("before")
	c.acks("before")
	b.sends(d2m.SetSharedDeviceData{Data: []byte("shared")})
	b.sends(d2m.GetDevicesInfo{})
	b.drops("Z")
	s.commitAll()
	b.receives("DevicesInfo", "DropDeviceAck Z")
	if _, snapshot := s.stored(); len(snapshot.Messages) != 0 {
		t.Error("acks do not count while the lock is held")
	}
	s.connect("D", isNew)
	for range 1000 {
		a.reflectsSize(0, 100)
		b.reflectsSize(d2m.FlagEphemeral, 1000)
		s.settle()
		if a.conn.Blocked() || b.conn.Blocked() {
			t.Fatal("a connection is not read because of the lock")
		}
	}
	if s.leader() != "A" {
		t.Errorf("leader: %s", s.leader())
	}
}

func TestB26_WhatIsStagedIsBounded(t *testing.T) {
	const limit = 70_000
	for _, flags := range []uint16{0, d2m.FlagEphemeral} {
		for excess := range 2 {
			t.Run(fmt.Sprintf("flags %d, excess %d", flags, excess), func(t *testing.T) {
				s := newScene(t, staged(limit))
				a, b := s.pair()
				a.begins("contact")
				b.reflects("deferred")
				s.commit()
				a.reflectsSize(flags, 60_000)
				a.reflectsSize(flags, limit-60_000-2*64+excess)
				if excess == 0 {
					a.commits()
					s.commit()
					if got := of[d2m.Reflected](b.takes()); len(got) != 2 {
						t.Errorf("B gets %d messages, want 2", len(got))
					}
					return
				}
				s.commit()
				if all := a.takes(); len(all) == 0 || all[len(all)-1].end == nil || all[len(all)-1].end.Code != 4010 {
					t.Error("the holder is not closed with 4010")
				}
				b.receives("ReflectAck deferred", "TransactionEnded, A held the lock for contact", "RolePromotedToLeader")
				if s.noticed(devicegroup.StagedLimit) != 1 || s.group.Staged() != 0 {
					t.Errorf("noticed %d times, %d bytes staged", s.noticed(devicegroup.StagedLimit), s.group.Staged())
				}
			})
		}
	}
}

func TestB26_AllGroupsTogether(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.begins("contact")
	a.reflects("one")
	s.group.SetCrowded(true)
	b.reflects("ordinary ones are not staged")
	a.reflects("two")
	s.commit()
	a.receives("ReflectAck one", "closed 4010")
	b.receives("ReflectAck ordinary ones are not staged", "TransactionEnded, A held the lock for contact", "RolePromotedToLeader")
	s.group.SetCrowded(false)
	b.begins("contact")
	b.reflects("fits")
	b.receives("ReflectAck fits", "BeginTransactionAck")
}

// Ephemerals of others wait in memory, the last 64 KiB, and go to those who are connected when the lock ends, in the order
// of arrival among what is deferred.
func TestB26_EphemeralsOfOthersWait(t *testing.T) {
	s := newScene(t)
	a, b, c := s.trio()
	a.begins("contact")
	b.reflectsEphemeral("lost", text(1, 32<<10))
	b.reflects("deferred")
	frame := d2m.Reflect{Flags: d2m.FlagEphemeral, Envelope: []byte(text(2, 32<<10))}.Append(nil)
	b.sendsBytes(frame)
	clear(frame)
	s.commit()
	if s.noticed(devicegroup.EphemeralsLost) != 1 {
		t.Errorf("noticed %d times that ephemerals are lost", s.noticed(devicegroup.EphemeralsLost))
	}
	c.ends()
	again := s.connect("C2")
	b.ends()
	a.commits()
	s.commit()
	ended := "TransactionEnded, A held the lock for contact"
	again.receives("ServerInfo EXISTING, 0 waiting", ended, "Reflected 2 "+text(1, 32<<10)+" (ephemeral)", "Reflected 3 deferred",
		"Reflected 4 "+text(2, 32<<10)+" (ephemeral)", "ReflectionQueueDry")
	s.connect("B2").receives("ServerInfo EXISTING, 0 waiting", "ReflectionQueueDry")
}

func TestB26_EmptyEphemeralsAreBoundedToo(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.begins("contact")
	for range 5000 {
		b.reflectsSize(d2m.FlagEphemeral, 0)
	}
	a.commits()
	s.commit()
	if got := len(of[d2m.Reflected](a.takes())); got != 4096 {
		t.Errorf("%d empty ephemerals were kept, want 4096", got)
	}
}

func TestB26_AfterACrashTheDeferredGoOutOnce(t *testing.T) {
	s := newScene(t)
	a, b, _ := s.trio()
	a.begins("contact")
	a.reflects("never seen")
	b.reflects("1")
	s.commit()
	b.reflectsEphemeral("typing")
	b.reflects("2")
	s.commit()
	b.reflects("not acked")
	s.seal(false)
	s.crash()
	again := s.connect("C2")
	again.receives() // their numbers are not stored yet
	s.commit()
	again.receives("ServerInfo EXISTING, 2 waiting", "Reflected 1025 1", "Reflected 1027 2", "ReflectionQueueDry", "RolePromotedToLeader")
	s.crash()
	third := s.connect("C3")
	third.receives("ServerInfo EXISTING, 2 waiting", "Reflected 1025 1", "Reflected 1027 2", "ReflectionQueueDry", "RolePromotedToLeader")
	third.begins("contact")
	third.receives("BeginTransactionAck")
}

// Several locks, each with something deferred for a device that is away: the order is that of the streams, and after a
// crash it is the same.
func TestB26_ManyLocks(t *testing.T) {
	s := newScene(t)
	a, b, c := s.trio()
	c.ends()
	var want []string
	for i := range 5 {
		a.begins("contact")
		b.reflects(fmt.Sprint("b", i))
		a.reflects(fmt.Sprint("a", i))
		want = append(want, fmt.Sprintf("Reflected %d a%d", 3*i+1, i), fmt.Sprintf("Reflected %d b%d", 3*i+2, i),
			fmt.Sprintf("Reflected %d c%d", 3*i+3, i))
		a.commits()
		s.commit()
		b.reflects(fmt.Sprint("c", i))
		s.settle()
	}
	for _, name := range []string{"C2", "C3"} {
		lines := s.connect(name).lines()
		if len(lines) < 16 || !slices.Equal(lines[1:16], want) {
			t.Errorf("%s receives %q\nwant %q", name, lines, want)
		}
		s.commitAll()
		if state, _ := s.stored(); len(state.Locks) != 5 || state.LastLock != 5 {
			t.Errorf("locks %v are stored, the last one is %d", state.Locks, state.LastLock)
		}
		s.crash()
	}
}
