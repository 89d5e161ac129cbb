package history

import (
	"crypto/sha256"
	"time"

	"openmediator/d2m"
)

// History is what happened in one device group.
type History struct {
	Servers []Server // by number, from 1: Servers[0] is server 1
	Devices []Device
}

// Server is one start of the server.
type Server struct {
	Killed  bool
	At      time.Duration // of the kill, since the run's start
	Stalled time.Duration // how long it was kept from running in all, so that acks may wait longer than AckGrace
	Slowest time.Duration // the longest that an ack of a Reflect was waited for: acks of devices may wait as much longer
}

// Device is the history of one device.
type Device struct {
	ID     d2m.DeviceID
	Events []Event // At never goes back
}

// Event is something that a device did or saw.
type Event struct {
	Kind Kind
	At   time.Duration // since the run's start

	Server  int  // Connected: the server's number
	NewSlot bool // Connected: ServerInfo told of a new slot

	// Unsure is for Connected: what the device sends on this connection may be swallowed, or be on its way for longer than
	// AckGrace. An ack of it counts only if something that was sent later is answered.
	Unsure bool

	ReflectID d2m.ReflectID   // Sent, Acked
	ID        d2m.ReflectedID // Received, AckSent
	Timestamp uint64          // Acked, Received; Unix milliseconds
	Content   Content         // Sent, Received: the envelope's; BeginSent, Rejected, TransactionEnded: the scope's
	Ephemeral bool            // Sent, Received
	Holder    d2m.DeviceID    // Rejected, TransactionEnded

	// Orderly is for Ended: the server is known to have handled all that the device sent before, because it answered
	// something that was sent later.
	Orderly bool
}

// Kind is a kind of event.
type Kind uint8

const (
	Connected Kind = iota + 1 // ServerInfo arrived
	Sent                      // a Reflect is about to be written
	Acked                     // a ReflectAck arrived
	Received                  // a Reflected arrived
	AckSent                   // a ReflectedAck was written
	Dry                       // ReflectionQueueDry arrived
	Promoted                  // RolePromotedToLeader arrived
	Ended                     // the connection is over, or the device is about to end it
	Dropped                   // a DropDevice for this device is about to be written, or its slot was lost otherwise

	BeginSent        // a BeginTransaction is about to be written
	BeginAcked       // BeginTransactionAck arrived
	Rejected         // TransactionRejected arrived
	CommitSent       // a CommitTransaction is about to be written
	CommitAcked      // CommitTransactionAck arrived
	TransactionEnded // TransactionEnded arrived

	Asked    // a GetDevicesInfo is about to be written
	Answered // DevicesInfo arrived
)

// Content stands for an envelope or a scope.
type Content [16]byte

// ContentOf returns the Content of an envelope or a scope.
func ContentOf(bytes []byte) Content {
	sum := sha256.Sum256(bytes)
	return Content(sum[:])
}

// place is an event in a history.
type place struct{ device, event int }

func (h *History) at(p place) *Event { return &h.Devices[p.device].Events[p.event] }
