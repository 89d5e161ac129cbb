package devicekeys

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"openmediator/d2m"
)

// paddedWith is a random source that asks for a padding of size bytes of 0xee.
func paddedWith(size byte) *bytes.Reader {
	return bytes.NewReader(append([]byte{size}, bytes.Repeat([]byte{0xee}, 255)...))
}

var kinds = []struct {
	kind  Kind
	field int
	name  string
}{
	{KindOutgoingMessage, 2, "outgoing message"},
	{KindIncomingMessage, 4, "incoming message"},
	{KindUserProfileSync, 5, "user profile sync"},
	{KindContactSync, 6, "contact sync"},
	{KindGroupSync, 7, "group sync"},
	{KindDistributionListSync, 8, "distribution list sync"},
	{KindSettingsSync, 9, "settings sync"},
	{KindOutgoingMessageUpdate, 10, "outgoing message update"},
	{KindIncomingMessageUpdate, 11, "incoming message update"},
	{KindMDMParameterSync, 12, "MDM parameter sync"},
}

func TestEnvelopeKinds(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			envelope := Envelope{Device: 1 << 63, ProtocolVersion: 3, Kind: k.kind, Content: []byte("content")}
			plain, err := envelope.Append(nil, paddedWith(0))
			if err != nil {
				t.Fatal(err)
			}
			content := append([]byte{byte(k.field<<3 | 2), 7}, "content"...)
			if !bytes.Contains(plain, content) {
				t.Errorf("%x does not hold field %d", plain, k.field)
			}
			checkEnvelope(t, plain, envelope)
			if k.kind.String() != k.name {
				t.Errorf("kind is %v", k.kind)
			}
			// Empty content is content all the same.
			envelope.Content = nil
			if plain, err = envelope.Append(nil, paddedWith(0)); err != nil {
				t.Fatal(err)
			}
			checkEnvelope(t, plain, envelope)
		})
	}
}

func checkEnvelope(t *testing.T, plain []byte, want Envelope) {
	t.Helper()
	got, err := ParseEnvelope(plain)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("parsed %+v, want %+v", got, want)
	}
}

// The fields as keys.md has them, and ours.
func TestEnvelopeBytes(t *testing.T) {
	plain, err := Envelope{Device: 1, ProtocolVersion: 2, Text: "hi"}.Append([]byte("before"), paddedWith(3))
	if err != nil {
		t.Fatal(err)
	}
	want := []byte("before")
	want = append(want, 1<<3|2, 3, 0xee, 0xee, 0xee)
	want = append(want, 3<<3, 2)
	want = append(want, 13<<3|1, 1, 0, 0, 0, 0, 0, 0, 0)
	want = protowire.AppendTag(want, textField, protowire.BytesType)
	want = append(want, 2, 'h', 'i')
	if !bytes.Equal(plain, want) {
		t.Errorf("encoded %x, want %x", plain, want)
	}
}

const textField = 8440

func TestTextFieldIsNoneOfTheApps(t *testing.T) {
	if textField <= 1000 {
		t.Errorf("text has field %d, want one above 1000", textField)
	}
	plain, err := Envelope{Text: "line"}.Append(nil, paddedWith(0))
	if err != nil {
		t.Fatal(err)
	}
	number, _, size := protowire.ConsumeField(plain)
	if number != textField || size != len(plain) {
		t.Errorf("plain starts with field %d of %d bytes, want field %d alone in %d", number, size, textField, len(plain))
	}
}

func TestEnvelopesThatCannotBeEncoded(t *testing.T) {
	for _, c := range []struct {
		name     string
		envelope Envelope
		want     string
	}{
		{"unlisted kind", Envelope{Kind: 3}, "envelope: kind 3 is unknown"},
		{"padding as kind", Envelope{Kind: 1}, "envelope: kind 1 is unknown"},
		{"content without kind", Envelope{Content: []byte{1}}, "envelope: content without a kind"},
		{"text", Envelope{Text: "\xff"}, "envelope: text is not valid UTF-8"},
		{
			"too large", Envelope{Text: strings.Repeat("x", MaxEnvelopePlainSize-6+1)},
			"envelope has 65477 bytes, want at most 65476",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			plain, err := c.envelope.Append([]byte("before"), rand.Reader)
			if err == nil || err.Error() != c.want {
				t.Errorf("error is %v, want %q", err, c.want)
			}
			if string(plain) != "before" {
				t.Errorf("error comes with %x", plain)
			}
		})
	}
}

func TestUnknownContentIsNone(t *testing.T) {
	later := protowire.AppendBytes([]byte{15<<3 | 2}, []byte("later"))
	checkEnvelope(t, append(later, 3<<3, 9), Envelope{ProtocolVersion: 9})
	checkEnvelope(t, nil, Envelope{})
}

func TestContentsThatAreNotProtobuf(t *testing.T) {
	for _, plain := range []string{"\xff", "\x0a\x7f", "\x00"} {
		if _, err := ParseEnvelope([]byte(plain)); err == nil || err.Error() != "envelope is not valid protobuf" {
			t.Errorf("envelope %x: error is %v", plain, err)
		}
		if _, err := ParseDeviceInfo([]byte(plain)); err == nil || err.Error() != "device info is not valid protobuf" {
			t.Errorf("device info %x: error is %v", plain, err)
		}
	}
}

