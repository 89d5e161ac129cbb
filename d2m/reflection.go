package d2m

import (
	"encoding/binary"
	"fmt"
)

// FlagEphemeral marks a message for the devices that are connected now (B20). It
// is the only flag. Others are ignored, and 0 in Reflected.
const FlagEphemeral uint16 = 0x0001

// Sizes of headers and of acks in bytes.
const (
	reflectHeaderSize   = 8  // header-length u8 · reserved u8 · flags u16 · reflect-id u32
	reflectedHeaderSize = 16 // header-length u8 · reserved u8 · flags u16 · reflected-id u32 · timestamp u64
	reflectAckSize      = 16 // reserved 4 · reflect-id u32 · timestamp u64
	reflectedAckSize    = 8  // reserved 4 · reflected-id u32
)

// Reflect hands an envelope to all other devices of the group (B14).
type Reflect struct {
	Flags    uint16 // FlagEphemeral or 0; parsing clears all other flags
	ID       ReflectID
	Envelope []byte // at most 65,516 bytes; aliases what it was parsed from
}

// Type returns [TypeReflect].
func (Reflect) Type() Type { return TypeReflect }

// Ephemeral tells whether the flag is set.
func (m Reflect) Ephemeral() bool { return m.Flags&FlagEphemeral != 0 }

// Append implements [Message]. Flags go out as they are.
func (m Reflect) Append(dst []byte) []byte {
	dst = appendContainer(dst, TypeReflect)
	dst = append(dst, reflectHeaderSize, 0)
	dst = binary.LittleEndian.AppendUint16(dst, m.Flags)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(m.ID))
	return append(dst, m.Envelope...)
}

// ParseReflect reads a payload, which the envelope aliases. A longer header than
// 8 bytes is skipped. One that is shorter or runs past the end, and an envelope
// above 65,516 bytes, are errors.
func ParseReflect(payload []byte) (Reflect, error) {
	envelope, err := cutHeader("reflect", payload, reflectHeaderSize)
	if err != nil {
		return Reflect{}, err
	}
	return Reflect{
		Flags:    binary.LittleEndian.Uint16(payload[2:]) & FlagEphemeral,
		ID:       ReflectID(binary.LittleEndian.Uint32(payload[4:])),
		Envelope: envelope,
	}, nil
}

// cutHeader returns the envelope, which starts at the header's first byte.
func cutHeader(what string, payload []byte, size int) ([]byte, error) {
	if len(payload) < size {
		return nil, fmt.Errorf("%s has %d bytes, want at least %d", what, len(payload), size)
	}
	headerLength := int(payload[0])
	if headerLength < size {
		return nil, fmt.Errorf("%s: header-length is %d, want at least %d", what, headerLength, size)
	}
	if headerLength > len(payload) {
		return nil, fmt.Errorf("%s: header-length is %d, past the end at %d", what, headerLength, len(payload))
	}
	envelope := payload[headerLength:]
	if len(envelope) > MaxEnvelopeSize {
		return nil, fmt.Errorf("%s: envelope has %d bytes, want at most %d", what, len(envelope), MaxEnvelopeSize)
	}
	return envelope, nil
}

// ReflectAck tells that a Reflect is on disk (B15).
type ReflectAck struct {
	ID        ReflectID
	Timestamp uint64 // Unix time, ms: the one that the other devices see
}

// Type returns [TypeReflectAck].
func (ReflectAck) Type() Type { return TypeReflectAck }

// Append implements [Message].
func (m ReflectAck) Append(dst []byte) []byte {
	dst = appendContainer(dst, TypeReflectAck)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(m.ID))
	return binary.LittleEndian.AppendUint64(dst, m.Timestamp)
}

// ParseReflectAck reads a payload of 16 bytes.
func ParseReflectAck(payload []byte) (ReflectAck, error) {
	if err := checkSize("reflect ack: payload", payload, reflectAckSize); err != nil {
		return ReflectAck{}, err
	}
	return ReflectAck{
		ID:        ReflectID(binary.LittleEndian.Uint32(payload[4:])),
		Timestamp: binary.LittleEndian.Uint64(payload[8:]),
	}, nil
}

