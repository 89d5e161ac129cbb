package devicegroup_test

import (
	"testing"

	"openmediator/d2m"
	"openmediator/devicegroup"
)

func queueOf(messages int) func(*devicegroup.Config) {
	return func(c *devicegroup.Config) { c.QueueMessages = messages }
}

func TestB22_ASlotWithTooManyMessagesIsDropped(t *testing.T) {
	s := newScene(t, queueOf(4))
	devices := s.join("A", "B", "C")
	a, b, c := devices[0], devices[1], devices[2]
	a.reflects("1", "2")
	s.settle()
	if s.noticed(devicegroup.QueueHalfFull) != 0 {
		t.Error("half of the limit is not more than half")
	}
	c.acks("1")
	a.reflects("3")
	if s.noticed(devicegroup.QueueHalfFull) != 1 { // for B; C has acknowledged one
		t.Error("nobody was warned at half of the limit")
	}
	a.reflects("4")
	s.settle()
	c.acks("2", "3", "4")
	b.ends()
	s.settle()
	if s.group.Slots() != 3 || s.noticed(devicegroup.QueueLimit) != 0 {
		t.Error("a slot was dropped below its limit")
	}

	a.reflects("one too many")
	s.commit()
	a.receives("ReflectAck one too many")
	c.receives("Reflected 5 one too many")
	if s.group.Slots() != 2 || s.noticed(devicegroup.QueueLimit) != 1 || s.waiting() != 1 {
		t.Errorf("%d slots, %d messages wait", s.group.Slots(), s.waiting())
	}
	s.connect("B2").receives("closed 4115")
	s.crash()
	s.connect("B3").receives("closed 4115")
}

func TestB22_AConnectedDeviceIsTold(t *testing.T) {
	s := newScene(t, queueOf(2))
	a, b := s.pair()
	a.reflects("1", "2", "3")
	b.receives() // not before its slot is gone for good
	s.commit()
	b.receives("closed 4114")
	a.receives("ReflectAck 1", "ReflectAck 2", "ReflectAck 3")
	s.commitAll()
	if _, snapshot := s.stored(); len(snapshot.Messages) != 0 || len(snapshot.Blobs) != 1 {
		t.Errorf("stored: %d messages, %d device infos", len(snapshot.Messages), len(snapshot.Blobs))
	}
}

func TestB22_ASlotWithTooManyBytesIsDropped(t *testing.T) {
	s := newScene(t, func(c *devicegroup.Config) { c.QueueBytes = 100_000 })
	a, b := s.pair()
	a.reflects(text(1, 50_000))
	if s.noticed(devicegroup.QueueHalfFull) != 0 {
		t.Error("half of the limit is not more than half")
	}
	a.reflects(text(2, 50_000))
	s.settle()
	if s.noticed(devicegroup.QueueHalfFull) != 1 || s.group.Slots() != 2 {
		t.Errorf("%d slots, warned %d times", s.group.Slots(), s.noticed(devicegroup.QueueHalfFull))
	}
	a.reflects("x")
	s.commit()
	b.receives("closed 4114")
}

// A lower limit drops a slot when its device connects again and its lock ends: the newer connection hears of it, too.
func TestB22_AReplacedConnectionLosesTheSlot(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	b.reflects("1", "2", "3")
	s.settle()
	a.begins("contact")
	b.reflects("deferred")
	s.config.QueueMessages = 2
	s.group.SetConfig(s.config)
	again := s.connect("A2")
	s.commit()
	a.receives("closed 4112")
	again.receives("closed 4114")
	if s.group.Slots() != 1 || again.conn.Registered() {
		t.Errorf("%d slots, the newer connection has one: %v", s.group.Slots(), again.conn.Registered())
	}
}

// A slot that was emptied since it was half full is warned of again.
func TestB22_TheWarningComesAgain(t *testing.T) {
	s := newScene(t, queueOf(4))
	a, b := s.pair()
	for round := range 2 {
		texts := []string{"1", "2", "3", "4"}
		a.reflects(texts...)
		s.settle()
		b.acks(texts...)
		if got := s.noticed(devicegroup.QueueHalfFull); got != round+1 {
			t.Errorf("warned %d times after a queue was half full %d times", got, round+1)
		}
	}
}

func TestB22_TheGroupsLimit(t *testing.T) {
	s := newScene(t, func(c *devicegroup.Config) { c.QueueBytes, c.GroupBytes = 100_000, 120_000 })
	devices := s.join("A", "B", "C")
	a, b, c := devices[0], devices[1], devices[2]
	a.reflects(text(1, 50_000))
	b.reflects(text(2, 50_000))
	c.reflects(text(3, 20_000)) // up to the limit exactly
	s.settle()
	c.reflects("x")
	s.commit()
	c.receives("closed 1011")
	if s.waiting() != 3 || s.noticed(devicegroup.GroupLimit) != 1 || s.group.Slots() != 3 {
		t.Errorf("%d messages wait for %d slots", s.waiting(), s.group.Slots())
	}

	a.sends(d2m.GetDevicesInfo{}) // the others go on
	a.receives("DevicesInfo")
	a.reflectsEphemeral("typing") // takes no place
	b.receives("Reflected 4 typing (ephemeral)")
	b.acks(text(1, 50_000))
	b.reflects("still full, for C waits")
	s.commit()
	b.receives("closed 1011")
	again := s.connect("C2")
	s.settle()
	again.acks(text(1, 50_000))
	a.reflects("fits")
	s.commit()
	a.receives("ReflectAck fits")
}

func TestB22_TheStoresLimit(t *testing.T) {
	s := newScene(t)
	a, b := s.pair()
	a.reflects("before")
	s.settle()
	s.group.SetFull(true)
	a.reflects("too late")
	s.commit()
	a.receives("closed 1011")
	b.acks("before") // what makes room goes on
	s.commitAll()
	if _, snapshot := s.stored(); len(snapshot.Messages) != 0 {
		t.Error("acks do not count while the store is full")
	}
	s.group.SetFull(false)
	again := s.connect("A2")
	s.settle()
	again.reflects("fits")
	s.commit()
	again.receives("ReflectAck fits")
	b.takes()
}

func TestB22_AloneNothingIsStoredSoNothingIsFull(t *testing.T) {
	s := newScene(t)
	a := s.join("A")[0]
	s.group.SetFull(true)
	a.reflects("to nobody")
	a.receives("ReflectAck to nobody")
}

// The defaults are those of the rule.
func TestB22_Defaults(t *testing.T) {
	c := devicegroup.DefaultConfig()
	if c.QueueMessages != 100_000 || c.QueueBytes != 256<<20 || c.GroupBytes != 1<<30 {
		t.Errorf("defaults %+v", c)
	}
}
