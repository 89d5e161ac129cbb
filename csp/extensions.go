package csp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// MaxExtensionsSize is the largest box of a login's extensions in bytes: its
// length goes over the wire as u16.
const MaxExtensionsSize = 65_535

// Extensions is what a client tells about itself in its login.
type Extensions struct {
	ClientInfo   string    // UTF-8; empty: not sent
	DeviceID     *DeviceID // of a multi-device client; nil: not sent
	Features     Features  // 0: not sent
	DeviceCookie *Cookie   // nil: not sent
}

// Features is a set of what a client can do. Unknown bits are kept.
type Features uint8

const (
	// FeatureMetadata is set by a client that takes messages with a metadata box.
	FeatureMetadata Features = 1 << iota
	// FeatureEcho is set by a client that answers echo requests.
	FeatureEcho
)

// The types of extensions. Each goes as type u8 · length u16 · payload.
const (
	extensionClientInfo   = 0
	extensionDeviceID     = 1
	extensionFeatures     = 2
	extensionDeviceCookie = 3

	extensionHeaderSize = 3
)

// Append appends the extensions in the clear to dst and returns the extended
// slice. It does not check that the client info fits; [NewClientHandshake] does.
func (e Extensions) Append(dst []byte) []byte {
	if e.ClientInfo != "" {
		dst = appendExtensionHeader(dst, extensionClientInfo, len(e.ClientInfo))
		dst = append(dst, e.ClientInfo...)
	}
	if e.DeviceID != nil {
		dst = appendExtensionHeader(dst, extensionDeviceID, 8)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(*e.DeviceID))
	}
	if e.Features != 0 {
		dst = appendExtensionHeader(dst, extensionFeatures, 1)
		dst = append(dst, byte(e.Features))
	}
	if e.DeviceCookie != nil {
		dst = appendExtensionHeader(dst, extensionDeviceCookie, len(e.DeviceCookie))
		dst = append(dst, e.DeviceCookie[:]...)
	}
	return dst
}

func appendExtensionHeader(dst []byte, kind byte, size int) []byte {
	return binary.LittleEndian.AppendUint16(append(dst, kind), uint16(size))
}

// ParseExtensions reads extensions in the clear. Unknown types are skipped; of a
// type that comes twice the last one counts. Errors are a length that reaches
// beyond the end, a known type with a payload of the wrong size and a client info
// that is not UTF-8. The result does not alias plain.
func ParseExtensions(plain []byte) (Extensions, error) {
	var e Extensions
	for len(plain) > 0 {
		if len(plain) < extensionHeaderSize {
			return Extensions{}, fmt.Errorf("extension has %d bytes, want at least %d", len(plain), extensionHeaderSize)
		}
		kind, size := plain[0], int(binary.LittleEndian.Uint16(plain[1:]))
		plain = plain[extensionHeaderSize:]
		if size > len(plain) {
			return Extensions{}, fmt.Errorf("extension %d: payload has %d bytes, announced are %d", kind, len(plain), size)
		}
		if err := e.set(kind, plain[:size]); err != nil {
			return Extensions{}, err
		}
		plain = plain[size:]
	}
	return e, nil
}

func (e *Extensions) set(kind byte, payload []byte) error {
	switch kind {
	case extensionClientInfo:
		if !utf8.Valid(payload) {
			return errors.New("extension 0: client info is not UTF-8")
		}
		e.ClientInfo = string(payload)
	case extensionDeviceID:
		if len(payload) != 8 {
			return fmt.Errorf("extension 1: device id has %d bytes, want 8", len(payload))
		}
		id := DeviceID(binary.LittleEndian.Uint64(payload))
		e.DeviceID = &id
	case extensionFeatures:
		if len(payload) != 1 {
			return fmt.Errorf("extension 2: features have %d bytes, want 1", len(payload))
		}
		e.Features = Features(payload[0])
	case extensionDeviceCookie:
		if len(payload) != len(Cookie{}) {
			return fmt.Errorf("extension 3: device cookie has %d bytes, want %d", len(payload), len(Cookie{}))
		}
		cookie := Cookie(payload)
		e.DeviceCookie = &cookie
	}
	return nil
}
