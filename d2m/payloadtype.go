package d2m

import "fmt"

// Type is the first byte of a frame.
type Type uint8

// The payload types. The comment tells who sends it.
const (
	TypeProxy                Type = 0x00 // both
	TypeServerHello          Type = 0x10 // mediator
	TypeClientHello          Type = 0x11 // device
	TypeServerInfo           Type = 0x12 // mediator
	TypeReflectionQueueDry   Type = 0x20 // mediator
	TypeRolePromotedToLeader Type = 0x21 // mediator
	TypeGetDevicesInfo       Type = 0x30 // device
	TypeDevicesInfo          Type = 0x31 // mediator
	TypeDropDevice           Type = 0x32 // device
	TypeDropDeviceAck        Type = 0x33 // mediator
	TypeSetSharedDeviceData  Type = 0x34 // device
	TypeBeginTransaction     Type = 0x40 // device
	TypeBeginTransactionAck  Type = 0x41 // mediator
	TypeCommitTransaction    Type = 0x42 // device
	TypeCommitTransactionAck Type = 0x43 // mediator
	TypeTransactionRejected  Type = 0x44 // mediator
	TypeTransactionEnded     Type = 0x45 // mediator
	TypeReflect              Type = 0x80 // device
	TypeReflectAck           Type = 0x81 // mediator
	TypeReflected            Type = 0x82 // mediator
	TypeReflectedAck         Type = 0x83 // device
)

type typeInfo struct {
	name       string
	fromDevice bool
	fromServer bool
}

var typeInfos = [256]typeInfo{
	TypeProxy:                {"Proxy", true, true},
	TypeServerHello:          {"ServerHello", false, true},
	TypeClientHello:          {"ClientHello", true, false},
	TypeServerInfo:           {"ServerInfo", false, true},
	TypeReflectionQueueDry:   {"ReflectionQueueDry", false, true},
	TypeRolePromotedToLeader: {"RolePromotedToLeader", false, true},
	TypeGetDevicesInfo:       {"GetDevicesInfo", true, false},
	TypeDevicesInfo:          {"DevicesInfo", false, true},
	TypeDropDevice:           {"DropDevice", true, false},
	TypeDropDeviceAck:        {"DropDeviceAck", false, true},
	TypeSetSharedDeviceData:  {"SetSharedDeviceData", true, false},
	TypeBeginTransaction:     {"BeginTransaction", true, false},
	TypeBeginTransactionAck:  {"BeginTransactionAck", false, true},
	TypeCommitTransaction:    {"CommitTransaction", true, false},
	TypeCommitTransactionAck: {"CommitTransactionAck", false, true},
	TypeTransactionRejected:  {"TransactionRejected", false, true},
	TypeTransactionEnded:     {"TransactionEnded", false, true},
	TypeReflect:              {"Reflect", true, false},
	TypeReflectAck:           {"ReflectAck", false, true},
	TypeReflected:            {"Reflected", false, true},
	TypeReflectedAck:         {"ReflectedAck", true, false},
}

// String returns the protocol's name, or the number of an unknown type.
func (t Type) String() string {
	if !t.Known() {
		return fmt.Sprintf("type 0x%02x", uint8(t))
	}
	return typeInfos[t].name
}

// Known tells whether the protocol has this type.
func (t Type) Known() bool { return typeInfos[t].name != "" }

// FromDevice tells whether a device may send this type.
func (t Type) FromDevice() bool { return typeInfos[t].fromDevice }

// FromServer tells whether the mediator may send this type.
func (t Type) FromServer() bool { return typeInfos[t].fromServer }
