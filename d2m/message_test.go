package d2m

import (
	"bytes"
	"fmt"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

func TestB5_UnlistedEnumValues(t *testing.T) {
	for _, c := range []struct {
		field byte
		what  string
	}{
		{4, "slots exhausted policy"},
		{5, "slot expiration policy"},
		{7, "expected slot state"},
	} {
		for _, value := range []uint64{2, 3, 127, 256, 1 << 31, 1<<64 - 1} {
			_, err := ParseClientHello(rawClientHello(72, protowire.AppendVarint([]byte{c.field << 3}, value)...))
			want := fmt.Sprintf("client hello: %s %d is unknown", c.what, int32(value))
			if err == nil || err.Error() != want {
				t.Errorf("error is %v, want %q", err, want)
			}
		}
		if _, err := ParseClientHello(rawClientHello(72, c.field<<3, 1)); err != nil {
			t.Error(err)
		}
	}
	if _, err := ParseServerInfo([]byte{2 << 3, 2}); err == nil {
		t.Error("server info with slot state 2 is taken")
	}
	if _, err := ParseDevicesInfo([]byte{1<<3 | 2, 4, 2<<3 | 2, 2, 3 << 3, 2}); err == nil {
		t.Error("devices info with expiration policy 2 is taken")
	}
}

func TestB5_VersionIsLookedAtFirst(t *testing.T) {
	nonsense := []byte{3<<3 | 2, 1, 0, 4 << 3, 99}
	for _, c := range []struct {
		name    string
		payload []byte
		want    uint32
	}{
		{"left out", rawClientHello(72), 0},
		{"written out", rawClientHello(72, 1<<3, 0), 0},
		{"one", []byte{1 << 3, 1}, 1},
		{"largest", protowire.AppendVarint([]byte{1 << 3}, 1<<32-1), 1<<32 - 1},
		{"the last one counts", []byte{1 << 3, 1, 1 << 3, 2}, 2},
		{"other fields of other types", append([]byte{1 << 3, 7}, nonsense...), 7},
		{"behind other fields", append(bytes.Clone(nonsense), 1<<3, 7), 7},
		{"before what is not protobuf", []byte{1 << 3, 7, 0xff}, 7},
		{"field 1 of another type", []byte{1<<3 | 2, 1, 9}, 0},
		{"empty", nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ClientHelloVersion(c.payload)
			if err != nil || got != c.want {
				t.Errorf("version is %d (%v), want %d", got, err, c.want)
			}
		})
	}
	for _, payload := range [][]byte{{0xff, 0xff, 0xff, 0xff, 0xff}, {1 << 3}, {1<<3 | 2, 9}, {2<<3 | 2, 1, 0, 0xff}} {
		if version, err := ClientHelloVersion(payload); err == nil {
			t.Errorf("%x has version %d", payload, version)
		}
	}
}

func TestB5_VersionAboveIsNoParseError(t *testing.T) {
	got, err := Parse(ClientHello{Version: 1}.Append(nil))
	if err != nil || got.(ClientHello).Version != 1 {
		t.Errorf("message is %v, error is %v", got, err)
	}
}

func TestReservedIsZero(t *testing.T) {
	for _, v := range append(readVectors(t).ProtobufFrames, readVectors(t).StructFrames...) {
		frame := v.message(t).Append(nil)
		if !bytes.Equal(frame[1:4], []byte{0, 0, 0}) {
			t.Errorf("%s: container is %x", v.Name, frame[:4])
		}
	}
}

func TestAppendKeepsWhatIsThere(t *testing.T) {
	for _, v := range append(readVectors(t).ProtobufFrames, readVectors(t).StructFrames...) {
		message := v.message(t)
		got := message.Append([]byte("before"))
		if want := append([]byte("before"), message.Append(nil)...); !bytes.Equal(got, want) {
			t.Errorf("%s: appended %x, want %x", v.Name, got, want)
		}
	}
}

