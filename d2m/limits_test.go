package d2m

import (
	"bytes"
	"fmt"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

func TestSizes(t *testing.T) {
	for name, c := range map[string]struct{ got, want int }{
		"MaxMessageSize":     {MaxMessageSize, 65_536},
		"HeaderSize":         {HeaderSize, 4},
		"MaxProxyDataSize":   {MaxProxyDataSize, 65_532},
		"MaxEnvelopeSize":    {MaxEnvelopeSize, 65_516},
		"ResponseSize":       {ResponseSize, 72},
		"MaxDeviceInfoSize":  {MaxDeviceInfoSize, 4_096},
		"MaxSharedDataSize":  {MaxSharedDataSize, 8_192},
		"MaxScopeSize":       {MaxScopeSize, 1_024},
		"MaxPreauthSize":     {MaxPreauthSize, 16_384},
		"MaxCloseReasonSize": {MaxCloseReasonSize, 123},
		"ProtocolVersion":    {ProtocolVersion, 0},
	} {
		if c.got != c.want {
			t.Errorf("%s is %d, want %d", name, c.got, c.want)
		}
	}
}

// limitCase is a message at a limit and the same one byte above it.
type limitCase struct {
	rule    string
	message func(size int) Message
	limit   int
	want    string // error above the limit
}

var limitCases = []limitCase{
	{
		"B40 message", func(n int) Message { return Proxy{make([]byte, n-HeaderSize)} },
		65_536, "message has 65537 bytes, want at most 65536",
	},
	{
		"B40 envelope of reflect", func(n int) Message { return Reflect{Envelope: make([]byte, n)} },
		65_516, "reflect: envelope has 65517 bytes, want at most 65516",
	},
	{
		"B40 envelope of reflected", func(n int) Message { return Reflected{Envelope: make([]byte, n)} },
		65_516, "message has 65537 bytes, want at most 65536",
	},
	{
		"B11 device info", func(n int) Message { return ClientHello{DeviceInfo: make([]byte, n)} },
		4_096, "client hello: device info has 4097 bytes, want at most 4096",
	},
	{
		"B33 shared device data", func(n int) Message { return SetSharedDeviceData{make([]byte, n)} },
		8_192, "set shared device data: data has 8193 bytes, want at most 8192",
	},
	{
		"scope", func(n int) Message { return BeginTransaction{Scope: make([]byte, n)} },
		1_024, "begin transaction: scope has 1025 bytes, want at most 1024",
	},
}

func TestLimits(t *testing.T) {
	for _, c := range limitCases {
		t.Run(c.rule, func(t *testing.T) {
			for _, size := range []int{c.limit - 1, c.limit} {
				message := c.message(size)
				got, err := Parse(message.Append(nil))
				if err != nil {
					t.Fatalf("%d bytes: %v", size, err)
				}
				if describe(got) != describe(message) {
					t.Errorf("%d bytes come out as other bytes", size)
				}
			}
			_, err := Parse(c.message(c.limit + 1).Append(nil))
			if err == nil || err.Error() != c.want {
				t.Errorf("error is %v, want %q", err, c.want)
			}
		})
	}
}

// The payload parsers know no frame, so they keep the limits by themselves.
func TestB40_LimitsWithoutFrame(t *testing.T) {
	if _, err := ParseProxy(make([]byte, 65_533)); err == nil {
		t.Error("proxy data of 65,533 bytes is taken")
	}
	payload := AppendReflectedHeader(nil, 0, 1, 1)[HeaderSize:]
	if _, err := ParseReflected(append(payload, make([]byte, 65_517)...)); err == nil {
		t.Error("reflected envelope of 65,517 bytes is taken")
	}
}

// Limits of what a device sends do not bind what it gets.
func TestLimitsAreOfOneDirection(t *testing.T) {
	for _, message := range []Message{
		TransactionRejected{Scope: make([]byte, 2_000)},
		TransactionEnded{Scope: make([]byte, 2_000)},
		ServerInfo{SharedDeviceData: make([]byte, 10_000)},
		DevicesInfo{Devices: []DeviceInfo{{Info: make([]byte, 10_000)}}},
	} {
		if _, err := Parse(message.Append(nil)); err != nil {
			t.Error(err)
		}
	}
}

// Ten devices with the largest device info fit into one message (B11).
func TestB11_DevicesInfoOfTenSlotsFits(t *testing.T) {
	var message DevicesInfo
	for i := range 10 {
		message.Devices = append(message.Devices, DeviceInfo{
			ID: DeviceID(i), Info: make([]byte, MaxDeviceInfoSize), Since: 1 << 63, Expiration: Persistent,
		})
	}
	if size := len(message.Append(nil)); size > MaxMessageSize {
		t.Errorf("devices info has %d bytes", size)
	}
}

func TestB11_DeviceInfoMayBeEmpty(t *testing.T) {
	got, err := Parse(ClientHello{}.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.(ClientHello).DeviceInfo) != 0 {
		t.Errorf("device info is %x", got.(ClientHello).DeviceInfo)
	}
}

// rawClientHello is a ClientHello as protobuf fields, the given ones after the
// response.
func rawClientHello(responseSize int, fields ...byte) []byte {
	payload := protowire.AppendTag(nil, 2, protowire.BytesType)
	payload = protowire.AppendBytes(payload, make([]byte, responseSize))
	return append(payload, fields...)
}

func TestClientHelloResponseSize(t *testing.T) {
	for _, size := range []int{0, 71, 73} {
		want := fmt.Sprintf("client hello: response has %d bytes, want 72", size)
		if _, err := ParseClientHello(rawClientHello(size)); err == nil || err.Error() != want {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
	if _, err := ParseClientHello(rawClientHello(72)); err != nil {
		t.Error(err)
	}
}

func TestServerHelloSizes(t *testing.T) {
	hello := func(esk, challenge int) []byte {
		payload := protowire.AppendBytes([]byte{2<<3 | 2}, make([]byte, esk))
		return protowire.AppendBytes(append(payload, 3<<3|2), make([]byte, challenge))
	}
	for _, c := range []struct {
		esk, challenge int
		want           string
	}{
		{31, 32, "server hello: esk has 31 bytes, want 32"},
		{33, 32, "server hello: esk has 33 bytes, want 32"},
		{32, 31, "server hello: challenge has 31 bytes, want 32"},
		{32, 0, "server hello: challenge has 0 bytes, want 32"},
	} {
		if _, err := ParseServerHello(hello(c.esk, c.challenge)); err == nil || err.Error() != c.want {
			t.Errorf("error is %v, want %q", err, c.want)
		}
	}
	if _, err := ParseServerHello(hello(32, 32)); err != nil {
		t.Error(err)
	}
}

func TestB40_FramesCutShort(t *testing.T) {
	for _, c := range []struct {
		frame []byte
		want  string
	}{
		{nil, "message has 0 bytes, want at least 4"},
		{[]byte{0, 0, 0}, "message has 3 bytes, want at least 4"},
		{[]byte{0x22, 0, 0, 0}, "message: payload type 0x22 is unknown"},
		{[]byte{0xff, 0, 0, 0}, "message: payload type 0xff is unknown"},
		{[]byte{0x80, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0}, "reflect has 7 bytes, want at least 8"},
		{[]byte{0x80, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0}, "reflect: header-length is 7, want at least 8"},
		{[]byte{0x80, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0}, "reflect: header-length is 9, past the end at 8"},
		{append([]byte{0x82, 0, 0, 0, 15}, make([]byte, 15)...), "reflected: header-length is 15, want at least 16"},
		{append([]byte{0x82, 0, 0, 0, 17}, make([]byte, 15)...), "reflected: header-length is 17, past the end at 16"},
		{append([]byte{0x82, 0, 0, 0, 16}, make([]byte, 14)...), "reflected has 15 bytes, want at least 16"},
		{append([]byte{0x81, 0, 0, 0}, make([]byte, 15)...), "reflect ack: payload has 15 bytes, want 16"},
		{append([]byte{0x81, 0, 0, 0}, make([]byte, 17)...), "reflect ack: payload has 17 bytes, want 16"},
		{append([]byte{0x83, 0, 0, 0}, make([]byte, 7)...), "reflected ack: payload has 7 bytes, want 8"},
		{append([]byte{0x83, 0, 0, 0}, make([]byte, 9)...), "reflected ack: payload has 9 bytes, want 8"},
	} {
		m, err := Parse(c.frame)
		if err == nil || err.Error() != c.want {
			t.Errorf("%x: error is %v, want %q", c.frame, err, c.want)
		}
		if m != nil {
			t.Errorf("%x: message beside the error is %s", c.frame, describe(m))
		}
	}
}

// What is not protobuf is an error in each message that should be, those without
// fields included.
func TestB40_NotProtobuf(t *testing.T) {
	structs := map[Type]bool{
		TypeProxy: true, TypeReflect: true, TypeReflectAck: true, TypeReflected: true, TypeReflectedAck: true,
	}
	count := 0
	for i := range 256 {
		payloadType := Type(i)
		if !payloadType.Known() || structs[payloadType] {
			continue
		}
		count++
		for _, payload := range [][]byte{{0xff}, {0x0a, 0x7f, 0}, {0x00}, bytes.Repeat([]byte{0xff}, 20)} {
			if m, err := Parse(append([]byte{byte(i), 0, 0, 0}, payload...)); err == nil {
				t.Errorf("%v: %x is parsed as %s", payloadType, payload, describe(m))
			}
		}
	}
	if count != 16 {
		t.Errorf("tried %d types, want 16", count)
	}
}
