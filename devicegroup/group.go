package devicegroup

import (
	"time"

	"openmediator/d2m"
	"openmediator/reflect"
)

// Group is one device group. See the package documentation for how it is driven.
type Group struct {
	id     d2m.GroupID
	epoch  reflect.Epoch
	config Config
	now    time.Time // of the event that is being handled

	slots  []*slot
	shared []byte // encrypted shared device data
	queue  reflect.Queue

	next    uint64 // number that is drawn next
	visible uint64 // numbers below it may be delivered
	stamped uint64 // last timestamp given out, Unix milliseconds

	leader *Conn
	dry    []*Conn // connected and run dry, in the order in which they did
	probe  *Conn

	locking
	storage
	waiting []effect // for a commit of the store, in order
	replay  []*Conn  // whose backlog is to be handled
	woken   []*Conn
	notices []Notice
	tally   Tally
}

// slot is a device's place in the group.
type slot struct {
	device     d2m.DeviceID
	expiration d2m.ExpirationPolicy
	info       []byte // encrypted device info
	confirmed  bool   // the device knows of its registration (B7)
	warned     bool   // its queue was reported as half full (B22)
	cursor     *reflect.Cursor

	// what waits for the end of the lock and is meant for this slot
	deferred      int
	deferredBytes int64

	conn  *Conn  // nil while the device is not connected
	since uint64 // of the login, or of the leaving, Unix milliseconds
}

// New makes a group of what a claim found. left is the time at which devices count as gone that were connected when
// the group was last stored: the server's start, or a later failure of its store (B31).
func New(id d2m.GroupID, config Config, snapshot *reflect.Snapshot, left time.Time) (*Group, error) {
	state, err := reflect.ParseState(snapshot.State)
	if err != nil {
		return nil, err
	}
	g := &Group{id: id, epoch: snapshot.Epoch, config: config}
	g.next = max(state.Bound, 1)
	g.bound = g.next
	g.stamped = state.LastTimestamp
	for i := range snapshot.Messages {
		g.stamped = max(g.stamped, snapshot.Messages[i].Timestamp)
	}
	cursors, deferred := g.queue.Restore(state, snapshot.Messages)
	for i := range state.Slots {
		g.slots = append(g.slots, restoreSlot(&state.Slots[i], cursors[i], left))
	}
	g.restoreBlobs(snapshot.Blobs)
	g.visible = g.next
	g.ended, g.lastLock, g.starts = state.LastLock, state.LastLock, state.Locks
	if len(deferred) > 0 {
		g.now = left
		g.restoreDeferred(deferred)
	}
	if g.queue.HasDead() {
		g.storeSoon()
	}
	return g, nil
}

func restoreSlot(s *reflect.SlotState, cursor *reflect.Cursor, left time.Time) *slot {
	since := s.Since
	if s.Connected {
		since = max(since, uint64(left.UnixMilli()))
	}
	return &slot{
		device:     s.Device,
		expiration: s.Expiration,
		info:       []byte{},
		confirmed:  s.Confirmed,
		cursor:     cursor,
		since:      since,
	}
}

func (g *Group) restoreBlobs(blobs []reflect.Blob) {
	for _, b := range blobs {
		if b.Shared {
			g.shared = b.Data
		} else if s := g.slot(b.Device); s != nil {
			s.info = b.Data
		}
	}
}

// SetConfig changes what an operator may set. What is there stays, though it be more than is allowed now: slots above
// MaxSlots make room when one more registers (B8), a queue above its limit loses its slot with the next message (B22).
// Deadline may be another one afterwards.
func (g *Group) SetConfig(config Config) { g.config = config }

// ID returns the device group id.
func (g *Group) ID() d2m.GroupID { return g.id }

// Epoch returns the claim under which the group is stored.
func (g *Group) Epoch() reflect.Epoch { return g.epoch }

// Slots returns how many device slots are taken.
func (g *Group) Slots() int { return len(g.slots) }

// Waiting returns how many messages wait in the group and how many bytes their envelopes have.
func (g *Group) Waiting() (messages int, bytes int64) { return g.queue.Len(), g.queue.Bytes() }

// SetFull says whether the whole store has reached its limit: then a Reflect that would have to be stored is refused
// like one that exceeds the group's limit (B22).
func (g *Group) SetFull(full bool) { g.full = full }

// Leader returns the connection that leads, or nil (B12).
func (g *Group) Leader() *Conn { return g.leader }

// Contested says whether another connection waits to lead (B13).
func (g *Group) Contested() bool { return g.leader != nil && len(g.dry) > 1 }

// Probe returns, once each time it becomes contested, the connection that leads: it is to be pinged at once (B13).
func (g *Group) Probe() *Conn {
	c := g.probe
	g.probe = nil
	return c
}

// Notice is something an operator should know of. It names nobody.
type Notice uint8

const (
	QueueHalfFull   Notice = iota // a slot's queue has reached half of a limit (B22)
	QueueLimit                    // a slot was dropped for its queue (B22)
	GroupLimit                    // a Reflect was not taken for the group's limit (B22)
	EphemeralsLost                // ephemerals were lost for a device that is too far behind (B21)
	SlotExpired                   // a slot was dropped for its device's absence (B34)
	LeastRecentDrop               // a slot was dropped to make room (B8)
	StagedLimit                   // a transaction was ended for what it had staged (B26)
	MessageDamaged                // a stored message was left out for a device: it cannot be read
)

// Notices returns what has happened since the last call. The slice is valid until the next event.
func (g *Group) Notices() []Notice {
	notices := g.notices
	g.notices = g.notices[:0]
	return notices
}

func (g *Group) note(n Notice) { g.notices = append(g.notices, n) }

// Woken returns the connections that may have something to be sent since the last call, each once. The slice is valid
// until the next event.
func (g *Group) Woken() []*Conn {
	woken := g.woken
	for _, c := range woken {
		c.woken = false
	}
	g.woken = g.woken[:0]
	return woken
}

func (g *Group) wake(c *Conn) {
	if !c.woken {
		c.woken = true
		g.woken = append(g.woken, c)
	}
}

func (g *Group) slot(device d2m.DeviceID) *slot {
	for _, s := range g.slots {
		if s.device == device {
			return s
		}
	}
	return nil
}

// stamp returns the time of acceptance of a message: the clock's, but never before the last one (B15).
func (g *Group) stamp() uint64 {
	g.stamped = max(g.stamped, unixMilli(g.now))
	return g.stamped
}

func unixMilli(t time.Time) uint64 { return uint64(max(t.UnixMilli(), 0)) }
