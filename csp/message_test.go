package csp

import (
	"bytes"
	"fmt"
	"testing"
)

var fullMessage = Message{
	Sender: Identity([]byte("SENDER01")), Receiver: Identity([]byte("*anybody")), ID: 0x0102030405060708,
	CreatedAt: 0x11121314, Flags: FlagPush | FlagDoNotQueue | FlagNoAck | FlagShortLived | FlagNoDeliveryReceipt,
	Nickname: [32]byte{0: 'n', 31: 'e'}, Metadata: []byte("metadata"), Nonce: [24]byte{0: 'f', 23: 'l'}, Box: []byte("box"),
}

func sameMessage(t *testing.T, got, want Message) {
	t.Helper()
	if describeMessage(got) != describeMessage(want) {
		t.Errorf("message is\n%s, want\n%s", describeMessage(got), describeMessage(want))
	}
}

// describeMessage makes no difference between nil and empty bytes.
func describeMessage(m Message) string { return fmt.Sprintf("%+v", m) }

func TestMessageLayout(t *testing.T) {
	got, err := fullMessage.Append([]byte("before"))
	if err != nil {
		t.Fatal(err)
	}
	want := "before" + "SENDER01" + "*anybody" + "\x08\x07\x06\x05\x04\x03\x02\x01" + "\x14\x13\x12\x11" + "\xa7" + "\x00" +
		"\x08\x00" + "n" + string(make([]byte, 30)) + "e" + "metadata" + "f" + string(make([]byte, 22)) + "l" + "box"
	if string(got) != want {
		t.Errorf("encoded\n%q, want\n%q", got, want)
	}
	parsed, err := ParseMessage(got[6:])
	if err != nil {
		t.Fatal(err)
	}
	sameMessage(t, parsed, fullMessage)
}

func TestMessageReservedByte(t *testing.T) {
	data, err := fullMessage.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	data[29] = 0xff
	parsed, err := ParseMessage(data)
	if err != nil {
		t.Fatal(err)
	}
	sameMessage(t, parsed, fullMessage)
}

func TestMessageLimits(t *testing.T) {
	for _, test := range []struct{ metadata, box int }{
		{0, 0}, {0, 8084}, {8084, 0}, {52, 8032}, {1, 1}, {256, 255},
	} {
		m := Message{Metadata: bytes.Repeat([]byte{1}, test.metadata), Box: bytes.Repeat([]byte{2}, test.box)}
		data, err := m.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := ParseMessage(data)
		if err != nil {
			t.Fatal(err)
		}
		sameMessage(t, parsed, m)
		if len(data) != 88+test.metadata+test.box || len(data) > MaxDataSize {
			t.Errorf("message has %d bytes", len(data))
		}
	}
	for _, test := range []struct{ metadata, box int }{
		{0, 8085}, {8085, 0}, {52, 8033}, {65_535, 0}, {65_536, 0}, {65_552, 16},
	} {
		dst, err := Message{Metadata: make([]byte, test.metadata), Box: make([]byte, test.box)}.Append([]byte("before"))
		wantError(t, err, fmt.Sprintf("message: boxes have %d bytes, at most 8084", test.metadata+test.box))
		if string(dst) != "before" {
			t.Errorf("%q is appended beside the error", dst)
		}
	}
}

func TestParseMessageRefuses(t *testing.T) {
	short, err := Message{Metadata: []byte("mm"), Box: []byte("b")}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	withLength := func(low, high byte) []byte {
		data := bytes.Clone(short)
		data[30], data[31] = low, high
		return data
	}
	for _, test := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "message has 0 bytes, want at least 88"},
		{"header alone", short[:64], "message has 64 bytes, want at least 88"},
		{"a byte short", short[:87], "message has 87 bytes, want at least 88"},
		{"metadata cut", short[:89], "message: metadata has 2 bytes, at most 1 fit"},
		{"without metadata", short[:88], "message: metadata has 2 bytes, at most 0 fit"},
		{"metadata takes the box", withLength(3, 0), ""},
		{"metadata takes of the nonce", withLength(4, 0), "message: metadata has 4 bytes, at most 3 fit"},
		{"metadata beyond the end", withLength(28, 0), "message: metadata has 28 bytes, at most 3 fit"},
		{"longest metadata", withLength(0xff, 0xff), "message: metadata has 65535 bytes, at most 3 fit"},
		{"longest", make([]byte, 8172), ""},
		{"too long", make([]byte, 8173), "message has 8173 bytes, at most 8172"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, err := ParseMessage(test.data)
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, test.want)
			sameMessage(t, m, Message{})
		})
	}
}

func TestMessageAliasesItsData(t *testing.T) {
	data, err := fullMessage.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParseMessage(data)
	if err != nil {
		t.Fatal(err)
	}
	if &m.Metadata[0] != &data[64] || &m.Box[0] != &data[64+8+24] {
		t.Error("boxes do not alias the data")
	}
	_ = append(m.Metadata, 'X')
	if data[64+8] != 'f' {
		t.Error("appending to the metadata overwrites the nonce")
	}
	copied := m
	clear(data)
	if copied.Nonce != fullMessage.Nonce || copied.Nickname != fullMessage.Nickname || copied.Sender != fullMessage.Sender {
		t.Error("a field changes with the data")
	}
}