// Unknown fields are those of a later version.
func TestUnknownFieldsAreIgnored(t *testing.T) {
	unknown := []byte{0xfa, 0x01, 1, 'x'} // field 31
	for _, v := range readVectors(t).ProtobufFrames {
		got, err := Parse(append(bytes.Clone(v.Frame), unknown...))
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
		} else if want := v.message(t); describe(got) != describe(want) {
			t.Errorf("%s: parsed %s, want %s", v.Name, describe(got), describe(want))
		}
	}
}

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		flags, want uint16
		ephemeral   bool
	}{{0, 0, false}, {1, 1, true}, {0xfffe, 0, false}, {0xffff, 1, true}} {
		frame := Reflect{Flags: c.flags}.Append(nil)
		if sent := uint16(frame[6]) | uint16(frame[7])<<8; sent != c.flags {
			t.Errorf("reflect goes out with flags %04x, want %04x", sent, c.flags)
		}
		reflect, err := ParseReflect(frame[HeaderSize:])
		if err != nil || reflect.Flags != c.want || reflect.Ephemeral() != c.ephemeral {
			t.Errorf("reflect with flags %04x: %+v, %v", c.flags, reflect, err)
		}
		frame = Reflected{Flags: c.flags}.Append(nil)
		if sent := uint16(frame[6]) | uint16(frame[7])<<8; sent != c.want {
			t.Errorf("reflected goes out with flags %04x, want %04x", sent, c.want)
		}
		frame[6], frame[7] = byte(c.flags), byte(c.flags>>8)
		reflected, err := ParseReflected(frame[HeaderSize:])
		if err != nil || reflected.Flags != c.want || reflected.Ephemeral() != c.ephemeral {
			t.Errorf("reflected with flags %04x: %+v, %v", c.flags, reflected, err)
		}
	}
}

// A header may be as long as its length byte can tell.
func TestHeaderLength(t *testing.T) {
	envelope := []byte("envelope")
	for _, length := range []int{8, 9, 16, 200, 255} {
		payload := make([]byte, length)
		payload[0], payload[4] = byte(length), 5
		got, err := ParseReflect(append(payload, envelope...))
		if err != nil || got.ID != 5 || !bytes.Equal(got.Envelope, envelope) {
			t.Errorf("reflect with a header of %d bytes: %+v, %v", length, got, err)
		}
		if length < 16 {
			continue
		}
		reflected, err := ParseReflected(append(payload, envelope...))
		if err != nil || reflected.ID != 5 || !bytes.Equal(reflected.Envelope, envelope) {
			t.Errorf("reflected with a header of %d bytes: %+v, %v", length, reflected, err)
		}
	}
	if header := AppendReflectedHeader(nil, 0, 0, 0); len(header) != 20 || header[4] != 16 {
		t.Errorf("reflected header is %x", header)
	}
}

func TestOwnershipOfBytes(t *testing.T) {
	aliasing := map[Type]bool{TypeProxy: true, TypeReflect: true, TypeReflected: true}
	for _, v := range append(readVectors(t).ProtobufFrames, readVectors(t).StructFrames...) {
		if v.Name == "reflect, empty envelope" {
			continue
		}
		frame := bytes.Clone(v.Frame)
		got, err := Parse(frame)
		if err != nil {
			t.Fatal(err)
		}
		before := describe(got)
		clear(frame)
		if changed := describe(got) != before; changed != aliasing[v.Type] {
			t.Errorf("%s: changed with its frame: %v, want %v", v.Name, changed, aliasing[v.Type])
		}
	}
}

