package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
)

// member is a device of a group that speaks frames.
type member struct {
	*client.Wire
	t    testing.TB
	info d2m.ServerInfo
}

func join(t testing.TB, url string, keys *devicekeys.Keys, id d2m.DeviceID, expected d2m.SlotState) *member {
	t.Helper()
	m, err := tryJoin(t, url, keys, id, expected)
	if err != nil {
		t.Fatalf("device %d: %v", id, err)
	}
	return m
}

func tryJoin(t testing.TB, url string, keys *devicekeys.Keys, id d2m.DeviceID, expected d2m.SlotState) (*member, error) {
	t.Helper()
	full, err := client.URL(url, keys.GroupID(), client.DefaultServerGroup)
	if err != nil {
		t.Fatal(err)
	}
	wire, err := client.Dialer{}.Dial(testContext(t), full)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(wire.CloseNow)
	info, err := wire.Login(testContext(t), keys, d2m.ClientHello{DeviceID: id, Expiration: d2m.Persistent, Expected: expected})
	return &member{wire, t, info}, err
}

func (m *member) send(message d2m.Message) {
	m.t.Helper()
	if err := m.Send(testContext(m.t), message); err != nil {
		m.t.Fatal(err)
	}
}

// reflect stores a message and returns its timestamp.
func (m *member) reflect(text string) uint64 {
	m.t.Helper()
	m.send(d2m.Reflect{Envelope: []byte(text)})
	ack, err := receive[d2m.ReflectAck](m.t, m.Wire)
	if err != nil {
		m.t.Fatal(err)
	}
	return ack.Timestamp
}

// next returns the next message, which must have this text.
func (m *member) next(text string) d2m.Reflected {
	m.t.Helper()
	got, err := receive[d2m.Reflected](m.t, m.Wire)
	if err != nil || string(got.Envelope) != text {
		m.t.Fatalf("got %q (%v), want %q", got.Envelope, err, text)
	}
	return got
}

func (m *member) ack(id d2m.ReflectedID) { m.t.Helper(); m.send(d2m.ReflectedAck{ID: id}) }

// settle returns when the server has handled what was sent.
func (m *member) settle() {
	m.t.Helper()
	m.send(d2m.GetDevicesInfo{})
	if _, err := receive[d2m.DevicesInfo](m.t, m.Wire); err != nil {
		m.t.Fatal(err)
	}
}

// Devices that have seen more than the backup holds go on: what waits has the numbers that it had, nothing gets a number or a
// time that was given out before, nobody is closed for knowing more than the server, and a slot that may have gone is there
// for either expectation.
func TestRestoreBehindDevices(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	server, url := s.serve("--data", "data")
	keys := newTestKeys(t)
	const phone, laptop, tablet, watch d2m.DeviceID = 1, 2, 3, 4
	p := join(t, url, keys, phone, d2m.SlotNew)
	join(t, url, keys, laptop, d2m.SlotNew).CloseNow()
	w := join(t, url, keys, watch, d2m.SlotNew)
	at := []uint64{p.reflect("one"), p.reflect("two")}
	w.ack(w.next("one").ID) // it knows of its slot now (B7)
	w.settle()
	w.CloseNow()
	s.must("backup", "kept.tar", "--data", "data")

	l := join(t, url, keys, laptop, d2m.SlotExisting)
	before := []d2m.Reflected{l.next("one"), l.next("two")}
	l.ack(before[0].ID)
	l.ack(before[1].ID)
	join(t, url, keys, tablet, d2m.SlotNew).CloseNow()
	p.send(d2m.DropDevice{DeviceID: watch})
	var seen d2m.Reflected
	const later = 1100 // more than the block of numbers that is reserved
	for range later {
		p.send(d2m.Reflect{Envelope: []byte("later")})
	}
	for range later {
		seen = l.next("later")
	}
	l.settle()
	server.signal(os.Kill)
	server.wait()

	s.must("restore", "kept.tar", "--data", "elsewhere")
	server, url = s.serve("--data", "elsewhere")
	l = join(t, url, keys, laptop, d2m.SlotExisting)
	for i, text := range []string{"one", "two"} {
		if again := l.next(text); again.ID != before[i].ID || again.Timestamp != at[i] {
			t.Errorf("%s comes again as %d at %d, was %d at %d", text, again.ID, again.Timestamp, before[i].ID, at[i])
		}
	}
	l.ack(seen.ID)       // what it got from the server that was
	l.ack(before[0].ID)  // and what it has just got
	l.ack(seen.ID + 500) // what that one may have sent besides
	l.settle()
	p = join(t, url, keys, phone, d2m.SlotExisting)
	if stamp := p.reflect("new"); stamp < seen.Timestamp {
		t.Errorf("the time has gone back from %d to %d", seen.Timestamp, stamp)
	}
	if got := l.next("new"); int32(got.ID-seen.ID) <= 500 {
		t.Errorf("number %d after %d", got.ID, seen.ID)
	}
	_, err := tryJoin(t, url, keys, tablet, d2m.SlotExisting)
	if closed, _ := errors.AsType[*client.CloseError](err); closed == nil || closed.Code != d2m.CloseSlotState {
		t.Errorf("a device that has joined since: %v", err)
	}
	if w = join(t, url, keys, watch, d2m.SlotNew); w.info.SlotState != d2m.SlotNew || w.info.ReflectionQueueLength != 0 {
		t.Errorf("a device that was dropped since joins as %+v", w.info)
	} else {
		w.CloseNow()
	}
	l.CloseNow()
	l = join(t, url, keys, laptop, d2m.SlotExisting)
	l.next("two")
	l.CloseNow()
	p.CloseNow()
	server.stop()
}

