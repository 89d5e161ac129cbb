package model_test

import (
	"strings"
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup/model"
)

// story drives a model by hand: what it must accept and what it must not.
type story struct {
	*testing.T
	*model.Model
	now time.Time
}

const noon = 1_772_366_400_000 // Unix milliseconds

func newStory(t *testing.T, drawn uint64) *story {
	config := model.Config{MaxSlots: 3, VolatileExpiry: 10 * time.Minute, QueueMessages: 10, QueueBytes: 1000, GroupBytes: 5000,
		MaxTTL: time.Minute, StagedBytes: 300}
	return &story{t, model.New(config, drawn), time.UnixMilli(noon)}
}

// joins registers a device that has no slot, stores that, and lets it run dry.
func (s *story) joins(id d2m.DeviceID) *model.Conn {
	s.Helper()
	c := s.Connect(s.now, d2m.ClientHello{DeviceID: id, Expiration: d2m.Persistent})
	s.stores()
	s.gets(c, info(d2m.SlotNew, 0))
	s.Drained(s.now, c)
	s.gets(c, d2m.ReflectionQueueDry{})
	return c
}

// returns is the next connection of a device that has a slot.
func (s *story) returns(id d2m.DeviceID) *model.Conn {
	return s.Connect(s.now, d2m.ClientHello{DeviceID: id, Expiration: d2m.Persistent, Expected: d2m.SlotExisting})
}

func info(state d2m.SlotState, waiting uint32) d2m.ServerInfo {
	return d2m.ServerInfo{MaxDeviceSlots: 3, SlotState: state, CurrentTime: noon, ReflectionQueueLength: waiting}
}

func (s *story) sends(c *model.Conn, m d2m.Message) { s.Receive(s.now, c, m.Append(nil)) }

// stores is a commit of everything that succeeds.
func (s *story) stores(records ...model.Record) {
	s.Helper()
	if _, err := s.Sealed(s.now, true, records, true); err != nil {
		s.Error(err)
	}
	s.Stored(s.now)
}

func (s *story) gets(c *model.Conn, frames ...d2m.Message) {
	s.Helper()
	for _, frame := range frames {
		if err := s.Observe(c, frame.Append(nil)); err != nil {
			s.Error(err)
		}
	}
}

// mayNotGet checks that the model does not accept a frame, and names the rule.
func (s *story) mayNotGet(c *model.Conn, rule string, frame d2m.Message) {
	s.Helper()
	s.refuses(rule, s.Observe(c, frame.Append(nil)))
}

func (s *story) refuses(rule string, err error) {
	s.Helper()
	if err == nil || !strings.HasPrefix(err.Error(), rule+":") {
		s.Errorf("%v, want %s", err, rule)
	}
}

func reflected(id d2m.ReflectedID, text string) d2m.Reflected {
	return d2m.Reflected{ID: id, Timestamp: noon, Envelope: []byte(text)}
}

func TestServerInfoIsFirstAndStored(t *testing.T) {
	s := newStory(t, 0)
	c := s.Connect(s.now, d2m.ClientHello{DeviceID: 1})
	s.refuses("B15", s.Unsealed(s.now, false))
	s.refuses("B15", s.Shown())
	s.mayNotGet(c, "B15", info(d2m.SlotNew, 0))
	s.stores()
	s.mayNotGet(c, "B10", d2m.ReflectionQueueDry{})
	s.mayNotGet(c, "B7", info(d2m.SlotExisting, 0))
	s.refuses("B7", s.Complete(c))
	s.gets(c, info(d2m.SlotNew, 0))
	s.refuses("B10", s.Complete(c))
}

func TestTheFirstToRunDryLeads(t *testing.T) {
	s := newStory(t, 0)
	a := s.joins(1)
	b := s.joins(2)
	s.mayNotGet(b, "B12", d2m.RolePromotedToLeader{})
	s.gets(a, d2m.RolePromotedToLeader{})
	s.End(s.now, a)
	s.refuses("B12", s.Complete(b))
	s.gets(b, d2m.RolePromotedToLeader{})
	if err := s.Complete(b); err != nil {
		t.Error(err)
	}
}

