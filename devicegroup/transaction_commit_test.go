package devicegroup_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
)

// What is staged and what is deferred is stored before any of it shows, in one batch.
func TestB27_OneDurableStep(t *testing.T) {
	s := newScene(t)
	a, b, c := s.trio()
	a.begins("contact")
	a.reflects("one", "two")
	b.reflects("deferred")
	s.settle()
	a.commits()
	for _, d := range []*device{a, b, c} {
		d.receives()
	}
	s.seal(false)
	b.reflects("meanwhile") // comes behind all of it
	for _, d := range []*device{a, b, c} {
		d.receives()
	}
	s.answer(nil)
	a.receives("CommitTransactionAck", "Reflected 3 deferred")
	c.receives("Reflected 1 one", "Reflected 2 two", "TransactionEnded, A held the lock for contact", "Reflected 3 deferred")
	b.receives("Reflected 1 one", "Reflected 2 two", "TransactionEnded, A held the lock for contact")
	s.commit()
	c.receives("Reflected 4 meanwhile")
}

func TestB27_BothHabits(t *testing.T) {
	for _, awaits := range []bool{false, true} {
		for _, stored := range []bool{false, true} { // something is being stored when it begins
			t.Run(fmt.Sprintf("awaits %v, store busy %v", awaits, stored), func(t *testing.T) {
				s := newScene(t)
				a, b := s.pair()
				if stored {
					b.reflects("before")
				}
				var got []string
				next := func(send func()) {
					send()
					for awaits && len(got) == 0 || awaits && s.group.Needs() == devicegroup.NeedNow {
						s.commit()
						got = append(got, a.lines()...)
					}
				}
				next(func() { a.begins("contact") })
				next(func() { a.reflects("one") })
				next(func() { a.reflects("two") })
				next(func() { a.commits() })
				s.commit()
				got = append(got, a.lines()...)
				want := []string{"BeginTransactionAck", "ReflectAck one", "ReflectAck two", "CommitTransactionAck"}
				if stored {
					want = append(want, "Reflected 1 before")
				}
				if slices.Sort(want); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
					t.Errorf("A receives %q", got)
				}
				index := func(line string) int { return slices.Index(got, line) }
				if index("BeginTransactionAck") > index("CommitTransactionAck") || index("ReflectAck one") > index("ReflectAck two") {
					t.Errorf("A receives %q", got)
				}
				if got := reflectedTexts(b.takes(), false); !slices.Equal(got, []string{"one", "two"}) {
					t.Errorf("B gets %q", got)
				}
			})
		}
	}
}

// A holder that reads slowly sends two transactions one behind the other: each gets its two answers, in order, behind what
// the lock protects; nothing of the second is done before the first is durable.
func TestB27_TwoTransactionsBehindEachOther(t *testing.T) {
	s := newScene(t)
	a, b, c := s.trio()
	b.reflects("before")
	s.commit()
	a.begins("first")
	a.reflects("one")
	a.commits()
	a.begins("second")
	a.reflects("two")
	s.seal(false)
	b.reflects("between")
	a.commits()
	c.begins("mine") // while the first is being written
	s.answer(nil)
	s.commit()
	c.receives("TransactionRejected, A holds the lock for first", "Reflected 1 before", "Reflected 2 one", "Reflected 3 between",
		"Reflected 4 two", "TransactionEnded, A held the lock for second")
	b.receives("ReflectAck before", "ReflectAck between", "Reflected 2 one", "Reflected 4 two",
		"TransactionEnded, A held the lock for second")
	a.receives("ReflectAck one", "ReflectAck two", "Reflected 1 before", "BeginTransactionAck", "CommitTransactionAck",
		"Reflected 3 between", "BeginTransactionAck", "CommitTransactionAck")
}

// In which order both kinds of ephemerals go out.
func TestB27_EphemeralsInTheirPlace(t *testing.T) {
	s := newScene(t)
	a, b, c := s.trio()
	a.begins("contact")
	a.reflectsEphemeral("a1")
	b.reflectsEphemeral("b1")
	a.reflects("a2")
	b.reflects("b2")
	a.reflectsEphemeral("a3")
	b.reflectsEphemeral("b3")
	s.settle()
	a.commits()
	s.commit()
	ended := "TransactionEnded, A held the lock for contact"
	c.receives("Reflected 1 a1 (ephemeral)", "Reflected 2 a2", "Reflected 3 a3 (ephemeral)", ended,
		"Reflected 4 b1 (ephemeral)", "Reflected 5 b2", "Reflected 6 b3 (ephemeral)")
	a.receives("CommitTransactionAck", "Reflected 4 b1 (ephemeral)", "Reflected 5 b2", "Reflected 6 b3 (ephemeral)")
	b.receives("Reflected 1 a1 (ephemeral)", "Reflected 2 a2", "Reflected 3 a3 (ephemeral)", ended)
	s.commitAll()
	if _, snapshot := s.stored(); len(snapshot.Messages) != 2 {
		t.Errorf("%d messages are stored, want 2", len(snapshot.Messages))
	}
}

