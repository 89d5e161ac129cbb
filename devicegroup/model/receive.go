package model

import (
	"bytes"
	"time"

	"openmediator/d2m"
)

// confirmAfter is how long after ServerInfo a message confirms a registration (B7), milliseconds.
const confirmAfter = 5000

// Receive is a frame that a device sends, any but Proxy.
func (m *Model) Receive(now time.Time, c *Conn, frame []byte) {
	m.begin(now)
	if c.slot == nil {
		return
	}
	if m.Committing(c) {
		m.doubt = m.doubt || !m.CertainLock()
		m.reach(BehindCommit)
		c.backlog = append(c.backlog, bytes.Clone(frame))
		return
	}
	if c.written != 0 && unixMilli(now) > c.written+confirmAfter {
		m.confirm(c.slot, ConfirmedByTime)
	}
	message, err := d2m.Parse(frame)
	if err != nil {
		m.reach(Malformed)
		if m.holds(c) {
			m.reach(HolderMisbehaves)
		}
		m.detach(c, d2m.CloseProtocolError, m.here())
		return
	}
	switch message := message.(type) {
	case d2m.Reflect:
		m.reflect(c, message)
	case d2m.ReflectedAck:
		m.acknowledge(c, message)
	case d2m.GetDevicesInfo:
		m.devicesInfo(c)
	case d2m.DropDevice:
		m.dropDevice(c, message.DeviceID)
	case d2m.SetSharedDeviceData:
		m.setShared(message.Data)
	case d2m.BeginTransaction:
		m.beginTransaction(c, message)
	case d2m.CommitTransaction:
		m.commit(c)
	default:
		m.reach(OutOfPlace)
		m.detach(c, d2m.CloseProtocolError, m.here())
	}
}

// confirm notes that a device knows of its registration.
func (m *Model) confirm(s *slot, by Case) {
	if !s.confirmed {
		m.reach(by)
		s.confirmed = true
		m.lazily()
	}
}
