package d2m

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"

	"openmediator/d2m/d2mpb"
)

// ResponseSize is the response to a challenge: nonce 24 · box 48.
const ResponseSize = 72

// ServerHello is the first message on a connection (B2).
type ServerHello struct {
	Version   uint32    // highest that the server speaks
	ESK       [32]byte  // ephemeral server public key, X25519
	Challenge Challenge // to be answered in ClientHello
}

// Type returns [TypeServerHello].
func (ServerHello) Type() Type { return TypeServerHello }

// Append implements [Message].
func (m ServerHello) Append(dst []byte) []byte {
	return appendProto(dst, TypeServerHello, &d2mpb.ServerHello{
		Version: m.Version, Esk: m.ESK[:], Challenge: m.Challenge[:],
	})
}

// ParseServerHello reads a payload.
func ParseServerHello(payload []byte) (ServerHello, error) {
	var pb d2mpb.ServerHello
	if err := parseProto("server hello", payload, &pb); err != nil {
		return ServerHello{}, err
	}
	if err := checkSize("server hello: esk", pb.Esk, 32); err != nil {
		return ServerHello{}, err
	}
	if err := checkSize("server hello: challenge", pb.Challenge, 32); err != nil {
		return ServerHello{}, err
	}
	return ServerHello{Version: pb.Version, ESK: [32]byte(pb.Esk), Challenge: Challenge(pb.Challenge)}, nil
}

// ClientHello is how a device registers.
type ClientHello struct {
	Version        uint32
	Response       [ResponseSize]byte
	DeviceID       DeviceID
	SlotsExhausted ExhaustedPolicy
	Expiration     ExpirationPolicy
	DeviceInfo     []byte // encrypted, at most 4,096 bytes, may be empty (B11)
	Expected       SlotState
}

// Type returns [TypeClientHello].
func (ClientHello) Type() Type { return TypeClientHello }

// Append implements [Message].
func (m ClientHello) Append(dst []byte) []byte {
	return appendProto(dst, TypeClientHello, &d2mpb.ClientHello{
		Version:                    m.Version,
		Response:                   m.Response[:],
		DeviceId:                   uint64(m.DeviceID),
		DeviceSlotsExhaustedPolicy: d2mpb.DeviceSlotsExhaustedPolicy(m.SlotsExhausted),
		DeviceSlotExpirationPolicy: d2mpb.DeviceSlotExpirationPolicy(m.Expiration),
		EncryptedDeviceInfo:        m.DeviceInfo,
		ExpectedDeviceSlotState:    d2mpb.DeviceSlotState(m.Expected),
	})
}

// ParseClientHello reads a payload. Any version is taken; see
// [ClientHelloVersion]. A response that is not 72 bytes, a device info above
// 4,096 bytes (B11) and an unlisted enum value (B5) are errors.
func ParseClientHello(payload []byte) (ClientHello, error) {
	var pb d2mpb.ClientHello
	if err := parseProto("client hello", payload, &pb); err != nil {
		return ClientHello{}, err
	}
	if err := checkSize("client hello: response", pb.Response, ResponseSize); err != nil {
		return ClientHello{}, err
	}
	if err := checkLimit("client hello: device info", pb.EncryptedDeviceInfo, MaxDeviceInfoSize); err != nil {
		return ClientHello{}, err
	}
	exhausted, err := parseEnum[ExhaustedPolicy]("client hello: slots exhausted policy", pb.DeviceSlotsExhaustedPolicy)
	if err != nil {
		return ClientHello{}, err
	}
	expiration, err := parseEnum[ExpirationPolicy]("client hello: slot expiration policy", pb.DeviceSlotExpirationPolicy)
	if err != nil {
		return ClientHello{}, err
	}
	expected, err := parseEnum[SlotState]("client hello: expected slot state", pb.ExpectedDeviceSlotState)
	if err != nil {
		return ClientHello{}, err
	}
	return ClientHello{
		Version:        pb.Version,
		Response:       [ResponseSize]byte(pb.Response),
		DeviceID:       DeviceID(pb.DeviceId),
		SlotsExhausted: exhausted,
		Expiration:     expiration,
		DeviceInfo:     pb.EncryptedDeviceInfo,
		Expected:       expected,
	}, nil
}

// ClientHelloVersion reads the version from a ClientHello's payload and looks at
// nothing else: whatever a later version makes of the other fields, a device that
// speaks it is told so (B5). What follows the first byte that is not protobuf is
// ignored if there was a version before it; else it is an error.
func ClientHelloVersion(payload []byte) (uint32, error) {
	var version uint32
	var seen bool
	for len(payload) > 0 {
		number, wireType, value, rest, ok := nextField(payload)
		if !ok {
			if seen {
				return version, nil
			}
			return 0, errors.New("client hello is not valid protobuf")
		}
		if number == 1 && wireType == protowire.VarintType {
			v, _ := protowire.ConsumeVarint(value)
			version, seen = uint32(v), true
		}
		payload = rest
	}
	return version, nil
}

// nextField cuts the first protobuf field off b.
func nextField(b []byte) (number protowire.Number, wireType protowire.Type, value, rest []byte, ok bool) {
	number, wireType, tagSize := protowire.ConsumeTag(b)
	if tagSize < 0 {
		return 0, 0, nil, nil, false
	}
	valueSize := protowire.ConsumeFieldValue(number, wireType, b[tagSize:])
	if valueSize < 0 {
		return 0, 0, nil, nil, false
	}
	b = b[tagSize:]
	return number, wireType, b[:valueSize], b[valueSize:], true
}

// ServerInfo is the mediator's answer to a ClientHello it accepts (B7, B10).
type ServerInfo struct {
	MaxDeviceSlots        uint32
	SlotState             SlotState // as it was before this registration
	SharedDeviceData      []byte    // encrypted; empty if there is none (B33)
	CurrentTime           uint64    // Unix time, ms
	ReflectionQueueLength uint32    // messages stored for this device
}

// Type returns [TypeServerInfo].
func (ServerInfo) Type() Type { return TypeServerInfo }

// Append implements [Message].
func (m ServerInfo) Append(dst []byte) []byte {
	return appendProto(dst, TypeServerInfo, &d2mpb.ServerInfo{
		MaxDeviceSlots:            m.MaxDeviceSlots,
		DeviceSlotState:           d2mpb.DeviceSlotState(m.SlotState),
		EncryptedSharedDeviceData: m.SharedDeviceData,
		CurrentTime:               m.CurrentTime,
		ReflectionQueueLength:     m.ReflectionQueueLength,
	})
}

// ParseServerInfo reads a payload.
func ParseServerInfo(payload []byte) (ServerInfo, error) {
	var pb d2mpb.ServerInfo
	if err := parseProto("server info", payload, &pb); err != nil {
		return ServerInfo{}, err
	}
	state, err := parseEnum[SlotState]("server info: slot state", pb.DeviceSlotState)
	if err != nil {
		return ServerInfo{}, err
	}
	return ServerInfo{
		MaxDeviceSlots:        pb.MaxDeviceSlots,
		SlotState:             state,
		SharedDeviceData:      pb.EncryptedSharedDeviceData,
		CurrentTime:           pb.CurrentTime,
		ReflectionQueueLength: pb.ReflectionQueueLength,
	}, nil
}
