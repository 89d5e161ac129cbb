package devicegroup_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
)

func (d *device) begins(scope string) { d.beginsFor(scope, 0) }

// beginsFor begins a transaction with a ttl in seconds.
func (d *device) beginsFor(scope string, ttl uint32) {
	d.sends(d2m.BeginTransaction{Scope: []byte(scope), TTL: ttl})
}

func (d *device) commits() { d.sends(d2m.CommitTransaction{}) }

// lines takes everything that is there for the connection and describes it.
func (d *device) lines() (lines []string) {
	d.s.t.Helper()
	for _, r := range d.takes() {
		lines = append(lines, d.line(r))
	}
	return lines
}

// trio is a group of three devices that have taken all there is.
func (s *scene) trio() (a, b, c *device) {
	s.t.Helper()
	devices := s.join("A", "B", "C")
	return devices[0], devices[1], devices[2]
}

func TestB24_AFreeLockIsGranted(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.begins("contact")
	if s.commit() != 0 {
		t.Error("something is stored for a lock")
	}
	a.receives("BeginTransactionAck")
	b.receives() // nobody else is told
}

// The holder has seen all that the lock protects: what is queued, what is being written, and ephemerals.
func TestB24_TheAckComesBehindWhatWasReflectedBefore(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	b.reflects("stored")
	s.commit()
	b.reflects("being written")
	s.seal(false)
	b.reflects("collected")
	b.reflectsEphemeral("typing")
	a.begins("contact")
	a.receives("Reflected 1 stored")
	s.answer(nil)
	a.receives("Reflected 2 being written")
	s.commit()
	a.receives("Reflected 3 collected", "Reflected 4 typing (ephemeral)", "BeginTransactionAck")
}

func TestB24_ItIsGrantedBeforeTheQueueIsDry(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.ends()
	b.reflects("one", "two")
	s.commit()
	again := s.connect("A2")
	again.begins("contact")
	b.begins("settings")
	b.receives("ReflectAck one", "ReflectAck two", "TransactionRejected, A holds the lock for contact", "RolePromotedToLeader")
	again.receives("ServerInfo EXISTING, 2 waiting", "Reflected 1 one", "Reflected 2 two", "BeginTransactionAck", "ReflectionQueueDry")
}

func TestB24_FromDeviceToDevice(t *testing.T) {
	s := newScene(t)
	devices := s.join("A", "B", "C")
	for round := range 6 {
		holder, other := devices[round%3], devices[(round+1)%3]
		holder.begins("scope " + holder.name)
		other.begins("mine")
		if got := of[d2m.BeginTransactionAck](holder.takes()); len(got) != 1 {
			t.Fatalf("round %d: %d BeginTransactionAcks", round, len(got))
		}
		other.receives("TransactionRejected, " + holder.name + " holds the lock for scope " + holder.name)
		holder.commits()
		holder.receives("CommitTransactionAck")
		for _, d := range devices {
			if d != holder {
				d.receives("TransactionEnded, " + holder.name + " held the lock for scope " + holder.name)
			}
		}
	}
}

func TestB25_WhoAsksIsToldEachTime(t *testing.T) {
	s := newScene(t)
	a, b, c := s.trio()
	frame := d2m.BeginTransaction{Scope: []byte("contact")}.Append(nil)
	a.sendsBytes(frame)
	clear(frame) // the scope is the lock's own
	b.begins("settings")
	b.begins("settings")
	c.begins("group")
	rejected := "TransactionRejected, A holds the lock for contact"
	b.receives(rejected, rejected)
	c.receives(rejected)
	a.receives("BeginTransactionAck")
}

// A device that begins again while its ack is on the way gets one answer, with the first one's scope and ttl.
func TestB25_BegunAgainBeforeTheAck(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	b.reflects("in front")
	a.beginsFor("first", 60)
	a.beginsFor("second", 600)
	b.begins("other")
	s.commit()
	a.beginsFor("third", 600)
	if at, ok := s.group.Deadline(); !ok || !at.Equal(noon.Add(time.Minute)) {
		t.Errorf("the time is up at %v", at)
	}
	a.receives("Reflected 1 in front", "BeginTransactionAck")
	b.receives("ReflectAck in front", "TransactionRejected, A holds the lock for first")
	a.commits()
	a.receives("CommitTransactionAck")
}

func TestB25_BegunAgainAfterTheAck(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.begins("contact")
	a.receives("BeginTransactionAck")
	a.reflects("never seen")
	a.begins("contact")
	a.receives("ReflectAck never seen", "closed 4010")
	b.receives("TransactionEnded, A held the lock for contact", "RolePromotedToLeader")
	b.begins("contact")
	b.receives("BeginTransactionAck")
}

