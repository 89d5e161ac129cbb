package devicegroup_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
)

const contactEnded = "TransactionEnded, A held the lock for contact"

// The older connection's lock is free before the newer one gets its ServerInfo: what it asks for at once is granted.
func TestB9_TheNewerConnectionFindsTheLockFree(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.begins("contact")
	a.reflects("never seen")
	b.reflects("deferred")
	again := s.connect("A2")
	again.begins("settings")
	again.receives() // the end of the older lock is not stored yet
	s.commit()
	again.receives("ServerInfo EXISTING, 1 waiting", "Reflected 1 deferred", "BeginTransactionAck", "ReflectionQueueDry")
	a.receives("ReflectAck never seen", "closed 4112")
	b.receives("ReflectAck deferred", contactEnded, "RolePromotedToLeader")
}

// A device that is not confirmed registers anew, and its transaction goes with the slot (B7).
func TestB9_ARegistrationAnewEndsTheTransaction(t *testing.T) {
	s := newScene(t)
	b := s.join("B")[0]
	a := s.connect("A", isNew)
	a.begins("contact")
	a.reflects("never seen")
	again := s.connect("A2", isNew)
	s.commit()
	b.receives(contactEnded)
	again.begins("settings")
	again.receives("ServerInfo NEW, 0 waiting", "BeginTransactionAck", "ReflectionQueueDry")
	if lines := a.lines(); lines[len(lines)-1] != "closed 4112" {
		t.Errorf("A receives %q", lines)
	}
}

// The time that a staged message was acked with binds what comes after a restart.
func TestB15_StagedTimestampsDoNotGoBackAcrossARestart(t *testing.T) {
	s := newScene(t)
	a, _ := s.pair()
	s.pass(time.Hour)
	a.sends(d2m.GetDevicesInfo{}) // confirms its slot, so that nothing else is written below
	a.takes()
	s.commitAll()
	a.begins("contact")
	a.reflects("staged")
	acks := of[d2m.ReflectAck](a.takes())
	s.commitAll()
	s.pass(-time.Hour)
	s.crash()
	b := s.connect("B2")
	b.reflects("later")
	s.commit()
	later := of[d2m.ReflectAck](b.takes())
	if len(acks) != 1 || len(later) != 1 || later[0].Timestamp < acks[0].Timestamp {
		t.Errorf("acked with %v, and after a restart with %v", acks, later)
	}
}

// The record of a lock goes when nobody waits for anything of it. The chunk may live on for another message: what was
// deferred does not come again, also not in a later lock.
func TestB17_ADeferredMessageDoesNotComeAgain(t *testing.T) {
	s := newScene(t)
	a, b, c := s.trio()
	a.begins("contact")
	b.reflects("deferred")
	a.commits()
	b.reflects("ordinary") // stored with it
	s.commit()
	a.takes()
	c.takes()
	a.acks("deferred")
	c.acks("deferred")
	s.commitAll()
	if state, snapshot := s.stored(); len(state.Locks) != 0 || len(snapshot.Messages) != 2 {
		t.Fatalf("locks %v and %d messages are stored, want none and 2", state.Locks, len(snapshot.Messages))
	}
	for _, name := range []string{"C2", "C3", "C4"} {
		s.crash()
		d := s.connect(name)
		d.receives("ServerInfo EXISTING, 1 waiting", "Reflected 2 ordinary", "ReflectionQueueDry", "RolePromotedToLeader")
		d.begins("contact") // a lock without anything behind it
		d.commits()
		s.commitAll()
	}
	s.crash()
	a, b = s.connect("A5"), s.connect("B5")
	s.settle()
	b.begins("contact") // its number is one that has not been used
	a.reflects("deferred again")
	s.commit()
	s.crash()
	c = s.connect("C5")
	s.commit()
	if got := reflectedTexts(c.takes(), false); !slices.Equal(got, []string{"ordinary", "deferred again"}) {
		t.Errorf("C gets %q", got)
	}
}

