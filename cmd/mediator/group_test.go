package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
)

// tryLogin connects a device at a URL, and leaves again; it returns nil if it was let in.
func tryLogin(t testing.TB, url string, keys *devicekeys.Keys, id d2m.DeviceID) error {
	t.Helper()
	full, err := client.URL(url, keys.GroupID(), client.DefaultServerGroup)
	if err != nil {
		t.Fatal(err)
	}
	wire, err := client.Dialer{}.Dial(testContext(t), full)
	if err != nil {
		t.Fatal(err)
	}
	defer wire.CloseNow()
	_, err = wire.Login(testContext(t), keys, d2m.ClientHello{DeviceID: id, Expiration: d2m.Persistent})
	return err
}

// isRefused says whether a group was told that it is not accepted.
func isRefused(err error) bool {
	closed, _ := errors.AsType[*client.CloseError](err)
	return closed != nil && closed.Code == d2m.CloseProtocolError && strings.Contains(closed.Reason, "does not accept this group")
}

// traceOf returns the file below a directory that holds the id of a group, as bytes or as digits in its content or name.
func traceOf(t testing.TB, dir string, group d2m.GroupID) (found string) {
	t.Helper()
	digits := hex.EncodeToString(group[:8])
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, group[:8]) || bytes.Contains(data, []byte(digits)) || strings.Contains(path, digits) {
			found = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// An invitation from the command line lets one group in; the server is killed at once, and then that group is in and no other,
// with the code or without.
func TestInvitation(t *testing.T) {
	t.Parallel()
	s := newShell(t, "MEDIATOR_PUBLIC_URL=wss://mediator.example.net/x/")
	if _, stderr, code := s.run("invite", "--data", "data"); code != exitUsage || !strings.Contains(stderr, "start the server once") {
		t.Errorf("without a data directory: %d, %s", code, stderr)
	}
	p, url := s.serve("--data", "data", "--access", "invite", "--log-level", "debug")
	mine, other := newTestKeys(t), newTestKeys(t)
	if err := tryLogin(t, url, mine, 1); !isRefused(err) {
		t.Errorf("without an invitation: %v", err)
	}
	made := objects(t, s.must("invite", "--data", "data", "--json", "--expires", "2d"))[0]
	code := made["code"].(string)
	expires, err := time.Parse(time.RFC3339, made["expires"].(string))
	if made["url"] != "wss://mediator.example.net/x/i/"+code+"/" || err != nil || time.Until(expires).Round(time.Hour) != 48*time.Hour {
		t.Errorf("made: %v", made)
	}
	list := objects(t, s.must("invite", "list", "--data", "data", "--json"))
	if len(list) != 1 || list[0]["id"] != made["id"] || list[0]["used"] != false {
		t.Errorf("list: %v", list)
	}
	url += "/i/" + code
	if err := tryLogin(t, url, mine, 1); err != nil {
		t.Fatalf("with the invitation: %v", err)
	}
	p.signal(os.Kill)
	p.wait()
	again, url := s.serve("--data", "data", "--access", "invite", "--log-level", "debug")
	if err := tryLogin(t, url+"/i/"+code, other, 1); !isRefused(err) {
		t.Errorf("another group: %v", err)
	}
	if err := tryLogin(t, url, mine, 2); err != nil {
		t.Errorf("the group, without the code: %v", err)
	}
	if list := s.must("invite", "list", "--data", "data"); list != "" {
		t.Errorf("list: %s", list)
	}
	again.stop()
	for _, p := range []*process{p, again} {
		if log := p.stderr.String(); strings.Contains(log, code) || strings.Contains(log, made["id"].(string)) {
			t.Errorf("the log holds the code:\n%s", log)
		}
	}
	otherID := other.GroupID()
	if path := traceOf(t, s.path("data"), otherID); path != "" {
		t.Errorf("%s holds the id of a group that was refused", path)
	}
}

func TestInvitationsAreListedAndRevoked(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	if err := os.Mkdir(s.path("data"), 0o700); err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(s.must("invite", "--data", "data"))
	id := words[1]
	if text := s.must("invite", "list", "--data", "data"); !strings.Contains(text, "invitation "+id+" until ") {
		t.Errorf("list: %s", text)
	}
	if text := s.must("invite", "revoke", id, "--data", "data"); text != "" {
		t.Errorf("revoke: %s", text)
	}
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{"invite", "revoke", id}, "is no invitation"},
		{[]string{"invite", "revoke", "../mediator.db"}, "is no invitation"},
		{[]string{"invite", "revoke"}, "ID is missing"},
		{[]string{"invite", "--expires", "59s"}, "not within 1m to 366d"},
		{[]string{"invite", "--expires", "367d"}, "not within 1m to 366d"},
		{[]string{"invite", "--expires", "-1d"}, "not within 1m to 366d"},
		{[]string{"invite", "--expires", "99999999999d"}, "is not a time such as"},
		{[]string{"invite", "--expires", "soon"}, "is not a time such as"},
		{[]string{"invite", "--public-url", "https://host"}, "is not wss://HOST"},
		{[]string{"invite", "--public-url", "wss://host/?a=b"}, "is not wss://HOST"},
		{[]string{"invite", "now"}, "now"},
	} {
		if _, stderr, code := s.run(append(row.args, "--data", "data")...); code != exitUsage || !strings.Contains(stderr, row.want) {
			t.Errorf("%q: %d, %s", row.args, code, stderr)
		}
	}
}

