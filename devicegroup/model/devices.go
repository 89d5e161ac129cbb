package model

import (
	"bytes"
	"time"

	"openmediator/d2m"
)

// devicesInfo answers GetDevicesInfo (B31).
func (m *Model) devicesInfo(c *Conn) {
	m.reach(AllListed)
	answer := d2m.DevicesInfo{}
	for _, s := range m.slots {
		answer.Devices = append(answer.Devices, d2m.DeviceInfo{
			ID:         s.device,
			Info:       s.info,
			Connected:  s.connected,
			Since:      s.since,
			Expiration: s.expiration,
		})
		if !s.connected {
			m.reach(AbsentListed)
		}
	}
	m.answer(c, answer, nil)
}

// dropDevice frees a slot. Whoever drops itself gets the ack before the code (B32).
func (m *Model) dropDevice(c *Conn, device d2m.DeviceID) {
	s := m.slot(device)
	own := s == c.slot
	switch {
	case s == nil:
		m.reach(DroppedUnknown)
	case own:
		m.reach(DroppedOwn)
		m.change(true)
	default:
		m.reach(DroppedOther)
	}
	if s != nil && s.conn != nil && m.holds(s.conn) {
		if own {
			m.reach(HolderDropsItself)
		} else {
			m.reach(HolderDropped)
		}
	}
	m.answer(c, d2m.DropDeviceAck{DeviceID: device}, nil)
	if s != nil {
		m.drop(s, d2m.CloseDropped)
	}
}

// setShared replaces the shared device data (B33).
func (m *Model) setShared(data []byte) {
	m.reach(SharedReplaced)
	m.change(!bytes.Equal(m.shared, data))
	m.shared = bytes.Clone(data)
}

// Deadline returns when a transaction ends for its time (B28) or a slot goes for its device's absence (B34), if any does.
func (m *Model) Deadline() (at time.Time, ok bool) {
	if m.deferring() {
		at, ok = m.lock.until, true
	}
	for _, s := range m.slots {
		if end, ends := m.expiry(s); ends && (!ok || end.Before(at)) {
			at, ok = end, true
		}
	}
	return at, ok
}

// Tick is time that passes: a transaction ends whose time has run out (B28), slots go whose devices have been away for
// too long (B34).
func (m *Model) Tick(now time.Time) {
	m.begin(now)
	if m.failure != 0 {
		return
	}
	m.expireLock()
	for i := 0; i < len(m.slots); i++ {
		s := m.slots[i]
		if end, ends := m.expiry(s); ends && !end.After(now) {
			if s.expiration == d2m.Volatile {
				m.reach(VolatileExpired)
			} else {
				m.reach(PersistentExpired)
			}
			m.drop(s, 0)
			i--
		}
	}
}

func (m *Model) expiry(s *slot) (time.Time, bool) {
	stay := m.config.MaxAbsence
	if s.expiration == d2m.Volatile {
		stay = m.config.VolatileExpiry
	}
	return time.UnixMilli(int64(s.since)).Add(stay), !s.connected && stay > 0
}
