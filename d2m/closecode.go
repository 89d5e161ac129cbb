package d2m

import "fmt"

// CloseCode is the code of a WebSocket Close frame.
type CloseCode uint16

// The codes that the mediator closes with. What a device closes with means
// nothing: any code from it is just an end.
const (
	CloseNormal            CloseCode = 1000
	CloseGoingAway         CloseCode = 1001
	CloseProtocolViolation CloseCode = 1002 // of RFC 6455 itself (B40)
	CloseInternal          CloseCode = 1011

	CloseChatServerClosed      CloseCode = 4000
	CloseChatServerUnreachable CloseCode = 4001
	CloseChatServerInternal    CloseCode = 4009

	CloseProtocolError       CloseCode = 4010
	CloseTransactionExpired  CloseCode = 4011
	CloseUnknownMessageAcked CloseCode = 4012
	CloseIdle                CloseCode = 4013

	CloseUnsupportedVersion CloseCode = 4110
	CloseDeviceLimit        CloseCode = 4111
	CloseReplaced           CloseCode = 4112
	CloseDropped            CloseCode = 4113
	CloseQueueLimit         CloseCode = 4114
	CloseSlotState          CloseCode = 4115
)

// String returns the meaning in a few words, or the number of a code that the
// protocol does not have.
func (c CloseCode) String() string {
	switch c {
	case CloseNormal:
		return "normal"
	case CloseGoingAway:
		return "server shutting down"
	case CloseProtocolViolation:
		return "WebSocket protocol violation"
	case CloseInternal:
		return "internal error"
	case CloseChatServerClosed:
		return "chat server closed its connection"
	case CloseChatServerUnreachable:
		return "chat server could not be reached"
	case CloseChatServerInternal:
		return "internal error on the chat server connection"
	case CloseProtocolError:
		return "protocol error"
	case CloseTransactionExpired:
		return "transaction time-to-live reached"
	case CloseUnknownMessageAcked:
		return "unknown message acknowledged"
	case CloseIdle:
		return "client idle for too long"
	case CloseUnsupportedVersion:
		return "unsupported protocol version"
	case CloseDeviceLimit:
		return "device limit reached"
	case CloseReplaced:
		return "the same device connected again"
	case CloseDropped:
		return "dropped by another device"
	case CloseQueueLimit:
		return "dropped: reflection queue limit reached"
	case CloseSlotState:
		return "device slot state is not the expected one"
	}
	return fmt.Sprintf("close code %d", uint16(c))
}

// MayReconnect tells whether a client may connect again by itself. After 41xx it
// stops and asks its user; after any other code, unknown ones too, it may.
func (c CloseCode) MayReconnect() bool { return c < 4100 || c > 4199 }