// The list decides while the server runs: an edit closes who is denied, a broken line changes nothing.
func TestAccessList(t *testing.T) {
	t.Parallel()
	s := newShell(t, "MEDIATOR_ACCESS_LIST=groups")
	if _, stderr, code := s.run("serve", "--listen", "127.0.0.1:0", "--access", "known"); code == exitDone || !strings.Contains(stderr, "mediator group allow") {
		t.Errorf("without a list: %d, %s", code, stderr)
	}
	mine, other := newTestKeys(t), newTestKeys(t)
	allow := func(verdict string, keys *devicekeys.Keys) string {
		id := keys.GroupID()
		return s.must("group", verdict, hex.EncodeToString(id[:]))
	}
	allow("allow", mine)
	if text := allow("allow", mine); !strings.Contains(text, "was allowed already") {
		t.Errorf("again: %s", text)
	}
	p, url := s.serve("--data", "data", "--access", "known")
	if err := tryLogin(t, url, other, 1); !isRefused(err) {
		t.Errorf("a group that is not on the list: %v", err)
	}
	wire := login(t, url, mine, 1)
	allow("deny", mine)
	if _, err := receive[d2m.DropDeviceAck](t, wire); !isRefused(err) {
		t.Errorf("denied while connected: %v", err)
	}
	allow("allow", other)
	p.stderr.await(t, "access list was read again")
	writeFile(t, s.path("groups"), "nonsense\n")
	line := p.stderr.await(t, "access list is refused")
	if !strings.Contains(line, "line 1: its group id is not 64 hexadecimal digits") || strings.Contains(line, "nonsense") {
		t.Errorf("log: %s", line)
	}
	if _, stderr, code := s.run("group", "allow", strings.Repeat("ab", 32)); code == exitDone || !strings.Contains(stderr, "access list groups: line 1:") {
		t.Errorf("edit of a broken list: %d, %s", code, stderr)
	}
	p.stop()
	for _, args := range [][]string{{"allow", "1234"}, {"deny", strings.Repeat("00", 32)}, {"allow"}, {"deny", strings.Repeat("xy", 32)}} {
		if _, stderr, code := s.run(append([]string{"group"}, args...)...); code != exitUsage || !strings.Contains(stderr, "GROUP") {
			t.Errorf("%q: %d, %s", args, code, stderr)
		}
	}
}

// Groups are listed and forgotten while the server runs, and without it; in the end not a byte of them is on the disk.
func TestGroupsAreListedAndForgotten(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	if _, stderr, code := s.run("group", "list", "--data", "data"); code != exitUsage || !strings.Contains(stderr, "has no store") {
		t.Errorf("without a store: %d, %s", code, stderr)
	}
	p, url := s.serve("--data", "data")
	first, second, third := newTestKeys(t), newTestKeys(t), newTestKeys(t)
	wire := login(t, url, first, 1)
	for _, keys := range []*devicekeys.Keys{second, third} {
		if err := tryLogin(t, url, keys, 1); err != nil {
			t.Fatal(err)
		}
	}
	digits := func(keys *devicekeys.Keys) string { id := keys.GroupID(); return hex.EncodeToString(id[:]) }
	text := s.must("group", "list", "--data", "data")
	if strings.Count(text, "\n") != 3 || strings.Contains(text, digits(first)) {
		t.Errorf("list: %s", text)
	}
	pseudonyms := make(map[string]string)
	for _, g := range objects(t, s.must("group", "list", "--data", "data", "--ids", "--json")) {
		pseudonyms[g["id"].(string)] = g["pseudonym"].(string)
	}
	if text := s.must("group", "list", "--data", "data", "--idle", "1d"); text != "" {
		t.Errorf("idle: %s", text)
	}
	if _, stderr, code := s.run("group", "forget", pseudonyms[digits(first)], "--data", "data"); code != exitUsage || !strings.Contains(stderr, "--yes is missing") {
		t.Errorf("without --yes: %d, %s", code, stderr)
	}
	s.must("group", "forget", pseudonyms[digits(first)], "--data", "data", "--yes")
	closed, _ := errors.AsType[*client.CloseError](func() error { _, err := receive[d2m.DropDeviceAck](t, wire); return err }())
	if closed == nil || closed.Code != d2m.CloseDropped {
		t.Errorf("forgotten while connected: %v", closed)
	}
	s.must("group", "forget", strings.ToUpper(digits(second)), "--data", "data", "--yes")
	for name, want := range map[string]int{digits(first): exitFailed, pseudonyms[digits(second)]: exitFailed, digits(third)[:8]: exitFailed,
		"nobody": exitUsage, "../privacy": exitUsage, "": exitUsage, digits(third)[:62]: exitUsage} {
		if _, stderr, code := s.run("group", "forget", name, "--data", "data", "--yes"); code != want || !strings.Contains(strings.ToLower(stderr), "group: ") {
			t.Errorf("%q: %d, %s", name, code, stderr)
		}
	}
	p.stop()
	if text := s.must("group", "list", "--data", "data", "--ids"); !strings.HasPrefix(text, "group "+digits(third)+": 1 device, away since ") {
		t.Errorf("without a server: %s", text)
	}
	if _, stderr, code := s.run("group", "forget", pseudonyms[digits(third)], "--data", "data", "--yes"); code == exitDone || !strings.Contains(stderr, "while the server runs") {
		t.Errorf("pseudonym without a server: %d, %s", code, stderr)
	}
	s.must("group", "forget", digits(third), "--data", "data", "--yes")
	for _, keys := range []*devicekeys.Keys{first, second, third} {
		if path := traceOf(t, s.path("data"), keys.GroupID()); path != "" {
			t.Errorf("%s holds the id of a group that was forgotten", path)
		}
	}
}

