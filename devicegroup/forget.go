package devicegroup

import "time"

// Forget drops all slots of the group, and with the last one everything that is stored for it (B34). Its connections are
// closed, for the reason why, once that is durable.
func (g *Group) Forget(now time.Time, why Close) {
	g.now = now
	for len(g.slots) > 0 {
		g.drop(g.slots[0], why)
	}
}

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
