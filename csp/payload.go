package csp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Payload is what a frame holds.
type Payload struct {
	Type PayloadType
	Data []byte // at most [MaxDataSize]
}

// PayloadType is the first byte of a payload. Unknown and obsolete types are to be
// ignored.
type PayloadType uint8

// The payload types, with who sends it and what its data is.
const (
	EchoRequest              PayloadType = 0x00 // both: any
	OutgoingMessage          PayloadType = 0x01 // client: Message
	IncomingMessage          PayloadType = 0x02 // server: Message
	UnblockIncoming          PayloadType = 0x03 // client: empty
	SetPushToken             PayloadType = 0x20 // client: ignored
	SetHighPriorityPushToken PayloadType = 0x24 // client: ignored
	DeletePushToken          PayloadType = 0x25 // client: ignored
	SetIdleTimeout           PayloadType = 0x30 // client: IdleTimeout
	EchoResponse             PayloadType = 0x80 // both: that of the request
	OutgoingMessageAck       PayloadType = 0x81 // server: MessageAck, of the receiver
	IncomingMessageAck       PayloadType = 0x82 // client: MessageAck, of the sender
	QueueSendComplete        PayloadType = 0xd0 // server: empty
	DeviceCookieChange       PayloadType = 0xd2 // server: empty
	ClearDeviceCookieChange  PayloadType = 0xd3 // client: empty
	CloseError               PayloadType = 0xe0 // server: Closed
	Alert                    PayloadType = 0xe1 // server: UTF-8 text
)

var payloadNames = map[PayloadType]string{
	EchoRequest:              "echo request",
	OutgoingMessage:          "outgoing message",
	IncomingMessage:          "incoming message",
	UnblockIncoming:          "unblock incoming messages",
	SetPushToken:             "set push token",
	SetHighPriorityPushToken: "set high-priority push token",
	DeletePushToken:          "delete push token",
	SetIdleTimeout:           "set connection idle timeout",
	EchoResponse:             "echo response",
	OutgoingMessageAck:       "outgoing message ack",
	IncomingMessageAck:       "incoming message ack",
	QueueSendComplete:        "queue send complete",
	DeviceCookieChange:       "device cookie change indication",
	ClearDeviceCookieChange:  "clear device cookie change indication",
	CloseError:               "close error",
	Alert:                    "alert",
}

// String returns the protocol's name, or the number of an unknown type.
func (t PayloadType) String() string {
	if name := payloadNames[t]; name != "" {
		return name
	}
	return fmt.Sprintf("type 0x%02x", uint8(t))
}

// messageAckSize is identity 8 · message id 8.
const messageAckSize = 16

// MessageAck acks one message: the server an outgoing one to its sender, the
// client an incoming one.
type MessageAck struct {
	Identity Identity // the receiver of an outgoing message, the sender of an incoming one
	ID       MessageID
}

// Append appends the payload's data to dst and returns the extended slice.
func (a MessageAck) Append(dst []byte) []byte {
	return binary.LittleEndian.AppendUint64(append(dst, a.Identity[:]...), uint64(a.ID))
}

// ParseMessageAck reads exactly 16 bytes. The identity may be invalid.
func ParseMessageAck(data []byte) (MessageAck, error) {
	if len(data) != messageAckSize {
		return MessageAck{}, fmt.Errorf("message ack has %d bytes, want %d", len(data), messageAckSize)
	}
	return MessageAck{Identity: Identity(data[:8]), ID: MessageID(binary.LittleEndian.Uint64(data[8:]))}, nil
}

// Closed is why the server ends a connection, the last thing that it sends.
type Closed struct {
	MayReconnect bool
	Text         string // UTF-8, at most MaxDataSize − 1 bytes
}

// Append appends the payload's data to dst and returns the extended slice.
func (c Closed) Append(dst []byte) []byte {
	var mayReconnect byte
	if c.MayReconnect {
		mayReconnect = 1
	}
	return append(append(dst, mayReconnect), c.Text...)
}

// ParseClosed reads a payload's data. Any first byte but 0 means that the client
// may reconnect, and what is not UTF-8 is replaced by U+FFFD. The only error is
// data without a byte.
func ParseClosed(data []byte) (Closed, error) {
	if len(data) == 0 {
		return Closed{}, errors.New("close error has 0 bytes, want at least 1")
	}
	return Closed{MayReconnect: data[0] != 0, Text: strings.ToValidUTF8(string(data[1:]), "\uFFFD")}, nil
}

// IdleTimeout is after how many seconds without a frame the server closes a
// connection. What a client asks for is clamped by the server.
type IdleTimeout uint16

// Values of IdleTimeout, in seconds.
const (
	MinIdleTimeout     IdleTimeout = 30
	DefaultIdleTimeout IdleTimeout = 300
	MaxIdleTimeout     IdleTimeout = 600
)

// Append appends the payload's data to dst and returns the extended slice.
func (t IdleTimeout) Append(dst []byte) []byte {
	return binary.LittleEndian.AppendUint16(dst, uint16(t))
}

// ParseIdleTimeout reads exactly two bytes. The value may be out of range; see
// [IdleTimeout.Clamp].
func ParseIdleTimeout(data []byte) (IdleTimeout, error) {
	if len(data) != 2 {
		return 0, fmt.Errorf("idle timeout has %d bytes, want 2", len(data))
	}
	return IdleTimeout(binary.LittleEndian.Uint16(data)), nil
}

// Clamp returns the nearest value from 30 to 600.
func (t IdleTimeout) Clamp() IdleTimeout { return min(max(t, MinIdleTimeout), MaxIdleTimeout) }