// What the server knows, in words and as JSON; nothing of it names anybody.
func TestPrivacyCommand(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	p, url := s.serve("--data", "data", "--access", "invite", "--access-list", writeList(t, s))
	keys := newTestKeys(t)
	s.must("invite", "--data", "data")
	if err := os.Mkdir(s.path("data/tls"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, s.path("data/tls/key.pem"), "")
	text := s.must("privacy", "--data", "data")
	for _, want := range []string{"disk · device groups", "memory · addresses", "1; 0 in use", "access is invite; 0 allowed, 1 denied",
		"privacy is strict", "a volatile one 10m after", "kept until", "memory · sessions with chat servers", "disk · keys and certificates of the server"} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
	id := keys.GroupID()
	digits := hex.EncodeToString(id[:])
	s.must("group", "allow", digits, "--access-list", s.path("groups"))
	p.stderr.await(t, "access list was read again")
	wire := login(t, url, keys, 1)
	text = s.must("privacy", "--data", "data", "--json")
	counts := make(map[string]float64)
	for _, item := range objects(t, text) {
		what, _, _ := strings.Cut(item["what"].(string), ":")
		counts[what] = item["count"].(float64)
		if item["kept"] == "" || item["where"] == "" {
			t.Errorf("item: %v", item)
		}
	}
	for what, want := range map[string]float64{"device groups": 1, "device slots": 1, "connections": 1, "groups in use": 1, "groups on the access list": 2,
		"sessions with chat servers": 0, "keys and certificates of the server": 1} {
		if counts[what] != want {
			t.Errorf("%s: %v, want %v", what, counts[what], want)
		}
	}
	if strings.Contains(text, digits[:8]) {
		t.Errorf("names the group: %s", text)
	}
	wire.CloseNow()
	p.stop()
	if _, stderr, code := s.run("privacy", "--data", "data"); code != exitUsage || !strings.Contains(stderr, "no server is running") {
		t.Errorf("without a server: %d, %s", code, stderr)
	}
}

// writeList makes an access list with a group that is denied.
func writeList(t *testing.T, s *shell) string {
	t.Helper()
	writeFile(t, s.path("groups"), "deny "+strings.Repeat("42", 32)+"\n")
	return s.path("groups")
}

// A stale control socket is no obstacle, and one that answers is found however the directory is named.
func TestControlSocket(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	p, _ := s.serve("--data", "data")
	p.signal(os.Kill)
	p.wait()
	if text := s.must("group", "list", "--data", "data"); text != "" {
		t.Errorf("list: %s", text)
	}
	p, _ = s.serve("--data", s.path("data"))
	info, err := os.Lstat(s.path("data/control.sock"))
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := os.Stat(s.path("data/invitations")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("there is a directory of invitations, and nobody has asked for one")
	}
	s.must("privacy", "--data", "./data")
	p.stop()
	if _, err := os.Lstat(s.path("data/control.sock")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the socket is still there")
	}
	writeFile(t, s.path("data/control.sock"), "mine")
	if _, stderr, code := s.run("serve", "--listen", "127.0.0.1:0", "--data", "data"); code == exitDone || !strings.Contains(stderr, "is there and is no socket") {
		t.Errorf("with a file in its place: %d, %s", code, stderr)
	}
}

func TestAskFor(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, " yes": true, "\n": false, "": false, "n\n": false, "yesterday\n": false} {
		var asked strings.Builder
		err := askFor(strings.NewReader(answer), &asked, "Really?")
		if (err == nil) != want || asked.String() != "Really? [y/N] " {
			t.Errorf("%q: %v, %q", answer, err, asked.String())
		}
	}
}