// Once CommitTransaction was taken nothing undoes it.
func TestB27_NothingUndoesACommitThatWasTaken(t *testing.T) {
	for _, test := range []struct {
		name  string
		cause func(s *scene, a, b *device)
		want  string // how the holder's connection ends
	}{
		{"end", func(_ *scene, a, _ *device) { a.ends() }, ""},
		{"ttl", func(s *scene, _, _ *device) { s.tick(time.Hour) }, "CommitTransactionAck"},
		{"4112", func(s *scene, _, _ *device) { s.connect("A2") }, "closed 4112"},
		{"4113 by another", func(_ *scene, _, b *device) { b.drops("A") }, "closed 4113"},
		{"4113 by itself", func(_ *scene, a, _ *device) { a.drops("A") }, "closed 4113"},
		{"4113 to make room", func(s *scene, _, _ *device) { s.connect("D", isNew, dropLeastRecent) }, "closed 4113"},
		{"4010", func(_ *scene, a, _ *device) { a.sendsBytes(nil) }, "closed 4010"},
		{"4010 for a second commit", func(_ *scene, a, _ *device) { a.commits() }, "closed 4010"},
		{"1001", func(s *scene, a, _ *device) { s.closes(a, d2m.CloseGoingAway) }, "closed 1001"},
	} {
		for _, sealed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, being written %v", test.name, sealed), func(t *testing.T) {
				s := newScene(t, slots(3))
				a, b, c := s.trio()
				a.beginsFor("contact", 60)
				a.reflects("one", "two")
				b.reflects("deferred")
				s.settle()
				a.commits()
				if sealed {
					s.seal(false)
				}
				test.cause(s, a, b)
				b.begins("mine")
				b.receives() // until it is durable the lock counts as held, and nothing shows
				if sealed {
					s.answer(nil)
				}
				s.commit()
				lines := a.lines()
				closed := slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "closed") })
				if test.want != "" && !slices.Contains(lines, test.want) || closed != strings.HasPrefix(test.want, "closed") {
					t.Errorf("A receives %q, want %s", lines, test.want)
				}
				ended := "TransactionEnded, A held the lock for contact"
				want := []string{"Reflected 1 one", "Reflected 2 two", ended, "Reflected 3 deferred"}
				if got := c.lines(); len(got) < 4 || !slices.Equal(got[:4], want) {
					t.Errorf("C receives %q, want %q", got, want)
				}
				rejected, told := -1, -1
				for i, r := range b.takes() {
					switch r.message.(type) {
					case d2m.TransactionRejected:
						rejected = i
					case d2m.TransactionEnded:
						told = i
					}
				}
				if rejected < 0 || told < rejected {
					t.Errorf("B is rejected at %d and told of the end at %d", rejected, told)
				}
				b.begins("mine")
				if got := b.lines(); !slices.Equal(got, []string{"BeginTransactionAck"}) {
					t.Errorf("B receives %q", got)
				}
			})
		}
	}
}

// What the holder sends behind a commit is kept for later, in order, whatever it is, and it is not read meanwhile.
func TestB27_WhatIsSentBehindIsHandledAfter(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.begins("first")
	a.reflects("one")
	a.takes()
	a.commits()
	frame := d2m.Reflect{ID: 9, Envelope: []byte("behind")}.Append(nil)
	a.sendsBytes(frame)
	clear(frame)
	a.sends(d2m.GetDevicesInfo{})
	a.begins("second")
	a.commits()
	a.begins("third")
	if !a.conn.Blocked() {
		t.Error("the holder is read while its commit is written")
	}
	s.seal(false)
	s.answer(nil)
	a.receives("CommitTransactionAck")
	s.commit()
	if a.conn.Blocked() {
		t.Error("the holder is not read after its commit")
	}
	a.receives("ReflectAck ", "DevicesInfo", "BeginTransactionAck", "CommitTransactionAck", "BeginTransactionAck")
	b.begins("mine")
	b.receives("TransactionRejected, A holds the lock for third", "Reflected 1 one", "Reflected 2 behind",
		"TransactionEnded, A held the lock for second")
}

// What waits behind a commit is nothing any more when the connection ends, or the commit fails.
func TestB27_WhatIsSentBehindByWhoIsGone(t *testing.T) {
	for _, fails := range []bool{false, true} {
		s := newScene(t)
		a, b := s.pair()
		a.begins("first")
		a.reflects("one")
		a.commits()
		a.reflects("behind")
		s.seal(false)
		if fails {
			s.answer(errNoDisk)
			a.receives("ReflectAck one", "closed 1011")
			b.receives("closed 1011")
			continue
		}
		a.ends()
		s.answer(nil)
		s.commit()
		b.receives("Reflected 1 one", "TransactionEnded, A held the lock for first", "RolePromotedToLeader")
	}
}

