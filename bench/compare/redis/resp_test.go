package redis

import "testing"

func TestIDs(t *testing.T) {
	want := id{1700000000000, 17}
	if got := string(appendID(nil, want)); got != "$16\r\n1700000000000-17\r\n" {
		t.Errorf("appended %q", got)
	}
	if got, err := parseID([]byte("1700000000000-17")); got != want || err != nil {
		t.Errorf("parsed %v, %v; want %v", got, err, want)
	}
	for _, bad := range []string{"-1", "1-2-3", "1x", "+1-2"} {
		if _, err := parseID([]byte(bad)); err == nil {
			t.Errorf("id %q was taken", bad)
		}
	}
	if !want.before(want.next()) || want.next().before(want) || !want.before(id{1700000000001, 0}) {
		t.Error("order of ids is wrong")
	}
}

func TestAppendCommand(t *testing.T) {
	got := string(appendBulk(appendCommand(nil, 1, "GET"), "key"))
	if want := "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"; got != want {
		t.Errorf("appended %q, want %q", got, want)
	}
}