func TestDevicesInfoIsSorted(t *testing.T) {
	ids := []DeviceID{1<<64 - 1, 5, 0, 1 << 63, 2}
	want := []DeviceID{0, 2, 5, 1 << 63, 1<<64 - 1}
	var message DevicesInfo
	for _, id := range ids {
		message.Devices = append(message.Devices, DeviceInfo{ID: id, Since: uint64(id), Connected: id == 5, Info: []byte{byte(id)}})
	}
	frame := message.Append(nil)
	for range 20 { // maps have another order each time
		if !bytes.Equal(message.Append(nil), frame) {
			t.Fatal("bytes differ from call to call")
		}
		parsed, err := ParseDevicesInfo(frame[HeaderSize:])
		if err != nil {
			t.Fatal(err)
		}
		if len(parsed.Devices) != len(want) {
			t.Fatalf("%d devices, want %d", len(parsed.Devices), len(want))
		}
		for i, device := range parsed.Devices {
			if device.ID != want[i] || device.Since != uint64(want[i]) || device.Connected != (want[i] == 5) {
				t.Errorf("device %d is %+v, want id %d", i, device, want[i])
			}
		}
	}
}

func TestDevicesInfoConnectionState(t *testing.T) {
	const since, last = 2 << 3, 4 << 3
	for _, c := range []struct {
		name  string
		state []byte
		want  DeviceInfo
	}{
		{"none", nil, DeviceInfo{}},
		{"connected", []byte{since, 7}, DeviceInfo{Connected: true, Since: 7}},
		{"connected since 0", []byte{since, 0}, DeviceInfo{Connected: true}},
		{"away", []byte{last, 7}, DeviceInfo{Since: 7}},
		{"away since 0", []byte{last, 0}, DeviceInfo{}},
		{"both", []byte{since, 7, last, 8}, DeviceInfo{Connected: true, Since: 7}},
	} {
		t.Run(c.name, func(t *testing.T) {
			augmented := protowire.AppendBytes([]byte{2<<3 | 2}, c.state)
			got, err := ParseDevicesInfo(protowire.AppendBytes([]byte{1<<3 | 2}, augmented))
			if err != nil {
				t.Fatal(err)
			}
			if want := (DevicesInfo{[]DeviceInfo{c.want}}); describe(got) != describe(want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// Fields go out in the order of their numbers, as other implementations write
// them, also where the state is the later of the two fields.
func TestDevicesInfoFieldOrder(t *testing.T) {
	device := DeviceInfo{ID: 1, Info: []byte{0xaa}, Since: 7, Expiration: Persistent}
	got := DevicesInfo{[]DeviceInfo{device}}.Append(nil)
	want := []byte{
		0x31, 0, 0, 0,
		1<<3 | 2, 18, 1<<3 | 1, 1, 0, 0, 0, 0, 0, 0, 0,
		2<<3 | 2, 7, 1<<3 | 2, 1, 0xaa, 3 << 3, 1, 4 << 3, 7,
	}
	if !bytes.Equal(got, want) {
		t.Errorf("encoded %x, want %x", got, want)
	}
}

func TestEnumNames(t *testing.T) {
	for got, want := range map[fmt.Stringer]string{
		SlotNew: "NEW", SlotExisting: "EXISTING", SlotState(2): "value 2",
		Reject: "REJECT", DropLeastRecent: "DROP_LEAST_RECENT",
		Volatile: "VOLATILE", Persistent: "PERSISTENT",
	} {
		if got.String() != want {
			t.Errorf("%T is %v, want %s", got, got, want)
		}
	}
}

func ExampleParse() {
	frame := Reflect{ID: 7, Envelope: []byte("sealed")}.Append(nil)

	message, err := Parse(frame)
	if err != nil {
		fmt.Println(err) // close code 4010
		return
	}
	switch m := message.(type) {
	case Reflect:
		fmt.Printf("%v %d: %s\n", m.Type(), m.ID, m.Envelope)
	default:
		fmt.Println("out of place:", m.Type())
	}

	_, err = Parse(frame[:10])
	fmt.Println(err)
	// Output:
	// Reflect 7: sealed
	// reflect has 6 bytes, want at least 8
}
