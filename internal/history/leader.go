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
	k.promoted, k.promotedAt = true, p
	c.leaders = append(c.leaders, k)
	return nil
}

// checkLeaders looks for a leader that was still there when another was.
func (c *checker) checkLeaders() *Violation {
	for i, next := range c.leaders {
		since := c.history.at(next.promotedAt).At
		for _, k := range c.leaders[:i] {
			if k.alive <= since {
				continue
			}
			return c.violation("B12", []place{k.promotedAt, k.proof, next.promotedAt},
				"device %d was promoted while device %d led",
				c.history.Devices[next.at.device].ID, c.history.Devices[k.at.device].ID)
		}
	}
	return nil
}
