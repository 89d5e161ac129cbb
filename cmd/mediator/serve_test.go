package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
)

// newTestKeys returns the keys of a new group.
func newTestKeys(t testing.TB) *devicekeys.Keys {
	t.Helper()
	keys, err := newDemoKeys()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// login connects a device to a server, speaking frames.
func login(t testing.TB, url string, keys *devicekeys.Keys, id d2m.DeviceID) *client.Wire {
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
	if _, err := wire.Login(testContext(t), keys, d2m.ClientHello{DeviceID: id}); err != nil {
		t.Fatal(err)
	}
	return wire
}

// receive takes messages until one of type M, or the end.
func receive[M d2m.Message](t testing.TB, wire *client.Wire) (M, error) {
	t.Helper()
	for {
		message, err := wire.Receive(testContext(t))
		if m, ok := message.(M); ok || err != nil {
			return m, err
		}
	}
}

// TestServeNeedsNoConfiguration but here for the port, which other tests may want as well.
func TestServeNeedsNoConfiguration(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	s := newShell(t, "MEDIATOR_LISTEN=127.0.0.1:0")
	p := s.start("serve")
	if url := p.listening(); !strings.HasPrefix(url, "ws://127.0.0.1:") {
		t.Errorf("listens on %s", url)
	}
	p.stop()
	if out := p.stdout.String(); out != "" {
		t.Errorf("standard output: %s", out)
	}
	for line := range strings.Lines(p.stderr.String()) {
		var entry struct{ Level, Time, Message string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Level == "" || entry.Time == "" || entry.Message == "" {
			t.Errorf("line of the log: %s: %v", line, err)
		}
	}

	data := s.path(".local/state/mediator")
	err := filepath.WalkDir(s.path(".local"), func(path string, entry fs.DirEntry, err error) error {
		info, _ := os.Lstat(path)
		if want := fs.FileMode(0o600); err == nil && !entry.IsDir() && info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
		if want := fs.FileMode(0o700) | fs.ModeDir; err == nil && entry.IsDir() && info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
		return err
	})
	if _, statErr := os.Stat(filepath.Join(data, "mediator.db")); err != nil || statErr != nil {
		t.Error(err, statErr)
	}

	state := t.TempDir()
	p = newShell(t, "MEDIATOR_LISTEN=127.0.0.1:0", "XDG_STATE_HOME="+state).start("serve")
	p.listening()
	p.stop()
	if _, err := os.Stat(filepath.Join(state, "mediator", "mediator.db")); err != nil {
		t.Error(err)
	}
}

// TestServeRefuses: what is wrong with a start is said in one sentence that names the value and the way out.
func TestServeRefuses(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	running, url := s.serve("--data", s.path("data"))
	port := strings.TrimPrefix(url, "ws://")
	writeFile(t, s.path("file"), "")
	makeNewerStore(t, s.path("newer"))
	unwritable := unwritableDirectory(t)
	writeFile(t, s.path("foreign/mediator.db"), strings.Repeat("no store ", 1000))
	writeFile(t, s.path("restored/mediator.restore/file"), "")

	for _, test := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"two servers on one data directory", []string{"--data", s.path("data")}, exitFailed,
			[]string{"data directory " + s.path("data") + ": in use by another server", "end that one, or name another directory with --data"}},
		{"port in use", []string{"--listen", port}, exitFailed,
			[]string{"listen: " + url + " is in use by another program", "end that, or choose another port or path with --listen"}},
		{"data directory below a file", []string{"--data", s.path("file/data")}, exitFailed,
			[]string{"data directory " + s.path("file/data"), "not a directory", "name one with --data that this user may write to"}},
		{"data directory is a file", []string{"--data", s.path("file")}, exitFailed,
			[]string{"data directory " + s.path("file") + ": it is not a directory", "name one with --data that this user may write to"}},
		{"data directory not writable", []string{"--data", unwritable}, exitFailed,
			[]string{"data directory " + unwritable, "name one with --data that this user may write to"}},
		{"newer schema", []string{"--data", s.path("newer")}, exitFailed,
			[]string{"data directory " + s.path("newer"), "newer version", "start the newer one or name another data directory"}},
		{"no store", []string{"--data", s.path("foreign")}, exitFailed,
			[]string{"data directory " + s.path("foreign"), "is not a store of this program, or damaged", "restore a backup or move it away\n"}},
		{"restore cut short", []string{"--data", s.path("restored")}, exitFailed,
			[]string{"data directory " + s.path("restored"), "a restore was cut short: do it again, with --replace\n"}},
		{"address of others", []string{"--listen", "0.0.0.0:8440"}, exitUsage,
			[]string{"listen: ws://0.0.0.0:8440 can be reached from other machines", "--allow-plaintext"}},
		{"address of nobody here", []string{"--listen", "192.0.2.1:8440", "--allow-plaintext"}, exitFailed,
			[]string{"listen: ws://192.0.2.1:8440 cannot be opened", "choose another address with --listen"}},
		{"wrong value", []string{"--max-slots", "99"}, exitUsage, []string{"max-slots: 99 is not within 1 to 15 device slots"}},
		{"unknown flag", []string{"--port", "1"}, exitUsage, []string{"serve: --port is not a flag", "see mediator serve --help"}},
		{"argument", []string{"now"}, exitUsage, []string{`serve: "now" is one argument too many`, "see mediator serve --help"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := append([]string{"serve", "--listen", "127.0.0.1:0", "--log-level", "error", "--data", s.path("other")}, test.args...)
			if strings.Contains(strings.Join(test.args, " "), "--listen") {
				args = append([]string{"serve", "--log-level", "error", "--data", s.path("other")}, test.args...)
			}
			stdout, stderr, code := s.run(args...)
			if code != test.code || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "mediator: ") {
				t.Errorf("exit code %d, want %d; standard output %q; standard error %q", code, test.code, stdout, stderr)
			}
			for _, want := range test.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("%s does not say %q", stderr, want)
				}
			}
		})
	}
	running.stop()
}