// After a rejection apps wait for TransactionEnded. Also one that comes while the commit is being written is followed by
// it, whatever else has to be stored by then.
func TestB25_ARejectionDuringACommitIsFollowedByTheEnd(t *testing.T) {
	const rejected, ended = "TransactionRejected, A holds the lock for contact", "TransactionEnded, A held the lock for contact"
	begin := func(t *testing.T) (s *scene, b, c *device) {
		s = newScene(t)
		a, b, c := s.trio()
		a.begins("contact")
		a.reflects("changed")
		a.commits()
		return s, b, c
	}
	t.Run("nothing else", func(t *testing.T) {
		s, b, c := begin(t)
		s.seal(false)
		b.begins("settings")
		s.answer(nil)
		b.receives(rejected, "Reflected 1 changed", ended)
		c.receives("Reflected 1 changed", ended)
	})
	t.Run("behind a message of its own", func(t *testing.T) {
		s, b, c := begin(t)
		s.seal(false)
		b.reflects("mine")
		b.begins("settings")
		s.answer(nil)
		first := b.lines() // the end may be told here, but then it has to be told again
		if strings.Contains(strings.Join(first, ";"), "Rejected") {
			t.Fatalf("B receives %q before what it asked behind is stored", first)
		}
		s.commit()
		b.receives("ReflectAck mine", rejected, ended)
		b.begins("settings")
		b.receives("BeginTransactionAck")
		c.receives("Reflected 1 changed", ended, "Reflected 2 mine")
	})
	t.Run("a device that comes meanwhile", func(t *testing.T) {
		s, _, _ := begin(t)
		s.seal(false)
		d := s.connect("D", isNew)
		d.begins("settings")
		d.begins("settings")
		s.answer(nil)
		s.commit()
		d.receives("ServerInfo NEW, 0 waiting", rejected, rejected, ended, "ReflectionQueueDry")
	})
	t.Run("its own device on a newer connection", func(t *testing.T) {
		s, b, _ := begin(t)
		s.seal(false)
		again := s.connect("A2")
		again.begins("settings")
		again.reflects("more")
		if !again.conn.Blocked() {
			t.Error("the newer connection is read while the commit of the older one is written")
		}
		s.answer(nil)
		if again.conn.Blocked() {
			t.Error("the newer connection is not read after the commit")
		}
		again.receives("ServerInfo EXISTING, 0 waiting", "ReflectAck more", "BeginTransactionAck", "ReflectionQueueDry")
		b.begins("mine")
		b.receives("TransactionRejected, A holds the lock for settings", "Reflected 1 changed", ended, "RolePromotedToLeader")
	})
}

func TestB29_TimeToLive(t *testing.T) {
	for _, test := range []struct {
		ttl  uint32
		want time.Duration
	}{
		{0, 30 * time.Minute},
		{1, time.Second},
		{1799, 1799 * time.Second},
		{1800, 30 * time.Minute},
		{1801, 30 * time.Minute},
		{math.MaxUint32, 30 * time.Minute},
	} {
		s := newScene(t)
		a, _ := s.pair()
		a.beginsFor("contact", test.ttl)
		if at, ok := s.group.Deadline(); !ok || at.Sub(noon) != test.want {
			t.Errorf("ttl %d: the time is up after %v, want %v", test.ttl, at.Sub(noon), test.want)
		}
		s.tick(test.want - time.Nanosecond)
		a.receives("BeginTransactionAck")
		s.tick(time.Nanosecond)
		a.receives("closed 4011")
		if _, ok := s.group.Deadline(); ok {
			t.Errorf("ttl %d: something is due after the end", test.ttl)
		}
	}
}

// It runs while the ack still waits for its turn.
func TestB29_TheTimeRunsFromTheMomentTheLockIsTaken(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	b.reflects("in front")
	a.beginsFor("contact", 10)
	s.tick(10 * time.Second)
	s.commit()
	a.receives("closed 4011")
	b.receives("ReflectAck in front", "TransactionEnded, A held the lock for contact", "RolePromotedToLeader")
}

func TestB29_ScopeOfAtMostOneKiB(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	scope := strings.Repeat("x", 1024)
	b.begins(scope)
	a.begins("")
	a.receives("TransactionRejected, B holds the lock for " + scope)
	b.commits()
	b.receives("BeginTransactionAck", "CommitTransactionAck")
	b.begins(scope + "x")
	b.receives("closed 4010")
	a.takes()
	a.begins("") // an empty one is a scope, too
	a.receives("BeginTransactionAck")
}

func TestB29_Defaults(t *testing.T) {
	if c := devicegroup.DefaultConfig(); c.MaxTTL != 30*time.Minute || c.StagedBytes != 8<<20 {
		t.Errorf("defaults %+v", c)
	}
}

func TestB30_CommitWithoutTheLock(t *testing.T) {
	s := newScene(t)
	a, b, c := s.trio()
	c.commits()
	c.receives("closed 4010")
	a.begins("contact")
	b.commits()
	b.receives("closed 4010")
	a.commits()
	a.receives("BeginTransactionAck", "CommitTransactionAck")
	a.commits() // it was this device's, but it is not any more
	a.receives("closed 4010")
}

func TestB30_WhoJoinsIsToldNothingUntilTheEnd(t *testing.T) {
	s := newScene(t)
	a, _ := s.pair()
	a.begins("new device")
	a.reflects("welcome")
	c := s.connect("C", isNew)
	s.commit()
	c.receives("ServerInfo NEW, 0 waiting", "ReflectionQueueDry")
	a.commits()
	s.commit()
	c.receives("Reflected 1 welcome", "TransactionEnded, A held the lock for new device")
}

func TestB30_WhoJoinsAndTriesIsRejected(t *testing.T) {
	s := newScene(t)
	a, _ := s.pair()
	a.begins("new device")
	c := s.connect("C", isNew)
	c.begins("contact")
	s.commit()
	c.receives("ServerInfo NEW, 0 waiting", "TransactionRejected, A holds the lock for new device", "ReflectionQueueDry")
	a.ends()
	c.receives("TransactionEnded, A held the lock for new device")
}
