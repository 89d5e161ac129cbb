package devicegroup_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
	"openmediator/reflect/memstore"
)

// ending is a way in which the transaction of A ends. B has reflected what is deferred, C looks on.
type ending struct {
	name    string
	cause   func(s *scene, a, b *device)
	holder  string   // the last that A's connection receives; "" if it ended by itself
	commits bool     // what was staged is there for all
	stored  bool     // something is stored for it even if nothing is staged or deferred
	extra   []string // what the cause lets B reflect
}

var endings = []ending{
	{name: "commit", cause: func(_ *scene, a, _ *device) { a.commits() }, holder: "CommitTransactionAck", commits: true},
	{name: "commit, then disconnect", cause: func(_ *scene, a, _ *device) { a.commits(); a.ends() }, commits: true},
	{name: "commit, then 4112", cause: func(s *scene, a, _ *device) { a.commits(); s.connect("A2") }, holder: "closed 4112", commits: true},
	{name: "commit, then 4113", cause: func(_ *scene, a, b *device) { a.commits(); b.drops("A") }, holder: "closed 4113", commits: true, stored: true},
	{name: "disconnect", cause: func(_ *scene, a, _ *device) { a.ends() }},
	{name: "4011", cause: func(s *scene, _, _ *device) { s.tick(time.Minute) }, holder: "closed 4011"},
	{name: "4112", cause: func(s *scene, _, _ *device) { s.connect("A2") }, holder: "closed 4112"},
	{name: "4113 by another", cause: func(_ *scene, _, b *device) { b.drops("A") }, holder: "closed 4113", stored: true},
	{name: "4113 by itself", cause: func(_ *scene, a, _ *device) { a.drops("A") }, holder: "closed 4113", stored: true},
	{name: "4113 to make room", cause: func(s *scene, _, _ *device) { s.connect("D", isNew, dropLeastRecent) }, holder: "closed 4113", stored: true},
	{name: "4114", cause: func(_ *scene, _, b *device) { b.reflects("x1", "x2", "x3") }, holder: "closed 4114", stored: true, extra: []string{"x1", "x2", "x3"}},
	{name: "4010", cause: func(_ *scene, a, _ *device) { a.sendsBytes([]byte{0xff, 0, 0, 0}) }, holder: "closed 4010"},
	{name: "4010, too much staged", cause: func(_ *scene, a, _ *device) { a.reflectsSize(0, 65_000); a.reflectsSize(0, 6_000) }, holder: "closed 4010"},
	{name: "4010, begun again", cause: func(_ *scene, a, _ *device) { a.begins("again") }, holder: "closed 4010"},
	{name: "closed by the server", cause: func(s *scene, a, _ *device) { s.closes(a, d2m.CloseGoingAway) }, holder: "closed 1001"},
}

func (s *scene) closes(d *device, code d2m.CloseCode) {
	s.group.Close(s.now, d.conn, devicegroup.Close{Code: code})
	s.after()
}

// contents are what a transaction has in it when it ends.
type contents struct{ staged, deferred []string }

var allContents = []contents{
	{},
	{staged: []string{"s1", "s2"}},
	{deferred: []string{"d1"}},
	{staged: []string{"s1", "s2"}, deferred: []string{"d1"}},
}

func (c contents) String() string {
	return fmt.Sprintf("%d staged, %d deferred", len(c.staged), len(c.deferred))
}

// transaction begins with contents and lets everybody take what there is. A has two messages waiting that C has
// acknowledged: its queue is the first that is full.
func (e ending) transaction(t *testing.T, with contents) (s *scene, a, b, c *device) {
	t.Helper()
	s = newScene(t, slots(3), queueOf(4), staged(70_000))
	s.join("A")
	s.pass(time.Second)
	s.join("B")
	s.join("C")
	a, b, c = s.connections[0], s.connections[1], s.connections[2]
	b.reflects("w1", "w2")
	s.settle()
	c.acks("w1", "w2")
	a.beginsFor("contact", 60)
	a.reflects(with.staged...)
	b.reflects(with.deferred...)
	s.settle()
	s.commitAll()
	return s, a, b, c
}

// committed is how many of the messages that show are of A's transaction.
func (e ending) committed(with contents) int {
	if e.commits {
		return len(with.staged)
	}
	return 0
}