// Alone nothing is stored, unless somebody has come by the commit (B16).
func TestB27_Alone(t *testing.T) {
	s := newScene(t)
	a := s.join("A")[0]
	a.begins("contact")
	a.reflects("to nobody")
	a.reflectsEphemeral("typing")
	a.commits()
	s.commit()
	a.receives("ReflectAck to nobody", "BeginTransactionAck", "CommitTransactionAck")
	if _, snapshot := s.stored(); len(snapshot.Messages) != 0 {
		t.Error("a message for nobody is stored")
	}
}

// The limits of B22 hold for a commit: a slot that it fills goes, and what has no room in the group is not stored.
func TestB27_ACommitForWhichThereIsNoRoom(t *testing.T) {
	for _, full := range []bool{false, true} {
		t.Run(fmt.Sprintf("store full %v", full), func(t *testing.T) {
			s := newScene(t, func(c *devicegroup.Config) { c.QueueBytes, c.GroupBytes = 100_000, 100_000 })
			a, b := s.pair()
			a.begins("contact")
			a.reflects(text(1, 50_000), text(2, 50_000))
			a.reflectsEphemeral(text(3, 50_000)) // is not stored
			if full {
				s.group.SetFull(true)
			} else {
				a.reflects("x")
			}
			a.takes()
			a.commits()
			s.commit()
			if lines := a.lines(); lines[len(lines)-1] != "closed 1011" {
				t.Errorf("A ends with %q", lines[len(lines)-1])
			}
			b.receives("TransactionEnded, A held the lock for contact", "RolePromotedToLeader")
			if s.noticed(devicegroup.GroupLimit) != 1 || s.waiting() != 0 {
				t.Errorf("noticed %d times, %d messages wait", s.noticed(devicegroup.GroupLimit), s.waiting())
			}
			b.begins("empty") // needs no room
			b.commits()
			b.receives("BeginTransactionAck", "CommitTransactionAck")
		})
	}
}

func TestB27_ACommitThatFitsExactly(t *testing.T) {
	s := newScene(t, func(c *devicegroup.Config) { c.QueueBytes, c.GroupBytes = 100_000, 100_000 })
	a, b := s.pair()
	a.begins("contact")
	a.reflects(text(1, 50_000), text(2, 50_000))
	a.commits()
	s.commit()
	if got := of[d2m.Reflected](b.takes()); len(got) != 2 || s.waiting() != 2 {
		t.Errorf("B gets %d messages, want 2", len(got))
	}
}

func TestB27_ACommitFillsAQueue(t *testing.T) {
	s := newScene(t, queueOf(2))
	a, b, c := s.trio()
	a.begins("contact")
	a.reflects("1", "2", "3")
	a.commits()
	s.commit()
	b.receives("closed 4114")
	c.receives("closed 4114")
	a.receives("ReflectAck 1", "ReflectAck 2", "ReflectAck 3", "BeginTransactionAck", "CommitTransactionAck")
}

// The numbers of a transaction pass 2^32 like any others (B14), and are the same again after a crash.
func TestB27_NumbersPast32Bits(t *testing.T) {
	for before := range uint64(5) {
		s := newScene(t)
		s.trio()
		s.withNumbersFrom(1<<32 - before)
		a, b, c := s.connect("A2"), s.connect("B2"), s.connect("C2")
		s.settle()
		a.begins("contact")
		a.reflects("a1", "a2")
		b.reflects("b1")
		b.reflectsEphemeral("typing")
		b.reflects("b2")
		a.commits()
		s.commit()
		first := uint32(math.MaxUint32) - uint32(before) + 1
		want := []string{
			fmt.Sprint(first, " a1"), fmt.Sprint(first+1, " a2"), fmt.Sprint(first+2, " b1"),
			fmt.Sprint(first+3, " typing"), fmt.Sprint(first+4, " b2"),
		}
		if got := reflectedTexts(c.takes(), true); !slices.Equal(got, want) {
			t.Errorf("C gets %q, want %q", got, want)
		}
		c.acks("typing", "a1", "b1")
		s.commitAll()
		s.crash()
		again := s.connect("C3")
		if got := reflectedTexts(again.takes(), true); !slices.Equal(got, []string{want[1], want[4]}) {
			t.Errorf("after a crash C gets %q", got)
		}
		again.acks("a2", "b2")
		if third := s.connect("A3"); len(of[d2m.Reflected](third.takes())) != 2 {
			t.Error("A does not get what was deferred")
		}
	}
}