// Reflected is an envelope that another device of the group reflected.
type Reflected struct {
	Flags     uint16 // FlagEphemeral or 0; parsing and Append clear all other flags
	ID        ReflectedID
	Timestamp uint64 // Unix time, ms
	Envelope  []byte // at most 65,516 bytes; aliases what it was parsed from
}

// Type returns [TypeReflected].
func (Reflected) Type() Type { return TypeReflected }

// Ephemeral tells whether the flag is set.
func (m Reflected) Ephemeral() bool { return m.Flags&FlagEphemeral != 0 }

// Append implements [Message].
func (m Reflected) Append(dst []byte) []byte {
	return append(AppendReflectedHeader(dst, m.Flags, m.ID, m.Timestamp), m.Envelope...)
}

// AppendReflectedHeader appends the 20 bytes of a Reflected that come before the
// envelope: the container and a header of 16 bytes, never another length, for
// apps cut there whatever the header says. Flags other than FlagEphemeral go out
// as 0.
func AppendReflectedHeader(dst []byte, flags uint16, id ReflectedID, timestamp uint64) []byte {
	dst = appendContainer(dst, TypeReflected)
	dst = append(dst, reflectedHeaderSize, 0)
	dst = binary.LittleEndian.AppendUint16(dst, flags&FlagEphemeral)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(id))
	return binary.LittleEndian.AppendUint64(dst, timestamp)
}

// ParseReflected reads a payload, which the envelope aliases. The rules for the
// header are those of [ParseReflect], with 16 bytes.
func ParseReflected(payload []byte) (Reflected, error) {
	envelope, err := cutHeader("reflected", payload, reflectedHeaderSize)
	if err != nil {
		return Reflected{}, err
	}
	return Reflected{
		Flags:     binary.LittleEndian.Uint16(payload[2:]) & FlagEphemeral,
		ID:        ReflectedID(binary.LittleEndian.Uint32(payload[4:])),
		Timestamp: binary.LittleEndian.Uint64(payload[8:]),
		Envelope:  envelope,
	}, nil
}

// ReflectedAck tells that a Reflected need not be delivered again (B19).
type ReflectedAck struct {
	ID ReflectedID
}

// Type returns [TypeReflectedAck].
func (ReflectedAck) Type() Type { return TypeReflectedAck }

// Append implements [Message].
func (m ReflectedAck) Append(dst []byte) []byte {
	dst = appendContainer(dst, TypeReflectedAck)
	dst = append(dst, 0, 0, 0, 0)
	return binary.LittleEndian.AppendUint32(dst, uint32(m.ID))
}

// ParseReflectedAck reads a payload of 8 bytes. The first four are reserved, and
// an app does send other values than zero there.
func ParseReflectedAck(payload []byte) (ReflectedAck, error) {
	if err := checkSize("reflected ack: payload", payload, reflectedAckSize); err != nil {
		return ReflectedAck{}, err
	}
	return ReflectedAck{ID: ReflectedID(binary.LittleEndian.Uint32(payload[4:]))}, nil
}

// ReflectionQueueDry tells that everything stored has been delivered (B10).
type ReflectionQueueDry struct{}

// Type returns [TypeReflectionQueueDry].
func (ReflectionQueueDry) Type() Type { return TypeReflectionQueueDry }

// Append implements [Message].
func (ReflectionQueueDry) Append(dst []byte) []byte {
	return appendContainer(dst, TypeReflectionQueueDry)
}

// ParseReflectionQueueDry reads a payload.
func ParseReflectionQueueDry(payload []byte) (ReflectionQueueDry, error) {
	return ReflectionQueueDry{}, parseEmpty("reflection queue dry", payload)
}

// RolePromotedToLeader tells a device that it is leader until its connection ends
// (B12, B13).
type RolePromotedToLeader struct{}

// Type returns [TypeRolePromotedToLeader].
func (RolePromotedToLeader) Type() Type { return TypeRolePromotedToLeader }

// Append implements [Message].
func (RolePromotedToLeader) Append(dst []byte) []byte {
	return appendContainer(dst, TypeRolePromotedToLeader)
}

// ParseRolePromotedToLeader reads a payload.
func ParseRolePromotedToLeader(payload []byte) (RolePromotedToLeader, error) {
	return RolePromotedToLeader{}, parseEmpty("role promoted to leader", payload)
}