// Device programs, with TLS, find the server again on another directory, by its key, and what waited for them.
func TestMoveServer(t *testing.T) {
	t.Parallel()
	s := newShell(t, "MEDIATOR_DATA=data")
	server, url := s.serveTLS("--tls-dev")
	ca := s.path("data/tls/development-ca.pem")
	s.must("device", "new", "phone", "--server", url, "--tls-ca", ca)
	s.must("device", "new", "laptop", "--join", "phone")
	s.must("device", "devices", "--device", "laptop")
	s.must("device", "reflect", "hello", "--device", "phone")
	s.must("invite")
	server.stop()
	made := objects(t, s.must("backup", "moving.tar", "--json"))[0]
	if made["groups"] != 1.0 || made["devices"] != 2.0 || made["messages"] != 1.0 || made["keys"] != true {
		t.Errorf("backup: %v", made)
	}
	s.must("restore", "moving.tar", "--data", "new")
	for _, name := range []string{"tls/key.pem", "tls/development-ca-key.pem"} {
		if !bytes.Equal(readAll(t, s.path("data/"+name)), readAll(t, s.path("new/"+name))) {
			t.Errorf("%s differs", name)
		}
	}
	checkModes(t, s.path("new"))
	if list := objects(t, s.must("invite", "list", "--data", "new", "--json")); len(list) != 1 {
		t.Errorf("invitations: %v", list)
	}
	server = s.start("serve", "--tls-dev", "--data", "new", "--listen", strings.TrimSuffix(url, "/"))
	server.listening()
	laptop := s.listen("laptop")
	if !strings.Contains(laptop.stdout.String(), ": hello") {
		t.Errorf("the laptop hears %s", laptop.stdout)
	}
	laptop.stop()
	server.stop()
}

