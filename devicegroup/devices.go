package devicegroup

import (
	"time"

	"openmediator/d2m"
	"openmediator/reflect"
)

// devicesInfo answers GetDevicesInfo (B31).
func (g *Group) devicesInfo(c *Conn, _ d2m.GetDevicesInfo) {
	answer := d2m.DevicesInfo{Devices: make([]d2m.DeviceInfo, 0, len(g.slots))}
	for _, s := range g.slots {
		answer.Devices = append(answer.Devices, d2m.DeviceInfo{
			ID:         s.device,
			Info:       s.info,
			Connected:  s.conn != nil,
			Since:      s.since,
			Expiration: s.expiration,
		})
	}
	g.emit(effect{kind: effectAnswer, conn: c, frame: answer.Append(nil)})
}

// dropDevice frees a slot. A device that drops itself gets the ack before its close code (B32).
func (g *Group) dropDevice(c *Conn, d d2m.DropDevice) {
	ack := effect{kind: effectAnswer, conn: c, frame: d2m.DropDeviceAck(d).Append(nil)}
	s := g.slot(d.DeviceID)
	why := Close{d2m.CloseDropped, "dropped by another device"}
	switch {
	case s == nil:
		g.emit(ack)
	case s == c.slot:
		why.Reason = "dropped by itself"
		g.storeState()
		g.emit(ack)
		g.drop(s, why)
	default:
		g.drop(s, why)
		g.emit(ack)
	}
}

// setShared replaces the encrypted shared device data (B33).
func (g *Group) setShared(_ *Conn, d d2m.SetSharedDeviceData) {
	g.shared = append([]byte{}, d.Data...)
	g.storeShared()
}

// Deadline returns when Tick is due next, if at all.
func (g *Group) Deadline() (at time.Time, ok bool) {
	at, ok = g.lockDeadline()
	for _, s := range g.slots {
		if expiry, expires := g.expiry(s); expires && (!ok || expiry.Before(at)) {
			at, ok = expiry, true
		}
	}
	return at, ok
}

// Tick does what is due at this time: a transaction ends whose time has run out (B28), slots go whose devices have been
// away for too long (B34).
func (g *Group) Tick(now time.Time) {
	g.now = now
	g.expireLock()
	for i := 0; i < len(g.slots); i++ {
		if at, expires := g.expiry(g.slots[i]); expires && !at.After(now) {
			g.note(SlotExpired)
			g.drop(g.slots[i], Close{})
			i--
		}
	}
}

// StoredDeadline returns when Tick is due for a group that nobody has claimed, from its stored state. left is as for New.
func StoredDeadline(config Config, state []byte, left time.Time) (at time.Time, ok bool, err error) {
	parsed, err := reflect.ParseState(state)
	if err != nil {
		return at, false, err
	}
	g := &Group{config: config}
	for i := range parsed.Slots {
		g.slots = append(g.slots, restoreSlot(&parsed.Slots[i], nil, left))
	}
	at, ok = g.Deadline()
	return at, ok, nil
}

// expiry returns when a slot goes whose device is not connected.
func (g *Group) expiry(s *slot) (time.Time, bool) {
	stay := g.config.MaxAbsence
	if s.expiration == d2m.Volatile {
		stay = g.config.VolatileExpiry
	}
	if s.conn != nil || stay == 0 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(s.since)).Add(stay), true
}
