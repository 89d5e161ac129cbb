package csp

import (
	"fmt"
	"testing"
)

func TestPayloadTypes(t *testing.T) {
	want := map[uint8]string{
		0x00: "echo request", 0x80: "echo response",
		0x01: "outgoing message", 0x81: "outgoing message ack",
		0x02: "incoming message", 0x82: "incoming message ack",
		0x03: "unblock incoming messages",
		0x20: "set push token", 0x24: "set high-priority push token", 0x25: "delete push token",
		0x30: "set connection idle timeout",
		0xd0: "queue send complete",
		0xd2: "device cookie change indication", 0xd3: "clear device cookie change indication",
		0xe0: "close error", 0xe1: "alert",
	}
	for i := range 256 {
		name, known := want[uint8(i)]
		if !known {
			name = fmt.Sprintf("type 0x%02x", i)
		}
		if got := PayloadType(i).String(); got != name {
			t.Errorf("type %#x is named %q, want %q", i, got, name)
		}
	}
}

func TestParseMessageAck(t *testing.T) {
	want := MessageAck{Identity: Identity([]byte("*anybody")), ID: 0x0102030405060708}
	data := want.Append([]byte("before"))
	if string(data) != "before*anybody\x08\x07\x06\x05\x04\x03\x02\x01" {
		t.Errorf("encoded %q", data)
	}
	data = data[6:]
	if got, err := ParseMessageAck(data); err != nil || got != want {
		t.Errorf("parsed %+v (%v)", got, err)
	}
	for size := range 18 {
		if size == 16 {
			continue
		}
		got, err := ParseMessageAck(make([]byte, size))
		wantError(t, err, fmt.Sprintf("message ack has %d bytes, want 16", size))
		if got != (MessageAck{}) {
			t.Errorf("ack beside the error is %+v", got)
		}
	}
}

func TestParseClosed(t *testing.T) {
	for _, test := range []struct {
		data    string
		want    Closed
		encoded string
	}{
		{"\x00", Closed{}, "\x00"},
		{"\x01", Closed{MayReconnect: true}, "\x01"},
		{"\x02x", Closed{MayReconnect: true, Text: "x"}, "\x01x"},
		{"\x00Größe", Closed{Text: "Größe"}, "\x00Größe"},
		{"\x00\xffx", Closed{Text: "\uFFFDx"}, "\x00\uFFFDx"},
	} {
		got, err := ParseClosed([]byte(test.data))
		if err != nil || got != test.want {
			t.Errorf("%q is %+v (%v), want %+v", test.data, got, err, test.want)
		}
		if encoded := got.Append([]byte("before")); string(encoded) != "before"+test.encoded {
			t.Errorf("%+v is encoded as %q", got, encoded)
		}
	}
	_, err := ParseClosed(nil)
	wantError(t, err, "close error has 0 bytes, want at least 1")
}

func TestIdleTimeout(t *testing.T) {
	for asked, want := range map[IdleTimeout]IdleTimeout{
		0: 30, 29: 30, 30: 30, 31: 31, 300: 300, 599: 599, 600: 600, 601: 600, 65_535: 600,
	} {
		if got := asked.Clamp(); got != want {
			t.Errorf("%d is clamped to %d, want %d", asked, got, want)
		}
		if got, err := ParseIdleTimeout(asked.Append(nil)); err != nil || got != asked {
			t.Errorf("%d is parsed as %d (%v)", asked, got, err)
		}
	}
	if data := IdleTimeout(0x0102).Append([]byte("before")); string(data) != "before\x02\x01" {
		t.Errorf("encoded %q", data)
	}
	for _, size := range []int{0, 1, 3, 4} {
		_, err := ParseIdleTimeout(make([]byte, size))
		wantError(t, err, fmt.Sprintf("idle timeout has %d bytes, want 2", size))
	}
}
