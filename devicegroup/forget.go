package devicegroup

import (
	"time"

	"openmediator/d2m"
)

// Forget drops all slots of the group, and with the last one everything that is stored for it (B34). Its connections are
// closed, for the reason why, once that is durable. It reports whether there was a slot.
func (g *Group) Forget(now time.Time, why Close) bool {
	g.now = now
	found := len(g.slots) > 0
	for len(g.slots) > 0 {
		g.drop(g.slots[0], why)
	}
	return found
}

// Drop frees the slot of a device, as another device of the group could (B32). A connection of it is closed, for the reason
// why, once that is durable. It reports whether there was such a slot.
func (g *Group) Drop(now time.Time, device d2m.DeviceID, why Close) bool {
	g.now = now
	s := g.slot(device)
	if s != nil {
		g.drop(s, why)
	}
	return s != nil
}

// Mark returns what Durable has to reach until all that was accepted by now is stored.
func (g *Group) Mark() uint64 { return g.gate() }

// Durable returns up to which mark all is stored.
func (g *Group) Durable() uint64 { return g.durable }

// Presence returns how many devices are connected, and when one was last: the latest login or leaving there is.
func (g *Group) Presence() (connected int, last time.Time) {
	for _, s := range g.slots {
		if s.conn != nil {
			connected++
		}
		if at := time.UnixMilli(int64(s.since)); at.After(last) {
			last = at
		}
	}
	return connected, last
}

// Member is a slot as an operator may see it.
type Member struct {
	Device    d2m.DeviceID
	Connected bool
	Leads     bool
	Since     time.Time // of the login if it is connected, else of the leaving
	Messages  int       // that wait for it
	Bytes     int64     // of their envelopes
}

// Members returns the slots in the order in which they came.
func (g *Group) Members() []Member {
	members := make([]Member, 0, len(g.slots))
	for _, s := range g.slots {
		m := Member{Device: s.device, Connected: s.conn != nil, Since: time.UnixMilli(int64(s.since))}
		m.Leads = m.Connected && s.conn == g.leader
		m.Messages, m.Bytes = s.cursor.Waiting()
		members = append(members, m)
	}
	return members
}