// waits says whether the holder hears of its end only when something is stored.
func (e ending) waits(with contents) bool {
	if e.holder == "CommitTransactionAck" {
		return len(with.staged) > 0
	}
	return e.holder != "" && (e.stored || e.committed(with) > 0 || len(with.deferred) > 0)
}

// shown is what the ending makes C receive after what was there before.
func (e ending) shown(with contents) (texts []string) {
	return slices.Concat(with.staged[:e.committed(with)], with.deferred, e.extra)
}

// reflectedTexts are the texts of all Reflected, with their numbers if asked for.
func reflectedTexts(all []received, numbered bool) (texts []string) {
	for _, r := range of[d2m.Reflected](all) {
		text := string(r.Envelope)
		if numbered {
			text = fmt.Sprint(r.ID, " ", text)
		}
		texts = append(texts, text)
	}
	return texts
}

func eachEnding(t *testing.T, f func(t *testing.T, e ending, with contents)) {
	for _, e := range endings {
		for _, with := range allContents {
			t.Run(e.name+", "+with.String(), func(t *testing.T) { f(t, e, with) })
		}
	}
}

// In whatever way a transaction ends, the others see what was committed, TransactionEnded, and what was deferred, in this
// order; the holder's code comes when that is stored, and the lock is free.
func TestB28_EveryEnding(t *testing.T) {
	eachEnding(t, func(t *testing.T, e ending, with contents) {
		s, a, b, c := e.transaction(t, with)
		e.cause(s, a, b)
		early := a.lines()
		if e.waits(with) && slices.Contains(early, e.holder) {
			t.Errorf("A receives %q before it is stored", early)
		}
		s.commit()
		if late := slices.Concat(early, a.lines()); e.holder != "" && !slices.Contains(late, e.holder) {
			t.Errorf("A receives %q, want %s", late, e.holder)
		}
		all := c.takes()
		var order []string
		for _, r := range all {
			if line := c.line(r); strings.HasPrefix(line, "Reflected ") || strings.HasPrefix(line, "TransactionEnded") {
				order = append(order, strings.Fields(line + " ended")[2])
			}
		}
		want := slices.Insert(e.shown(with), e.committed(with), "held")
		if !slices.Equal(order, want) {
			t.Errorf("C receives %q, want %q", order, want)
		}
		if ended := of[d2m.TransactionEnded](b.takes()); len(ended) != 1 {
			t.Errorf("B hears of the end %d times", len(ended))
		}
		if s.group.Staged() != 0 {
			t.Errorf("%d bytes are still staged", s.group.Staged())
		}
		c.begins("settings")
		c.receives("BeginTransactionAck")
	})
}

// What goes out then is there after a crash with the same numbers, and it is deleted like anything else when it has been
// acknowledged: nothing of the transaction is left.
func TestB28_EveryEndingLeavesNothingBehind(t *testing.T) {
	eachEnding(t, func(t *testing.T, e ending, with contents) {
		s, a, b, c := e.transaction(t, with)
		e.cause(s, a, b)
		s.commit()
		before := reflectedTexts(c.takes(), true)
		s.crash()
		again := s.connect("C2")
		s.commit()
		if after := reflectedTexts(again.takes(), true); !slices.Equal(after, before) || len(after) != len(e.shown(with)) {
			t.Errorf("after a crash C gets %q, before it got %q, want %q", after, before, e.shown(with))
		}
		s.everybodyAcks()
		state, snapshot := s.stored()
		if len(snapshot.Messages) != 0 || len(state.Locks) != 0 || s.waiting() != 0 {
			t.Errorf("left: %d messages, locks %v, %d waiting", len(snapshot.Messages), state.Locks, s.waiting())
		}
		s.group.Trim(0)
		if s.group.TailBytes() != 0 {
			t.Error("something is held in memory")
		}
	})
}

// everybodyAcks lets every slot come, take and acknowledge all there is.
func (s *scene) everybodyAcks() {
	s.t.Helper()
	state, _ := s.stored()
	for _, slot := range state.Slots {
		d := s.connect(string(rune('A' + slot.Device - 10)))
		s.commit()
		for _, r := range of[d2m.Reflected](d.takes()) {
			d.sends(d2m.ReflectedAck{ID: r.ID})
		}
	}
	s.commitAll()
}