// unwritableDirectory is one in which nobody can make a file, root included.
func unwritableDirectory(t *testing.T) string {
	if os.Geteuid() == 0 {
		return "/proc"
	}
	dir := filepath.Join(t.TempDir(), "unwritable")
	if err := os.Mkdir(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// makeNewerStore makes a store that says it has schema version 99.
func makeNewerStore(t *testing.T, dir string) {
	t.Helper()
	s := newShell(t)
	p, _ := s.serve("--data", dir)
	p.stop()
	betweenStarts(t, func() error {
		db, err := bbolt.Open(filepath.Join(dir, "mediator.db"), 0o600, nil)
		if err != nil {
			return err
		}
		err = db.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("schema"), []byte{99}) })
		return errors.Join(err, db.Close())
	})
}

func TestB41_StoppingTellsDevicesAndKeepsWhatIsAcked(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			s := newShell(t)
			p, url := s.serve("--data", s.path("data"))
			keys := newTestKeys(t)
			first, second := login(t, url, keys, 1), login(t, url, keys, 2)
			if err := first.Send(testContext(t), d2m.Reflect{ID: 5, Envelope: []byte("kept")}); err != nil {
				t.Fatal(err)
			}
			if _, err := receive[d2m.ReflectAck](t, first); err != nil {
				t.Fatal(err)
			}
			p.signal(signal)
			for _, wire := range []*client.Wire{first, second} {
				_, err := receive[d2m.ServerHello](t, wire)
				var closed *client.CloseError
				if !errors.As(err, &closed) || closed.Code != d2m.CloseGoingAway {
					t.Errorf("device got %v, want a close with 1001", err)
				}
			}
			if code := p.wait(); code != exitDone {
				t.Errorf("exit code %d: %s", code, p.stderr)
			}
			p.stderr.await(t, `"message":"stopped"`)

			_, url = s.serve("--data", s.path("data"))
			full, _ := client.URL(url, keys.GroupID(), client.DefaultServerGroup)
			wire, err := client.Dialer{}.Dial(testContext(t), full)
			if err != nil {
				t.Fatal(err)
			}
			defer wire.CloseNow()
			if _, err := wire.Login(testContext(t), keys, d2m.ClientHello{DeviceID: 2, Expected: d2m.SlotExisting}); err != nil {
				t.Fatal(err)
			}
			if m, err := receive[d2m.Reflected](t, wire); err != nil || string(m.Envelope) != "kept" {
				t.Errorf("after a restart: %q, %v", m.Envelope, err)
			}
		})
	}
}

// TestSecondSignalEndsAtOnce: a device that does not answer the Close would hold the server up for seconds.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	p, url := s.serve("--data", s.path("data"))
	login(t, url, newTestKeys(t), 1) // nobody reads from it any more
	p.signal(os.Interrupt)
	p.stderr.await(t, `"message":"stopping"`)
	p.signal(os.Interrupt)
	if code := p.wait(); code != exitFailed || strings.Contains(p.stderr.String(), `"message":"stopped"`) {
		t.Errorf("exit code %d, want %d; the log:\n%s", code, exitFailed, p.stderr)
	}
}

func TestServeListensOnSeveralAddresses(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	socket := s.path("socket")
	p := s.start("serve", "--data", s.path("data"), "--listen", "127.0.0.1:0", "--listen", "unix:"+socket)
	url := p.listening()
	p.stderr.await(t, `"listen":"unix:`+socket+`"`)

	keys := newTestKeys(t)
	one := login(t, url, keys, 1)
	full, _ := client.URL("ws://mediator", keys.GroupID(), client.DefaultServerGroup)
	dialer := client.Dialer{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	other, err := dialer.Dial(testContext(t), full)
	if err != nil {
		t.Fatal(err)
	}
	defer other.CloseNow()
	if _, err := other.Login(testContext(t), keys, d2m.ClientHello{DeviceID: 2}); err != nil {
		t.Fatal(err)
	}
	if err := other.Send(testContext(t), d2m.Reflect{Envelope: []byte("by socket")}); err != nil {
		t.Fatal(err)
	}
	if m, err := receive[d2m.Reflected](t, one); err != nil || string(m.Envelope) != "by socket" {
		t.Errorf("got %q, %v", m.Envelope, err)
	}
	one.Close(d2m.CloseNormal, "")
	other.Close(d2m.CloseNormal, "")
	p.stop()
	if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("socket is left behind: %v", err)
	}
}

func TestServeNamesVariablesThatAreNoSettings(t *testing.T) {
	t.Parallel()
	p, _ := newShell(t, "MEDIATOR_DATTA=/secret").serve()
	line := p.stderr.await(t, "MEDIATOR_DATTA")
	if !strings.Contains(line, `"level":"warn"`) || strings.Contains(line, "/secret") {
		t.Errorf("got %s", line)
	}
}
