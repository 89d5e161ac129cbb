package d2m

import (
	"errors"
	"fmt"
)

// Message is one of the 21 payloads. Every struct of this package that is a
// payload implements it by value.
type Message interface {
	// Type returns the payload type.
	Type() Type
	// Append appends the whole frame, container included, to dst and returns
	// the extended slice. It does not check limits.
	Append(dst []byte) []byte
}

// Split cuts a frame into its type and payload. The payload aliases frame.
//
// A frame below 4 or above 65,536 bytes or of unknown type is an error (B40); the
// type is returned beside the last one. The reserved bytes may have any value.
func Split(frame []byte) (Type, []byte, error) {
	if len(frame) < HeaderSize {
		return 0, nil, fmt.Errorf("message has %d bytes, want at least %d", len(frame), HeaderSize)
	}
	if len(frame) > MaxMessageSize {
		return 0, nil, fmt.Errorf("message has %d bytes, want at most %d", len(frame), MaxMessageSize)
	}
	t := Type(frame[0])
	if !t.Known() {
		return t, nil, fmt.Errorf("message: payload type 0x%02x is unknown", uint8(t))
	}
	return t, frame[HeaderSize:], nil
}

// Parse reads one frame of either direction. The result is one of the structs of
// this package, never a pointer, and nil if there is an error. The bytes of a
// [Proxy], [Reflect] or [Reflected] alias frame. Every error means close code
// 4010 (B40).
func Parse(frame []byte) (Message, error) {
	t, payload, err := Split(frame)
	if err != nil {
		return nil, err
	}
	message, err := parsePayload(t, payload)
	if err != nil {
		return nil, err
	}
	return message, nil
}

func parsePayload(t Type, payload []byte) (Message, error) {
	switch t {
	case TypeProxy:
		return ParseProxy(payload)
	case TypeServerHello:
		return ParseServerHello(payload)
	case TypeClientHello:
		return ParseClientHello(payload)
	case TypeServerInfo:
		return ParseServerInfo(payload)
	case TypeReflectionQueueDry:
		return ParseReflectionQueueDry(payload)
	case TypeRolePromotedToLeader:
		return ParseRolePromotedToLeader(payload)
	case TypeGetDevicesInfo:
		return ParseGetDevicesInfo(payload)
	case TypeDevicesInfo:
		return ParseDevicesInfo(payload)
	case TypeDropDevice:
		return ParseDropDevice(payload)
	case TypeDropDeviceAck:
		return ParseDropDeviceAck(payload)
	case TypeSetSharedDeviceData:
		return ParseSetSharedDeviceData(payload)
	case TypeBeginTransaction:
		return ParseBeginTransaction(payload)
	case TypeBeginTransactionAck:
		return ParseBeginTransactionAck(payload)
	case TypeCommitTransaction:
		return ParseCommitTransaction(payload)
	case TypeCommitTransactionAck:
		return ParseCommitTransactionAck(payload)
	case TypeTransactionRejected:
		return ParseTransactionRejected(payload)
	case TypeTransactionEnded:
		return ParseTransactionEnded(payload)
	case TypeReflect:
		return ParseReflect(payload)
	case TypeReflectAck:
		return ParseReflectAck(payload)
	case TypeReflected:
		return ParseReflected(payload)
	case TypeReflectedAck:
		return ParseReflectedAck(payload)
	}
	return nil, errors.New("message: payload type is unknown")
}

// appendContainer appends type u8 · reserved 3. Reserved is zero: an app tells
// server messages apart by that.
func appendContainer(dst []byte, t Type) []byte {
	return append(dst, byte(t), 0, 0, 0)
}
