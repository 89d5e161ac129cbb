package csp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Sizes in bytes.
const (
	// LoginSize is the box of the login data, without the extensions behind it.
	LoginSize = loginDataSize + BoxOverhead
	// LoginAckSize is the box of (zeroes 4 · time u64 · queued u32).
	LoginAckSize = loginAckDataSize + BoxOverhead
	// MaxOldClientInfoSize is the longest client info of a login without
	// extensions.
	MaxOldClientInfoSize = 32

	loginDataSize    = 128
	loginAckDataSize = 16
)

// extensionIndicator stands where an older client has its client info; the size
// of the extensions' box follows, u16.
const extensionIndicator = "threema-clever-extension-field"

// loginData is identity 8 · client info or extension indicator 32 · SCK 16 ·
// zeroes 24 · vouch 32 · zeroes 16.
type loginData struct {
	identity       Identity
	extensionsSize int    // of the box; 0: none follows
	clientInfo     string // if there are no extensions
	serverCookie   Cookie
	vouch          [32]byte
}

func (d loginData) encode() (plain [loginDataSize]byte) {
	copy(plain[:8], d.identity[:])
	if d.extensionsSize > 0 {
		copy(plain[8:], extensionIndicator)
		binary.LittleEndian.PutUint16(plain[38:], uint16(d.extensionsSize))
	} else {
		copy(plain[8:40], d.clientInfo)
	}
	copy(plain[40:56], d.serverCookie[:])
	copy(plain[80:112], d.vouch[:])
	return plain
}

// parseLoginData takes zeroes for reserved: they may have any value.
func parseLoginData(plain *[loginDataSize]byte) (loginData, error) {
	d := loginData{
		identity:     Identity(plain[:8]),
		serverCookie: Cookie(plain[40:56]),
		vouch:        [32]byte(plain[80:112]),
	}
	if !d.identity.Valid() {
		return loginData{}, errors.New("login: identity has a character other than A–Z and 0–9")
	}
	info := string(plain[8:40])
	size, indicated := strings.CutPrefix(info, extensionIndicator)
	if !indicated {
		d.clientInfo = strings.ToValidUTF8(strings.TrimRight(info, "\x00"), "\uFFFD")
		return d, nil
	}
	d.extensionsSize = int(binary.LittleEndian.Uint16([]byte(size)))
	if d.extensionsSize < BoxOverhead {
		return loginData{}, fmt.Errorf("login: extensions have %d bytes, want at least %d", d.extensionsSize, BoxOverhead)
	}
	return d, nil
}

// checkOldClientInfo refuses what would not arrive as it is.
func checkOldClientInfo(info string) error {
	switch {
	case len(info) > MaxOldClientInfoSize:
		return fmt.Errorf("client info has %d bytes, at most %d", len(info), MaxOldClientInfoSize)
	case strings.HasPrefix(info, extensionIndicator):
		return errors.New("client info begins like extensions")
	}
	return nil
}

// LoginAck is the server's answer to a login that it accepts.
type LoginAck struct {
	Time   uint64 // Unix time, ms
	Queued uint32 // messages stored for this identity
}

func (a LoginAck) encode() (plain [loginAckDataSize]byte) {
	binary.LittleEndian.PutUint64(plain[4:], a.Time)
	binary.LittleEndian.PutUint32(plain[12:], a.Queued)
	return plain
}

func parseLoginAck(plain *[loginAckDataSize]byte) LoginAck {
	return LoginAck{Time: binary.LittleEndian.Uint64(plain[4:]), Queued: binary.LittleEndian.Uint32(plain[12:])}
}
