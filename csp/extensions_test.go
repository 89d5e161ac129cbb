package csp

import (
	"bytes"
	"testing"
)

func TestParseExtensions(t *testing.T) {
	one, five := DeviceID(1), DeviceID(5)
	cookie := Cookie([]byte("0123456789abcdef"))
	for _, test := range []struct {
		name, plain string
		want        Extensions
	}{
		{"none", "", Extensions{}},
		{"client info", "\x00\x03\x00abc", Extensions{ClientInfo: "abc"}},
		{"empty client info", "\x00\x00\x00", Extensions{}},
		{"device id", "\x01\x08\x00\x01\x00\x00\x00\x00\x00\x00\x00", Extensions{DeviceID: &one}},
		{"features", "\x02\x01\x00\x03", Extensions{Features: FeatureMetadata | FeatureEcho}},
		{"unknown features", "\x02\x01\x00\xfc", Extensions{Features: 0xfc}},
		{"device cookie", "\x03\x10\x000123456789abcdef", Extensions{DeviceCookie: &cookie}},
		{"another order", "\x02\x01\x00\x01\x00\x01\x00a", Extensions{ClientInfo: "a", Features: FeatureMetadata}},
		{"unknown type", "\x04\x02\x00xy\x02\x01\x00\x01", Extensions{Features: FeatureMetadata}},
		{"highest type", "\xff\x00\x00\x02\x01\x00\x02", Extensions{Features: FeatureEcho}},
		{"twice", "\x01\x08\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x08\x00\x05\x00\x00\x00\x00\x00\x00\x00", Extensions{DeviceID: &five}},
		{"a long one", "\x09\x00\x01" + string(make([]byte, 256)) + "\x00\x01\x00a", Extensions{ClientInfo: "a"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			plain := []byte(test.plain)
			got, err := ParseExtensions(plain)
			if err != nil {
				t.Fatal(err)
			}
			clear(plain)
			sameExtensions(t, got, test.want)
			again, err := ParseExtensions(got.Append(nil))
			if err != nil {
				t.Fatal(err)
			}
			sameExtensions(t, again, test.want)
		})
	}
}

func TestParseExtensionsRefuses(t *testing.T) {
	for _, test := range []struct{ name, plain, want string }{
		{"type alone", "\x00", "extension has 1 bytes, want at least 3"},
		{"half a length", "\x00\x01", "extension has 2 bytes, want at least 3"},
		{"rest behind one", "\x02\x01\x00\x01\x00", "extension has 1 bytes, want at least 3"},
		{"no payload", "\x00\x01\x00", "extension 0: payload has 0 bytes, announced are 1"},
		{"payload cut short", "\x00\x04\x00abc", "extension 0: payload has 3 bytes, announced are 4"},
		{"largest length", "\x00\xff\xffabc", "extension 0: payload has 3 bytes, announced are 65535"},
		{"unknown type cut short", "\x63\x04\x00abc", "extension 99: payload has 3 bytes, announced are 4"},
		{"client info", "\x00\x02\x00a\xff", "extension 0: client info is not UTF-8"},
		{"short device id", "\x01\x07\x001234567", "extension 1: device id has 7 bytes, want 8"},
		{"long device id", "\x01\x09\x00123456789", "extension 1: device id has 9 bytes, want 8"},
		{"empty device id", "\x01\x00\x00", "extension 1: device id has 0 bytes, want 8"},
		{"no features", "\x02\x00\x00", "extension 2: features have 0 bytes, want 1"},
		{"long features", "\x02\x02\x00\x01\x00", "extension 2: features have 2 bytes, want 1"},
		{"short cookie", "\x03\x0f\x00123456789abcdef", "extension 3: device cookie has 15 bytes, want 16"},
		{"long cookie", "\x03\x11\x000123456789abcdefg", "extension 3: device cookie has 17 bytes, want 16"},
		{"behind right ones", "\x02\x01\x00\x01\x00\x02\x00a\xff", "extension 0: client info is not UTF-8"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseExtensions([]byte(test.plain))
			wantError(t, err, test.want)
			sameExtensions(t, got, Extensions{})
		})
	}
}

// All but the last byte of the vector's is an error, but where an extension ends.
func TestExtensionsCutAnywhere(t *testing.T) {
	plain := readVectors(t).Derived.Extensions
	whole := map[int]bool{0: true, 36: true, 47: true, 51: true, 70: true}
	for size := range len(plain) + 1 {
		if _, err := ParseExtensions(plain[:size]); (err == nil) != whole[size] {
			t.Errorf("%d of %d bytes: error is %v", size, len(plain), err)
		}
	}
}

func TestExtensionsAppend(t *testing.T) {
	got := Extensions{Features: FeatureEcho}.Append([]byte("before"))
	if want := []byte("before\x02\x01\x00\x02"); !bytes.Equal(got, want) {
		t.Errorf("appended %q, want %q", got, want)
	}
	if got := (Extensions{}).Append(nil); len(got) != 0 {
		t.Errorf("no extensions are %x", got)
	}
	if FeatureMetadata != 1 || FeatureEcho != 2 {
		t.Errorf("features are %d and %d", FeatureMetadata, FeatureEcho)
	}
}
