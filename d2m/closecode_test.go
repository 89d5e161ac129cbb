package d2m

import (
	"fmt"
	"testing"
)

func TestCloseCodes(t *testing.T) {
	for _, c := range []struct {
		code         CloseCode
		number       int
		text         string
		mayReconnect bool
	}{
		{CloseNormal, 1000, "normal", true},
		{CloseGoingAway, 1001, "server shutting down", true},
		{CloseProtocolViolation, 1002, "WebSocket protocol violation", true},
		{CloseInternal, 1011, "internal error", true},
		{CloseChatServerClosed, 4000, "chat server closed its connection", true},
		{CloseChatServerUnreachable, 4001, "chat server could not be reached", true},
		{CloseChatServerInternal, 4009, "internal error on the chat server connection", true},
		{CloseProtocolError, 4010, "protocol error", true},
		{CloseTransactionExpired, 4011, "transaction time-to-live reached", true},
		{CloseUnknownMessageAcked, 4012, "unknown message acknowledged", true},
		{CloseIdle, 4013, "client idle for too long", true},
		{CloseUnsupportedVersion, 4110, "unsupported protocol version", false},
		{CloseDeviceLimit, 4111, "device limit reached", false},
		{CloseReplaced, 4112, "the same device connected again", false},
		{CloseDropped, 4113, "dropped by another device", false},
		{CloseQueueLimit, 4114, "dropped: reflection queue limit reached", false},
		{CloseSlotState, 4115, "device slot state is not the expected one", false},
		{0, 0, "close code 0", true},
		{1006, 1006, "close code 1006", true},
		{4099, 4099, "close code 4099", true},
		{4100, 4100, "close code 4100", false},
		{4199, 4199, "close code 4199", false},
		{4200, 4200, "close code 4200", true},
	} {
		if int(c.code) != c.number || c.code.String() != c.text || c.code.MayReconnect() != c.mayReconnect {
			t.Errorf("%d is %d %q, may reconnect: %v; want %q, %v",
				c.number, c.code, c.code.String(), c.code.MayReconnect(), c.text, c.mayReconnect)
		}
		if len(c.code.String()) > MaxCloseReasonSize {
			t.Errorf("text of %d has %d bytes", c.number, len(c.code.String()))
		}
	}
}

func ExampleCloseCode_MayReconnect() {
	for _, code := range []CloseCode{CloseGoingAway, CloseDropped} {
		fmt.Println(uint16(code), code, code.MayReconnect())
	}
	// Output:
	// 1001 server shutting down true
	// 4113 dropped by another device false
}
