package model

import (
	"time"

	"openmediator/d2m"
)

// Config holds the settings that the rules name.
type Config struct {
	MaxSlots       int           // B8
	VolatileExpiry time.Duration // B34
	MaxAbsence     time.Duration // B34; 0: for ever
	QueueMessages  int           // per slot (B22)
	QueueBytes     int64         // of envelopes, per slot (B22)
	GroupBytes     int64         // of envelopes, per group (B22)
	MaxTTL         time.Duration // of a transaction (B29)
	StagedBytes    int           // of a transaction (B26)
}

// Model is one device group.
type Model struct {
	config  Config
	now     time.Time // of the event that is being handled
	event   int       // its number
	full    bool      // the whole store is (B22)
	crowded bool      // all groups together have staged what they may (B26)

	state            // as it is for the group, stored or not
	durable    state // as a claim would find it
	flight     state // as a claim will find it if the commit in progress is stored
	flightEnds int   // the last event that it holds; 0: none is in progress
	changes    []change
	accepted   []*Message // to be stored, and not sealed yet
	lazies     lazies
	failure    d2m.CloseCode // the group is dead (B43); 0: it is not

	lock  *lock // nil: it is free
	doubt bool  // see Doubtful

	conns  []*Conn // that somebody still looks at
	leader *Conn
	dry    []*Conn // registered and run dry, in the order in which they did

	life    int    // begins anew with each claim
	latest  uint64 // the latest time at which a Reflect came, accepted or not
	reached [caseCount]int
}

// state is what a group is. A copy shares nothing that changes.
type state struct {
	slots    []*slot // in the order of their registration
	shared   []byte
	stamp    uint64     // no timestamp given out later is lower (B15), Unix milliseconds
	deferred []*Message // what other devices reflected while the lock is held, in order (B26)
	*order              // begins anew when the last slot goes
}

// slot is a device's place.
type slot struct {
	device     d2m.DeviceID
	came       int // the event with which it was made
	expiration d2m.ExpirationPolicy
	info       []byte
	queue      []*Message // what it waits for, in the order of acceptance
	warned     bool       // that it is half full
	presence
	conn *Conn // nil while the device is not connected

	// Of what is written lazily, what was sealed last.
	written   presence
	unwritten []*Message // acknowledged since
}

// presence is what is written lazily of a slot, beside its acknowledgements.
type presence struct {
	confirmed bool // B7
	connected bool
	since     uint64 // of the login, or of the leaving, Unix milliseconds
}

// New makes the model of a group that does not exist yet. drawn is the number up to which all count as drawn: 0, unless
// a test begins elsewhere (B14).
func New(config Config, drawn uint64) *Model {
	m := &Model{config: config}
	m.order = &order{from: drawn, seen: drawn, low: drawn, high: drawn}
	m.durable.order = m.order
	return m
}

// SetFull says whether the whole store has reached its limit (B22).
func (m *Model) SetFull(full bool) { m.full = full }

// begin starts an event.
func (m *Model) begin(now time.Time) {
	m.now = now
	m.event++
}

func (m *Model) slot(device d2m.DeviceID) *slot {
	for _, s := range m.slots {
		if s.device == device {
			return s
		}
	}
	return nil
}

// Devices returns who has a slot, in the order of registration.
func (m *Model) Devices() []d2m.DeviceID {
	var ids []d2m.DeviceID
	for _, s := range m.slots {
		ids = append(ids, s.device)
	}
	return ids
}

// Waiting returns how many messages wait for some slot and how many bytes their envelopes have.
func (m *Model) Waiting() (messages int, bytes int64) {
	counted := make(map[*Message]bool)
	for _, s := range m.slots {
		for _, message := range s.queue {
			if !counted[message] {
				counted[message] = true
				bytes += int64(len(message.envelope))
			}
		}
	}
	return len(counted), bytes
}

// WaitedFor says whether some slot waits for a message, or it waits for the end of the lock.
func (m *Model) WaitedFor(message *Message) bool {
	if index(m.deferred, message) >= 0 {
		return true
	}
	for _, s := range m.slots {
		if s.waitsFor(message) {
			return true
		}
	}
	return false
}

func (s *slot) waitsFor(message *Message) bool { return index(s.queue, message) >= 0 }

func index(messages []*Message, message *Message) int {
	for i := range messages {
		if messages[i] == message {
			return i
		}
	}
	return -1
}

func unixMilli(t time.Time) uint64 { return uint64(t.UnixMilli()) }