// The store fails when the end is to be stored. Then all are closed; when the group is read again there is no lock, what
// was acked to the others goes out, and of what was staged all is there or nothing.
func TestB28_EveryEndingWhenTheStoreFails(t *testing.T) {
	for _, failure := range []error{errNoDisk, memstore.ErrUnavailableStored} {
		stored := failure == memstore.ErrUnavailableStored
		t.Run(fmt.Sprintf("stored %v", stored), func(t *testing.T) {
			eachEnding(t, func(t *testing.T, e ending, with contents) {
				s, a, b, c := e.transaction(t, with)
				e.cause(s, a, b)
				if s.group.Needs() != devicegroup.NeedNow {
					if !e.commits || len(with.staged)+len(with.deferred) > 0 {
						t.Error("the end is not to be stored")
					}
					return
				}
				s.commitFails(failure)
				if lines := a.lines(); e.waits(with) && lines[len(lines)-1] != "closed 1011" {
					t.Errorf("A receives %q", lines)
				}
				c.receives("closed 1011")
				b.receives("closed 1011")
				if s.group.Staged() != 0 {
					t.Error("something is still staged")
				}
				s.claim()
				again := s.connect("C2")
				again.begins("settings")
				s.commit()
				want := with.deferred
				if stored {
					want = e.shown(with)
				}
				all := again.takes()
				if got := reflectedTexts(all, false); !slices.Equal(got, want) {
					t.Errorf("C gets %q, want %q", got, want)
				}
				if len(of[d2m.BeginTransactionAck](all)) != 1 {
					t.Error("the lock is not free")
				}
				again.commits()
				s.commit()
				s.everybodyAcks()
				if _, snapshot := s.stored(); len(snapshot.Messages) != 0 {
					t.Errorf("%d messages are left", len(snapshot.Messages))
				}
			})
		})
	}
}

// The server is killed: while the lock is held, and while its end is being written, which then is stored or not.
func TestB28_EveryEndingWhenTheServerIsKilled(t *testing.T) {
	eachEnding(t, func(t *testing.T, e ending, with contents) {
		for _, when := range []string{"before", "while, not stored", "while, stored"} {
			s, a, b, _ := e.transaction(t, with)
			want := with.deferred
			if when != "before" {
				e.cause(s, a, b)
				s.seal(true)
			}
			if when == "while, stored" && s.flight != nil {
				s.answer(nil)
				want = e.shown(with)
			}
			s.crash()
			again := s.connect("C2")
			again.begins("settings")
			s.commit()
			all := again.takes()
			if got := reflectedTexts(all, false); !slices.Equal(got, want) {
				t.Errorf("%s: C gets %q, want %q", when, got, want)
			}
			if len(of[d2m.BeginTransactionAck](all)) != 1 || len(of[d2m.TransactionEnded](all)) != 0 {
				t.Errorf("%s: there is a lock after a crash", when)
			}
		}
	})
}

// The server stops in order: each device is closed with 1001, and what was acked to others is on disk and goes out later.
func TestB28_TheServerStops(t *testing.T) {
	for _, with := range allContents {
		t.Run(with.String(), func(t *testing.T) {
			s, a, b, c := ending{}.transaction(t, with)
			for _, d := range []*device{c, a, b} {
				s.closes(d, d2m.CloseGoingAway)
			}
			s.commitAll()
			for _, d := range []*device{a, b, c} {
				if lines := d.lines(); lines[len(lines)-1] != "closed 1001" {
					t.Errorf("%s receives %q", d.name, lines)
				}
			}
			s.crash()
			again := s.connect("C2")
			s.commit()
			if got := reflectedTexts(again.takes(), false); !slices.Equal(got, with.deferred) {
				t.Errorf("C gets %q, want %q", got, with.deferred)
			}
		})
	}
}

// The others hear of the end at once: it has no need of the store.
func TestB28_TheOthersAreToldAtOnce(t *testing.T) {
	s := newScene(t)
	a, b, c := s.trio()
	a.begins("contact")
	b.reflects("deferred")
	s.settle()
	a.ends()
	c.receives("TransactionEnded, A held the lock for contact")
	c.begins("settings")
	c.receives() // the lock protects what was deferred, too
	s.commit()
	c.receives("Reflected 1 deferred", "BeginTransactionAck")
}