// The record stays as long as one slot waits for one message.
func TestB18_RedeliveryOfDeferredMessages(t *testing.T) {
	s := newScene(t)
	a, b, c := s.trio()
	a.begins("contact")
	b.reflects("1", "2", "3")
	a.commits()
	s.commit()
	first := c.takes()
	a.takes()
	a.acks("1", "2", "3")
	c.acks("1", "3")
	c.ends()
	s.commitAll()
	want := of[d2m.Reflected](first)[1]
	for _, name := range []string{"C2", "C3", "C4"} {
		again := s.connect(name)
		got := of[d2m.Reflected](again.takes())
		if len(got) != 1 || got[0].ID != want.ID || got[0].Timestamp != want.Timestamp || string(got[0].Envelope) != "2" {
			t.Errorf("%s gets %v, want %v", name, got, want)
		}
		s.pass(time.Hour)
		if name == "C3" {
			s.crash()
		}
	}
}

// What the lock has not let through was never sent: an ack for it is one for a number that was never drawn.
func TestB19_AcksUnderTheLock(t *testing.T) {
	s := newScene(t)
	a, b, c := s.trio()
	a.begins("contact")
	a.reflects("staged")
	b.reflects("deferred")
	s.commit()
	c.sends(d2m.ReflectedAck{ID: 1})
	c.receives("closed 4012")
	a.commits()
	s.commit()
	b.sends(d2m.ReflectedAck{ID: 2}) // its own, which it was not given: it is ignored
	b.receives("ReflectAck deferred", "Reflected 1 staged", contactEnded)
	a.receives("ReflectAck staged", "BeginTransactionAck", "CommitTransactionAck", "Reflected 2 deferred")
	if s.waiting() != 2 {
		t.Errorf("%d messages wait, want 2", s.waiting())
	}
}

// Of what others tell a device that does not read only the last TransactionEnded is kept, behind what it tells of.
func TestB21_OnlyTheLastEndIsKept(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	for i := range 1000 {
		a.begins(fmt.Sprint(i))
		if i == 500 {
			a.reflects("changed")
		}
		a.commits()
		s.settleOnly(a)
	}
	b.receives("Reflected 1 changed", "TransactionEnded, A held the lock for 999")
	a.begins("more")
	a.commits()
	b.receives("TransactionEnded, A held the lock for more")
}

// settleOnly commits and lets one connection take what it gets.
func (s *scene) settleOnly(d *device) {
	s.t.Helper()
	s.commit()
	d.takes()
}

// The answers to BeginTransaction and CommitTransaction are bounded like any others, though they have a place in the stream.
func TestB21_AnswersInTheStreamBlockTheReading(t *testing.T) {
	s := newScene(t)
	a, _ := s.pair()
	transactions := 0
	for ; !a.conn.Blocked() && transactions < 10_000; transactions++ {
		a.begins("contact")
		a.commits()
	}
	if transactions < 100 || transactions > 1000 {
		t.Errorf("blocked after %d transactions", transactions)
	}
	got := a.takes()
	if begun, done := len(of[d2m.BeginTransactionAck](got)), len(of[d2m.CommitTransactionAck](got)); begun != transactions || done != transactions {
		t.Errorf("%d begun and %d committed, want %d", begun, done, transactions)
	}
	if a.conn.Blocked() {
		t.Error("still blocked when it has taken all answers")
	}
}

func TestB21_AStuckHolderDelaysNobodyWhenItIsOver(t *testing.T) {
	s := newScene(t, tail(0))
	a, b, c := s.trio()
	a.beginsFor("contact", 60)
	for i := range 100 {
		b.reflects(text(i, 1000))
	}
	s.settleOnly(b)
	s.tick(time.Minute)
	s.commit()
	if got := len(of[d2m.Reflected](c.takes())); got != 100 || s.fetched != 100 {
		t.Errorf("C gets %d messages, %d from the store, want 100", got, s.fetched)
	}
	a.receives("closed 4011")
}