func TestPaddingLengths(t *testing.T) {
	bare, err := Envelope{Text: "x"}.Append(nil, paddedWith(0))
	if err != nil {
		t.Fatal(err)
	}
	for size, overhead := range map[int]int{1: 2, 127: 2, 128: 3, 255: 3} {
		plain, err := Envelope{Text: "x"}.Append(nil, paddedWith(byte(size)))
		if err != nil {
			t.Fatal(err)
		}
		if len(plain) != len(bare)+overhead+size {
			t.Errorf("padding of %d makes %d bytes of %d", size, len(plain), len(bare))
		}
		checkEnvelope(t, plain, Envelope{Text: "x"})
	}
}

func TestPaddingIsRandom(t *testing.T) {
	envelopes, infos := map[int]bool{}, map[int]bool{}
	for range 200 {
		envelope, err := Envelope{Text: "x"}.Append(nil, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		info, err := DeviceInfo{Label: "x"}.Append(nil, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		envelopes[len(envelope)], infos[len(info)] = true, true
	}
	// Of 256 lengths, 200 draws hit 139 on average, and below 80 never.
	if len(envelopes) < 80 || len(infos) < 80 {
		t.Errorf("%d and %d lengths in 200 contents", len(envelopes), len(infos))
	}
}

// Padding never makes something too large that would have fitted without it.
func TestPaddingLeavesRoom(t *testing.T) {
	for missing := range 300 {
		envelope := Envelope{Text: strings.Repeat("x", MaxEnvelopePlainSize-6-missing)}
		plain, err := envelope.Append(nil, paddedWith(255))
		if err != nil {
			t.Fatalf("%d bytes below the limit: %v", missing, err)
		}
		if len(plain) > MaxEnvelopePlainSize {
			t.Errorf("%d bytes below the limit: %d bytes", missing, len(plain))
		}
	}
	info := DeviceInfo{Label: strings.Repeat("x", MaxDeviceInfoPlainSize-3)}
	plain, err := info.Append(nil, paddedWith(255))
	if err != nil || len(plain) != d2m.MaxDeviceInfoSize-BoxOverhead {
		t.Errorf("largest device info has %d bytes, %v", len(plain), err)
	}
	info.Label += "x"
	if _, err := info.Append(nil, paddedWith(255)); err == nil || err.Error() != "device info has 4057 bytes, want at most 4056" {
		t.Errorf("error is %v", err)
	}
}

func TestDeviceInfo(t *testing.T) {
	info := DeviceInfo{Platform: PlatformDesktop, PlatformDetails: "Linux", AppVersion: "1.0", Label: "Büro"}
	plain, err := info.Append([]byte("before"), paddedWith(2))
	if err != nil {
		t.Fatal(err)
	}
	want := "before\x0a\x02\xee\xee\x10\x03\x1a\x05Linux\x22\x031.0\x2a\x05Büro"
	if string(plain) != want {
		t.Errorf("encoded %q, want %q", plain, want)
	}
	got, err := ParseDeviceInfo(plain[len("before"):])
	if err != nil || got != info {
		t.Errorf("parsed %+v, %v", got, err)
	}
	if _, err := (DeviceInfo{Label: "\xff"}).Append(nil, rand.Reader); err == nil || err.Error() != "device info: text is not valid UTF-8" {
		t.Errorf("error is %v", err)
	}
	if got, err := ParseDeviceInfo([]byte{2 << 3, 99}); err != nil || got.Platform != 99 {
		t.Errorf("unknown platform is %+v, %v", got, err)
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[fmt.Stringer]string{
		PlatformUnspecified: "unspecified", PlatformAndroid: "Android", PlatformIOS: "iOS",
		PlatformDesktop: "desktop", PlatformWeb: "web", Platform(-1): "platform -1",
		KindNone: "none", Kind(3): "kind 3",
	} {
		if got.String() != want {
			t.Errorf("%T is %v, want %s", got, got, want)
		}
	}
	for i, platform := range []Platform{PlatformUnspecified, PlatformAndroid, PlatformIOS, PlatformDesktop, PlatformWeb} {
		if int(platform) != i {
			t.Errorf("%v is %d, want %d", platform, int32(platform), i)
		}
	}
}

func FuzzParseEnvelope(f *testing.F) {
	f.Add([]byte(nil))
	for _, k := range kinds {
		plain, err := Envelope{Device: 5, Kind: k.kind, Content: []byte("c"), Text: "t"}.Append(nil, paddedWith(9))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(plain)
	}
	f.Fuzz(func(t *testing.T, plain []byte) {
		envelope, err := ParseEnvelope(plain)
		if err != nil || len(plain) > MaxEnvelopePlainSize/2 {
			return
		}
		encoded, err := envelope.Append(nil, paddedWith(3))
		if err != nil {
			t.Fatal(err)
		}
		checkEnvelope(t, encoded, envelope)
	})
}

func FuzzParseDeviceInfo(f *testing.F) {
	for _, info := range []DeviceInfo{
		{},
		{Platform: PlatformAndroid, PlatformDetails: "14", AppVersion: "5.0", Label: "phone"},
		{Platform: -1},
	} {
		plain, err := info.Append(nil, paddedWith(9))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(plain)
	}
	f.Fuzz(func(t *testing.T, plain []byte) {
		info, err := ParseDeviceInfo(plain)
		if err != nil || len(plain) > MaxDeviceInfoPlainSize/2 {
			return
		}
		encoded, err := info.Append(nil, paddedWith(3))
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseDeviceInfo(encoded); err != nil || again != info {
			t.Errorf("parsed again %+v (%v), want %+v", again, err, info)
		}
	})
}
