package model

import (
	"time"

	"openmediator/d2m"
)

// Drained notes that a connection has taken all that the group had for it. If that is so, its queue has run dry (B10).
func (m *Model) Drained(now time.Time, c *Conn) {
	m.begin(now)
	ahead, stream, _ := m.Ready(c)
	if c.slot == nil || c.dry || !c.served || ahead+stream > 0 {
		return
	}
	m.reach(RanDry)
	c.dry = true
	m.dry = append(m.dry, c)
	m.place(c, d2m.ReflectionQueueDry{}, m.here())
	m.elect(m.here())
	if m.Contested() {
		m.reach(LeaderContested)
	}
}

// elect makes the connection that has been dry longest leader, if there is none (B12).
func (m *Model) elect(g gate) {
	if m.leader != nil || len(m.dry) == 0 {
		return
	}
	m.leader = m.dry[0]
	m.place(m.leader, d2m.RolePromotedToLeader{}, g)
}

// stepDown lets another connection lead, if one is left that has run dry.
func (m *Model) stepDown(c *Conn, g gate) {
	if m.leader == c {
		m.leader = nil
		if len(m.dry) > 0 {
			m.reach(LeaderFollows)
		}
		m.elect(g)
	}
}
