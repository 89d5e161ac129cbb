package devicegroup

import (
	"slices"
	"time"

	"openmediator/d2m"
)

// Drained notes that everything Next had for c has been handed to its connection: the queue has run dry (B10).
func (g *Group) Drained(now time.Time, c *Conn) {
	g.now = now
	if !g.has(c) || c.Dry() || !c.open || g.Pending(c) {
		return
	}
	c.dry = true
	g.dry = append(g.dry, c)
	g.emit(effect{kind: effectPlace, conn: c, frame: d2m.ReflectionQueueDry{}.Append(nil)})
	g.elect()
}

// elect fills the leader's place with the connection that has been dry longest (B12).
func (g *Group) elect() {
	if g.leader == nil && len(g.dry) > 0 {
		g.leader = g.dry[0]
		g.emit(effect{kind: effectPlace, conn: g.leader, frame: d2m.RolePromotedToLeader{}.Append(nil)})
	}
	if g.Contested() {
		g.probe = g.leader
	}
}

// stepDown takes a connection that leaves out of the succession.
func (g *Group) stepDown(c *Conn) {
	if i := slices.Index(g.dry, c); i >= 0 {
		g.dry = slices.Delete(g.dry, i, i+1)
	}
	if g.probe == c {
		g.probe = nil
	}
	if g.leader == c {
		g.leader = nil
		g.elect()
	}
}