// What is deferred counts for every slot but its sender's: operators are warned, and a slot is dropped, while the lock is
// held.
func TestB22_DeferredMessagesCount(t *testing.T) {
	s := newScene(t, queueOf(4))
	a, b, c := s.trio()
	c.ends()
	a.reflects("1")
	s.settle()
	a.begins("contact")
	a.takes()
	b.reflects("2")
	if s.noticed(devicegroup.QueueHalfFull) != 0 {
		t.Error("half of the limit is not more than half")
	}
	b.reflects("3")
	if s.noticed(devicegroup.QueueHalfFull) != 1 {
		t.Error("nobody was warned for C at half of the limit")
	}
	b.reflects("4")
	s.commit()
	if s.group.Slots() != 3 {
		t.Error("a slot was dropped below its limit")
	}
	b.reflects("5")
	s.commit()
	if s.group.Slots() != 2 || s.noticed(devicegroup.QueueLimit) != 1 {
		t.Errorf("%d slots, want 2 without C", s.group.Slots())
	}
	s.connect("C2").receives("closed 4115")
	a.commits()
	s.commit()
	a.receives("CommitTransactionAck", "Reflected 2 2", "Reflected 3 3", "Reflected 4 4", "Reflected 5 5")
	if s.group.Slots() != 2 || s.noticed(devicegroup.QueueLimit) != 1 {
		t.Error("a message counts twice when it is released")
	}
}

func TestB22_DeferredBytesCount(t *testing.T) {
	s := newScene(t, func(c *devicegroup.Config) { c.QueueBytes = 100_000 })
	a, b := s.pair()
	a.begins("contact")
	b.reflects(text(1, 50_000), text(2, 50_000))
	s.commit()
	if s.group.Slots() != 2 {
		t.Fatal("a slot was dropped at its limit")
	}
	b.reflects("x")
	s.commit()
	a.receives("closed 4114")
}

// Neither is what waits behind the lock free for the group, nor does a full store take it.
func TestB22_TheGroupsLimitUnderALock(t *testing.T) {
	for _, full := range []bool{false, true} {
		s := newScene(t, func(c *devicegroup.Config) { c.QueueBytes, c.GroupBytes = 100_000, 100_000 })
		a, b, c := s.trio()
		a.begins("contact")
		b.reflects(text(1, 50_000), text(2, 50_000))
		if s.group.SetFull(full); full {
			s.commit()
		}
		c.reflects("x")
		s.commit()
		c.receives("closed 1011")
		a.receives("BeginTransactionAck") // its transaction goes on
		if s.noticed(devicegroup.GroupLimit) != 1 {
			t.Errorf("noticed %d times", s.noticed(devicegroup.GroupLimit))
		}
	}
}

func TestB31_DevicesInfoUnderALock(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.begins("contact")
	s.pass(time.Minute)
	b.ends()
	s.pass(time.Minute)
	a.sends(d2m.GetDevicesInfo{})
	a.commits()
	s.commit()
	lists := of[d2m.DevicesInfo](a.takes())
	if len(lists) != 1 || len(lists[0].Devices) != 2 {
		t.Fatalf("A receives %v, want one list of two devices", lists)
	}
	for i, left := range []time.Duration{0, time.Minute} { // A came at noon, B went a minute later
		d := lists[0].Devices[i]
		if d.Connected != (i == 0) || d.Since != uint64(noon.Add(left).UnixMilli()) {
			t.Errorf("device %+v", d)
		}
	}
}

// A device that drops itself inside its transaction gets the ack, then its code, and never CommitTransactionAck.
func TestB32_OwnDropInsideATransaction(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.begins("contact")
	a.reflects("never seen")
	b.reflects("for nobody else")
	s.commit()
	a.drops("A")
	a.commits() // too late
	s.commit()
	a.receives("ReflectAck never seen", "DropDeviceAck A", "closed 4113")
	b.receives("ReflectAck for nobody else", contactEnded, "RolePromotedToLeader")
	s.commitAll()
	if state, snapshot := s.stored(); len(state.Slots) != 1 || len(snapshot.Messages) != 0 || len(state.Locks) != 0 {
		t.Errorf("left: %d slots, %d messages, locks %v", len(state.Slots), len(snapshot.Messages), state.Locks)
	}
	s.connect("A2").receives("closed 4115")
}

// The holder drops all others while they have something behind the lock.
func TestB32_TheHolderDropsTheOthers(t *testing.T) {
	s := newScene(t)
	a, b, c := s.trio()
	a.begins("contact")
	a.reflects("mine")
	b.reflects("from b")
	a.drops("B")
	a.drops("C")
	a.commits()
	s.commit()
	b.receives("ReflectAck from b", "closed 4113")
	c.receives("closed 4113")
	a.receives("ReflectAck mine", "DropDeviceAck B", "DropDeviceAck C", "BeginTransactionAck", "CommitTransactionAck", "Reflected 1 from b")
	a.acks("from b")
	s.commitAll()
	if _, snapshot := s.stored(); len(snapshot.Messages) != 0 {
		t.Errorf("%d messages are left", len(snapshot.Messages))
	}
}

