package csp

import "testing"

func TestParseIdentity(t *testing.T) {
	const character = "identity has a character other than A–Z and 0–9"
	for _, test := range []struct{ text, want string }{
		{"ECHOECHO", ""},
		{"AZ09AZ09", ""},
		{"00000000", ""},
		{"", "identity has 0 bytes, want 8"},
		{"ECHOECH", "identity has 7 bytes, want 8"},
		{"ECHOECHOE", "identity has 9 bytes, want 8"},
		{"ÄÄÄÄÄÄÄÄ", "identity has 16 bytes, want 8"},
		{"ÄÄÄÄ", character},
		{"echoecho", character},
		{"*THREEMA", character},
		{"ECHO ECH", character},
		{"@CHOECHO", character}, // before A
		{"ECHOECH[", character}, // behind Z
		{"/CHOECHO", character}, // before 0
		{"ECHOECH:", character}, // behind 9
		{"ECHOECH\x00", character},
		{"ECHOECH\n", character},
	} {
		id, err := ParseIdentity(test.text)
		if test.want == "" {
			if err != nil || id.String() != test.text || !id.Valid() {
				t.Errorf("%q is %v (%v)", test.text, id, err)
			}
			continue
		}
		wantError(t, err, test.want)
		if id != (Identity{}) {
			t.Errorf("%q: identity beside the error is %v", test.text, id)
		}
	}
}

func TestStrings(t *testing.T) {
	for _, test := range []struct {
		got  interface{ String() string }
		want string
	}{
		{Identity([]byte("PEER0001")), "PEER0001"},
		{Identity([]byte("a\n\x00\xff\"BCD")), `"a\n\x00\xff\"BCD"`},
		{Identity{}, `"\x00\x00\x00\x00\x00\x00\x00\x00"`},
		{MessageID(0), "0000000000000000"},
		{MessageID(0x1122334455667788), "1122334455667788"},
		{MessageID(1<<64 - 1), "ffffffffffffffff"},
	} {
		if got := test.got.String(); got != test.want {
			t.Errorf("string is %s, want %s", got, test.want)
		}
	}
}
