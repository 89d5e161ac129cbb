package d2m

import "fmt"

// GroupID names a device group: the X25519 public key of its mediator path key.
//
// It is a long-lived pseudonym of a user, so printing shows only its first four
// bytes (B42). The verbs %x and %X show all of it.
type GroupID [32]byte

// Format implements [fmt.Formatter].
func (g GroupID) Format(state fmt.State, verb rune) {
	switch verb {
	case 'x', 'X':
		fmt.Fprintf(state, fmt.FormatString(state, verb), g[:])
	default:
		fmt.Fprintf(state, "%x…", g[:4])
	}
}

// DeviceID names a device within its group. Every value is valid, 0 too.
type DeviceID uint64

// ReflectID is chosen by the device that reflects. It is echoed in the
// ReflectAck and need not be unique (B23).
type ReflectID uint32

// ReflectedID numbers what a group reflects: the low half of a 64-bit counter,
// so it wraps at 2³² (B14).
type ReflectedID uint32

// Challenge is what a device has to put into a box to prove its group. It is
// random and drawn for one connection.
type Challenge [32]byte
