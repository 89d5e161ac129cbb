package history

// promote takes a RolePromotedToLeader.
func (c *checker) promote(d *device, p place) *Violation {
	k := d.connection
	switch {
	case !k.dry:
		return c.violation("B10", []place{p}, "device %d was promoted before its queue ran dry", d.id)
	case k.promoted:
		return c.violation("B12", []place{k.promotedAt, p}, "device %d was promoted twice on one connection", d.id)
	}
	k.promoted, k.promotedAt, k.promotedAfter = true, p, k.heard
	c.leaders = append(c.leaders, k)
	return nil
}

// checkLeaders looks for two leaders at a time.
func (c *checker) checkLeaders() *Violation {
	for i, next := range c.leaders {
		for _, k := range c.leaders[:i] {
			proof, two := c.ledTogether(k, next)
			if !two {
				continue
			}
			return c.violation("B12", []place{k.promotedAt, proof, next.promotedAt},
				"device %d was promoted while device %d led",
				c.history.Devices[next.at.device].ID, c.history.Devices[k.at.device].ID)
		}
	}
	return nil
}

// ledTogether says whether two connections are known to have led at the same time. What a device reads may be old: its
// connection may be over, and another may lead already. So a leader is known to lead from the promotion to the last proof
// that its connection was in the group, and to have begun after what was sent of the latest that it had received before.
func (c *checker) ledTogether(k, next *connection) (proof place, two bool) {
	first, second := c.history.at(k.promotedAt).At, c.history.at(next.promotedAt).At
	switch both := max(first, second); {
	case both < k.alive && both < next.alive, first < next.promotedAfter && second < k.alive:
		return k.proof, true
	case second < k.promotedAfter && first < next.alive:
		return next.proof, true
	}
	return place{}, false
}