// With the last slot everything goes, the lock included, and the group begins anew.
func TestB34_WithTheLastSlotTheTransactionGoes(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		s := newScene(t)
		a, b := s.pair()
		a.begins("contact")
		a.reflects("staged")
		b.reflects("deferred")
		if sealed {
			s.commit()
		}
		a.drops("B")
		a.drops("A")
		again := s.connect("C", isNew)
		s.commitAll()
		a.receives("ReflectAck staged", "DropDeviceAck B", "DropDeviceAck A", "closed 4113")
		again.begins("settings")
		again.receives("ServerInfo NEW, 0 waiting", "BeginTransactionAck", "ReflectionQueueDry", "RolePromotedToLeader")
		s.commitAll()
		if state, snapshot := s.stored(); len(snapshot.Messages) != 0 || len(state.Slots) != 1 || len(state.Locks) != 0 {
			t.Errorf("left: %d messages, %d slots, locks %v", len(snapshot.Messages), len(state.Slots), state.Locks)
		}
		s.crash()
		s.connect("C2").receives("ServerInfo EXISTING, 0 waiting", "ReflectionQueueDry", "RolePromotedToLeader")
	}
}

// A slot that expires under a lock is not given what was deferred; the earliest of both times is the one that is due.
func TestB34_ASlotExpiresUnderALock(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	c := s.connect("C", isNew, isVolatile)
	s.settle()
	c.ends()
	a.beginsFor("contact", 660)
	b.reflects("deferred")
	s.settle()
	if at, ok := s.group.Deadline(); !ok || at.Sub(noon) != 10*time.Minute {
		t.Errorf("due at %v", at)
	}
	s.tick(10 * time.Minute)
	if at, ok := s.group.Deadline(); !ok || at.Sub(noon) != 11*time.Minute || s.group.Slots() != 2 {
		t.Errorf("due at %v, %d slots", at, s.group.Slots())
	}
	a.commits()
	s.commit()
	a.takes()
	a.acks("deferred")
	s.commitAll()
	if _, snapshot := s.stored(); len(snapshot.Messages) != 0 || s.waiting() != 0 {
		t.Error("a message is left for a slot that has expired")
	}
}

// A volatile device that held the lock and is gone: its slot goes in its time, and what was deferred for it.
func TestB34_AVolatileHolder(t *testing.T) {
	s := newScene(t)
	b := s.join("B")[0]
	a := s.connect("A", isNew, isVolatile)
	s.settle()
	a.begins("contact")
	b.reflects("deferred")
	s.settle()
	a.ends()
	s.commit()
	if s.waiting() != 1 {
		t.Errorf("%d messages wait for A, want 1", s.waiting())
	}
	s.tick(10 * time.Minute)
	s.commitAll()
	if _, snapshot := s.stored(); len(snapshot.Messages) != 0 || s.group.Slots() != 1 {
		t.Errorf("%d messages and %d slots are left", len(snapshot.Messages), s.group.Slots())
	}
}

// A store that fails while a transaction runs, but not for it: all of it is over, and what was acked to others is kept.
func TestB43_TheStoreFailsUnderALock(t *testing.T) {
	s := newScene(t)
	a, b, c := s.trio()
	a.begins("contact")
	a.reflects("staged")
	b.reflects("acked")
	s.settle()
	b.reflects("not acked")
	s.commitFails(errNoDisk)
	for _, d := range []*device{a, b, c} {
		d.receives("closed 1011")
	}
	if _, due := s.group.Deadline(); due || s.group.Staged() != 0 {
		t.Error("a dead group has a lock")
	}
	a.commits()
	s.group.Tick(s.now.Add(time.Hour))
	s.claim()
	again := s.connect("C2")
	s.commit()
	again.receives("ServerInfo EXISTING, 1 waiting", "Reflected 1025 acked", "ReflectionQueueDry", "RolePromotedToLeader")
}