func readAll(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// checkModes: nobody but the owner may use anything.
func checkModes(t testing.TB, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What goes wrong is told, with the exit code, and leaves nothing behind.
func TestBackupRefusals(t *testing.T) {
	t.Parallel()
	s := newShell(t, "MEDIATOR_LISTEN=127.0.0.1:0")
	server, url := s.serve("--data", "data")
	s.newGroup(url, "phone")
	s.must("device", "devices", "--device", "phone")
	s.must("backup", "kept.tar", "--data", "data")
	kept := readAll(t, s.path("kept.tar"))
	writeFile(t, s.path("cut.tar"), string(kept[:len(kept)/2]))
	writeFile(t, s.path("text"), "this is no backup\n")
	for line, want := range map[string]struct {
		code int
		text string
	}{
		"backup kept.tar --data data":                  {exitUsage, "kept.tar is there already"},
		"backup data --data data --replace":            {exitUsage, "is not a file"},
		"backup new.tar --data nowhere":                {exitUsage, "has no store"},
		"backup nowhere/new.tar --data data":           {exitFailed, "cannot be written: no such file or directory; name a file in a directory"},
		"backup --data data":                           {exitUsage, "DEST is missing"},
		"verify nowhere":                               {exitUsage, "nowhere cannot be read: no such file or directory; name a backup or a data directory"},
		"verify cut.tar":                               {exitFailed, "not a backup, or damaged: it ends too early"},
		"verify text":                                  {exitFailed, "not a backup, or damaged"},
		"verify kept.tar text":                         {exitUsage, "one argument too many"},
		"restore kept.tar --data data":                 {exitFailed, "in use by another server"},
		"restore cut.tar --data new":                   {exitFailed, "cut.tar: not a backup, or damaged"},
		"restore nowhere.tar --data new":               {exitFailed, "backup nowhere.tar: is not there; name a file that"},
		"restore kept.tar/x --data new":                {exitFailed, "backup kept.tar/x: cannot be read: not a directory; name"},
		"restore kept.tar --data phone":                {exitFailed, "not a directory"},
		"restore kept.tar --data " + filepath.Dir("."): {exitUsage, "is not empty"},
		"compact --data nowhere":                       {exitUsage, "has no store"},
		"compact --data phone":                         {exitFailed, "phone: is not a directory; name the server's"},
		"invite --data phone":                          {exitUsage, "phone is not a directory; name the server's"},
	} {
		_, stderr, code := s.run(strings.Fields(line)...)
		if code != want.code || !strings.Contains(stderr, want.text) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: %d, %s", line, code, stderr)
		}
	}
	if _, stderr, code := s.run("backup", "", "--data", "data"); code != exitUsage || !strings.Contains(stderr, "DEST: is empty") {
		t.Errorf("an empty name: %d, %s", code, stderr)
	}
	s.must("backup", "kept.tar", "--data", "data", "--replace", "--without-keys")
	s.must("verify", "--data", "data")
	s.must("compact", "--data", "data")
	server.stop()
	s.must("verify", "data")
	store := s.path("data/mediator.db")
	damaged := readAll(t, store)
	clear(damaged[2*4096:])
	writeFile(t, store, string(damaged))
	if _, stderr, code := s.run("verify", "data"); code != exitFailed || !strings.Contains(stderr, "damaged") {
		t.Errorf("damaged: %d, %s", code, stderr)
	}
	entries, err := os.ReadDir(s.home)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if name := entry.Name(); strings.HasPrefix(name, ".") || name == "new" || name == "new.tar" {
			t.Errorf("left over: %s", name)
		}
	}
}

// Where the disk is full, or as here the file may not be larger, there is an error and nothing else: neither of the backup nor
// of the restore, and the server goes on.
func TestBackupWithoutRoom(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	server, url := s.serve("--data", "data")
	s.newGroup(url, "phone", "laptop")
	s.must("device", "devices", "--device", "laptop")
	s.must("device", "reflect", strings.Repeat("long", 5000), "--device", "phone")
	s.must("backup", "kept.tar", "--data", "data")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"backup", "new.tar", "--data", "data"}, {"restore", "kept.tar", "--data", "new"}} {
		p := s.startProgram("/bin/sh", nil, append([]string{"-c", `ulimit -f 16 && exec "$0" "$@"`, program}, args...)...)
		if code := p.wait(); code != exitFailed || !strings.Contains(p.stderr.String(), "file too large") {
			t.Errorf("%v: %d, %s", args, code, p.stderr)
		}
	}
	entries, err := os.ReadDir(s.home)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if name := entry.Name(); strings.HasPrefix(name, ".new") || strings.HasPrefix(name, "new") {
			t.Errorf("left over: %s", name)
		}
	}
	s.must("device", "devices", "--device", "laptop")
	server.stop()
}