func TestAMessageAndItsAck(t *testing.T) {
	s := newStory(t, 0)
	a, b := s.joins(1), s.joins(2)
	s.gets(a, d2m.RolePromotedToLeader{})
	s.sends(a, d2m.Reflect{ID: 7, Envelope: []byte("one")})
	s.mayNotGet(a, "B15", d2m.ReflectAck{ID: 7, Timestamp: noon})
	s.mayNotGet(b, "B15", reflected(1, "one"))
	record := model.Record{Sender: 1, Timestamp: noon, Envelope: []byte("one")}
	_, err := s.Sealed(s.now, false, nil, false)
	s.refuses("B15", err)
	_, err = s.Sealed(s.now, false, []model.Record{record, record}, false)
	s.refuses("B17", err)
	s.stores(record)
	s.mayNotGet(a, "B15", d2m.ReflectAck{ID: 8, Timestamp: noon})
	s.mayNotGet(a, "B15", d2m.ReflectAck{ID: 7, Timestamp: noon + 1})
	s.gets(a, d2m.ReflectAck{ID: 7, Timestamp: noon})
	s.mayNotGet(a, "B14", reflected(1, "one"))
	s.mayNotGet(b, "B14", reflected(1, "two"))
	s.mayNotGet(b, "B15", d2m.Reflected{ID: 1, Timestamp: noon - 1, Envelope: []byte("one")})
	s.gets(b, reflected(1, "one"))
	if n, bytes := s.Waiting(); n != 1 || bytes != 3 {
		t.Errorf("%d messages of %d bytes wait, want 1 of 3", n, bytes)
	}
	s.sends(b, d2m.ReflectedAck{ID: 1})
	if n, _ := s.Waiting(); n != 0 {
		t.Errorf("%d messages wait when all are acknowledged", n)
	}
	s.refuses("B17", s.Unsealed(s.now, true))
	s.refuses("B17", s.Unsealed(s.now.Add(time.Second), false))
}

// What is not acknowledged comes again with the same number, and no number comes a second time, a crash included.
func TestNumbersAcrossACrash(t *testing.T) {
	s := newStory(t, 1<<32-3)
	a, b := s.joins(1), s.joins(2)
	for _, text := range []string{"one", "two", "three"} {
		s.sends(a, d2m.Reflect{Envelope: []byte(text)})
		s.stores(model.Record{Sender: 1, Timestamp: noon, Envelope: []byte(text)})
	}
	s.mayNotGet(b, "B14", reflected(1<<32-3, "one"))
	s.gets(b, reflected(1<<32-2, "one"), reflected(1<<32-1, "two"))
	s.mayNotGet(b, "B14", reflected(1<<32-1, "three"))
	s.gets(b, reflected(0, "three"))
	s.sends(b, d2m.ReflectedAck{ID: 1<<32 - 1}) // not stored

	s.Claim(s.now, false)
	a, b = s.returns(1), s.returns(2)
	s.gets(b, info(d2m.SlotExisting, 3))
	s.mayNotGet(b, "B18", reflected(5, "one"))
	s.gets(b, reflected(1<<32-2, "one"), reflected(1<<32-1, "two"), reflected(0, "three"))
	s.sends(a, d2m.Reflect{Envelope: []byte("four")})
	s.stores(model.Record{Sender: 1, Timestamp: noon, Envelope: []byte("four")})
	s.mayNotGet(b, "B14", reflected(0, "four"))
	if s.CertainAck(500) {
		t.Error("it cannot be known after a crash whether 500 was drawn")
	}
	s.gets(b, reflected(1024, "four"))
	if !s.CertainAck(500) || !s.CertainAck(1025) {
		t.Error("what was drawn is known when a number has been seen")
	}
	s.sends(b, d2m.ReflectedAck{ID: 1024})
	s.sends(b, d2m.ReflectedAck{ID: 1025})
	s.refuses("B45", s.ObserveClose(b, d2m.CloseProtocolError))
	if err := s.ObserveClose(b, d2m.CloseUnknownMessageAcked); err != nil {
		t.Error(err)
	}
}

func TestADropIsStoredBeforeItsCode(t *testing.T) {
	s := newStory(t, 0)
	a, b := s.joins(1), s.joins(2)
	s.refuses("B45", s.ObserveClose(b, d2m.CloseDropped))
	s.sends(a, d2m.DropDevice{DeviceID: 2})
	s.refuses("B45", s.ObserveClose(b, d2m.CloseDropped))
	s.mayNotGet(a, "B15", d2m.DropDeviceAck{DeviceID: 2})
	s.Failed(false, d2m.CloseInternal)
	s.refuses("B45", s.ObserveClose(b, d2m.CloseDropped))
	s.refuses("B45", s.Complete(b))
	if err := s.ObserveClose(b, d2m.CloseInternal); err != nil {
		t.Error(err)
	}
	s.Claim(s.now, false)
	if n := len(s.Devices()); n != 2 {
		t.Errorf("%d devices, want 2: the drop was not stored", n)
	}
}

func TestEveryCaseHasAName(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range model.Cases() {
		if !strings.HasPrefix(c.String(), "B") || seen[c.String()] {
			t.Errorf("case %d is called %q", c, c)
		}
		seen[c.String()] = true
	}
}
