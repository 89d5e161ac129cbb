package model

import (
	"fmt"
	"strings"

	"openmediator/d2m"
)

// Words describes a frame for a reader.
func Words(frame d2m.Message) string {
	switch f := frame.(type) {
	case d2m.ServerInfo:
		return fmt.Sprintf("ServerInfo %v, %d waiting, shared %s, at %d",
			f.SlotState, f.ReflectionQueueLength, Bytes(f.SharedDeviceData), f.CurrentTime)
	case d2m.DevicesInfo:
		return "DevicesInfo" + devicesWords(f)
	case d2m.DropDevice:
		return fmt.Sprintf("DropDevice %d", f.DeviceID)
	case d2m.DropDeviceAck:
		return fmt.Sprintf("DropDeviceAck %d", f.DeviceID)
	case d2m.SetSharedDeviceData:
		return "SetSharedDeviceData " + Bytes(f.Data)
	case d2m.Reflect:
		return fmt.Sprintf("Reflect%s, id %d, %s", ephemeralWord(f.Ephemeral()), f.ID, Bytes(f.Envelope))
	case d2m.ReflectAck:
		return fmt.Sprintf("ReflectAck of id %d at %d", f.ID, f.Timestamp)
	case d2m.Reflected:
		return fmt.Sprintf("Reflected%s #%d, %s, at %d", ephemeralWord(f.Ephemeral()), f.ID, Bytes(f.Envelope), f.Timestamp)
	case d2m.ReflectedAck:
		return fmt.Sprintf("ReflectedAck #%d", f.ID)
	case d2m.BeginTransaction:
		return fmt.Sprintf("BeginTransaction %s, ttl %d s", Bytes(f.Scope), f.TTL)
	case d2m.TransactionRejected:
		return fmt.Sprintf("TransactionRejected: device %d has it for %s", f.DeviceID, Bytes(f.Scope))
	case d2m.TransactionEnded:
		return fmt.Sprintf("TransactionEnded: device %d had it for %s", f.DeviceID, Bytes(f.Scope))
	}
	return frame.Type().String()
}

func (i *item) words() string {
	switch f := i.frame.(type) {
	case d2m.ReflectAck:
		return fmt.Sprintf("ReflectAck of id %d", f.ID)
	case d2m.Reflected:
		return fmt.Sprintf("Reflected%s %s", ephemeralWord(i.message.ephemeral), Bytes(i.message.envelope))
	}
	return Words(i.frame)
}

func ephemeralWord(ephemeral bool) string {
	if ephemeral {
		return " ephemeral"
	}
	return ""
}

func devicesWords(f d2m.DevicesInfo) string {
	var b strings.Builder
	for _, d := range f.Devices {
		word := "gone"
		if d.Connected {
			word = "connected"
		}
		fmt.Fprintf(&b, " [%d %v, %s at %d, info %s]", d.ID, d.Expiration, word, d.Since, Bytes(d.Info))
	}
	return b.String()
}

// Bytes describes opaque bytes: how they begin, and how many there are.
func Bytes(b []byte) string {
	const shown = 12
	if len(b) <= shown {
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("%q… (%d bytes)", b[:shown], len(b))
}
