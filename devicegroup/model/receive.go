package model

import (
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
	if c.written != 0 && unixMilli(now) > c.written+confirmAfter {
		m.confirm(c.slot, ConfirmedByTime)
	}
	message, err := d2m.Parse(frame)
	if err != nil {
		m.reach(Malformed)
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
