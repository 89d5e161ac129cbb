package csp

import (
	"errors"
	"fmt"
	"io"
)

// Identity names a user: eight characters A–Z and 0–9.
type Identity [8]byte

// ParseIdentity reads what [Identity.String] writes.
func ParseIdentity(text string) (Identity, error) {
	if len(text) != len(Identity{}) {
		return Identity{}, fmt.Errorf("identity has %d bytes, want %d", len(text), len(Identity{}))
	}
	id := Identity([]byte(text))
	if !id.Valid() {
		return Identity{}, errors.New("identity has a character other than A–Z and 0–9")
	}
	return id, nil
}

// Valid tells whether all eight characters are A–Z or 0–9. An Identity that was
// parsed out of a message or an ack need not be.
func (id Identity) Valid() bool {
	for _, c := range id {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// String returns the eight characters; of an invalid identity it quotes them.
func (id Identity) String() string {
	if !id.Valid() {
		return fmt.Sprintf("%q", id[:])
	}
	return string(id[:])
}

// DeviceID is the CSP device id of a multi-device client. It is not the one of
// package d2m. Every value is valid, 0 too.
type DeviceID uint64

// MessageID is chosen by the sender of a message. Receivers know a message by
// sender and id.
type MessageID uint64

// String returns 16 hexadecimal digits, the highest first.
func (id MessageID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// Cookie is 16 random bytes: of a side of a connection, where it begins the nonces
// of what that side sends, or of a device ([Extensions]).
type Cookie [16]byte

// Format implements [fmt.Formatter] and prints no byte of it: a device cookie is
// what tells a device from a copy of it.
func (Cookie) Format(state fmt.State, _ rune) { io.WriteString(state, "csp.Cookie") }
