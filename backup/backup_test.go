package backup

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"openmediator/d2m"
	"openmediator/reflect"
	"openmediator/reflect/boltstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newData makes a data directory with groups, keys and an invitation, and returns its store.
func newData(t *testing.T) (dir string, store *boltstore.Store) {
	t.Helper()
	dir = t.TempDir()
	for name, content := range map[string]string{
		"tls/key.pem": "secret key", "tls/next-key.pem": "next secret key", "tls/.half": "about to be written",
		"invitations/0123456789abcdef": "hash and date", "control.toml": "not the server's",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "tls", "link")); err != nil {
		t.Fatal(err)
	}
	store, err := boltstore.Open(dir, boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	var batches []*reflect.Batch
	for n := range 40 {
		batches = append(batches, newBatch(t, store, n))
	}
	for _, err := range store.Commit(batches) {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir, store
}

func groupOf(n int) d2m.GroupID { return d2m.GroupID{byte(n + 1), 0xba} }

func newBatch(t *testing.T, store *boltstore.Store, n int) *reflect.Batch {
	t.Helper()
	group := groupOf(n)
	snapshot, err := store.Claim(group)
	if err != nil {
		t.Fatal(err)
	}
	chunk := reflect.NewChunk(group, 0)
	chunk.Append(reflect.Message{Place: 5, Timestamp: 7, Sender: 1, Envelope: bytes.Repeat([]byte{byte(n)}, 100)})
	state := reflect.State{LastTimestamp: 7, Bound: 1024, Slots: []reflect.SlotState{{Device: 1, First: 1, Next: 1}, {Device: 2, First: 1, Next: 1}}}
	return &reflect.Batch{Group: group, Epoch: snapshot.Epoch, Chunk: chunk.Data, State: state.Append(nil),
		Blobs: []reflect.Blob{{Shared: true, Data: []byte("shared")}}}
}

// newBackup returns a backup of newData.
func newBackup(t *testing.T, options Options) []byte {
	t.Helper()
	dir, store := newData(t)
	var b bytes.Buffer
	if err := Write(context.Background(), &b, dir, store, options); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func write(t *testing.T, data []byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "backup.tar")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// tree returns the files below a directory with their content.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, dir+"/")] = string(data)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return all
}

// wantRestored fails the test unless a directory holds what newData made, and nothing else.
func wantRestored(t *testing.T, dir string, keys bool) {
	t.Helper()
	files := tree(t, dir)
	delete(files, boltstore.FileName)
	delete(files, boltstore.LockName)
	want := map[string]string{"invitations/0123456789abcdef": "hash and date"}
	if keys {
		want["tls/key.pem"], want["tls/next-key.pem"] = "secret key", "next secret key"
	}
	for name := range files {
		if files[name] != want[name] {
			t.Errorf("%s holds %q, want %q", name, files[name], want[name])
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
	store, err := boltstore.Open(dir, boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for n := range 40 {
		snapshot, err := store.Peek(groupOf(n))
		if err != nil || len(snapshot.Messages) != 1 || len(snapshot.Blobs) != 1 {
			t.Fatalf("group %d: %+v, %v", n, snapshot, err)
		}
		state, err := reflect.ParseState(snapshot.State)
		if err != nil || state.Bound <= 1<<20 || state.Slots[0].Confirmed {
			t.Fatalf("group %d was not moved ahead: %+v, %v", n, state, err)
		}
	}
}

func TestBackupAndRestore(t *testing.T) {
	for _, keys := range []bool{true, false} {
		path := write(t, newBackup(t, Options{WithoutKeys: !keys, Program: "test"}))
		contents, err := CheckFile(path)
		want := boltstore.Tally{Groups: 40, Devices: 80, Messages: 40, Bytes: 4000}
		if err != nil || contents.Tally != want || contents.Keys != keys || contents.KeyFiles > 0 != keys || contents.Invitations != 1 || contents.Program != "test" {
			t.Errorf("%+v, %v", contents, err)
		}
		if data, err := os.ReadFile(path); err != nil || bytes.Contains(data, []byte("secret key")) != keys {
			t.Errorf("the keys are in it against what was asked for (%v)", err)
		}
		dir := filepath.Join(t.TempDir(), "new", "data")
		done, err := Restore(path, dir, false)
		if err != nil || done.Tally != want || done.Replaced != "" {
			t.Fatalf("%+v, %v", done, err)
		}
		wantRestored(t, dir, keys)
	}
}

// A backup that is cut short anywhere, or with a bit that is not what it was, is refused with a sentence, and nothing is
// written.
func TestDamagedBackup(t *testing.T) {
	data := newBackup(t, Options{})
	path := write(t, data)
	dir := filepath.Join(t.TempDir(), "data")
	refused := func(what string, at int, data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Restore(path, dir, false)
		if !errors.Is(err, ErrNotBackup) && !errors.Is(err, ErrNewer) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), path) {
			t.Fatalf("%s at %d of %d: %v", what, at, len(data), err)
		}
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("%s at %d: something was written", what, at)
		}
	}
	for at := 0; at < len(data); at += 256 {
		refused("cut", at, data[:at])
	}
	for at := 0; at < len(data); at += 61 {
		changed := bytes.Clone(data)
		changed[at] ^= 1
		refused("changed", at, changed)
	}
	refused("longer", len(data), append(bytes.Clone(data), 0))
	refused("twice", len(data), append(bytes.Clone(data), data...))
}

// The disk is full, or something else fails, at any moment: the error says what, and what was there is as it was.
func TestRestoreFails(t *testing.T) {
	path := write(t, newBackup(t, Options{}))
	for _, at := range []string{"file", "piece", "staged"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{filepath.Join(dir, "new"), dir} {
			before := tree(t, dir)
			_, err := restore(path, dir, true, time.Now(), failAt(at))
			if !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%s: %v", at, err)
			}
			after := tree(t, dir)
			delete(after, boltstore.LockName)
			if len(after) != len(before) {
				t.Errorf("%s: %d files are left, %d were there", at, len(after), len(before))
			}
		}
		if _, err := os.Lstat(filepath.Join(dir, "new")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the directory was made", at)
		}
	}
}

func failAt(step string) func(string) error {
	return func(reached string) error {
		if reached == step {
			return syscall.ENOSPC
		}
		return nil
	}
}

// While what was there is replaced no server starts, wherever the restore is cut short, and a further restore puts it right.
func TestRestoreIsCutShort(t *testing.T) {
	path := write(t, newBackup(t, Options{}))
	for _, at := range []string{"move tls", "move invitations", "move mediator.db", "moved"} {
		dir, store := newData(t)
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := restore(path, dir, true, time.Now(), failAt(at)); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: %v", at, err)
		}
		for what, refuse := range map[string]func() error{
			"open":    func() error { _, err := boltstore.Open(dir, boltstore.Options{}); return err },
			"verify":  func() error { _, err := boltstore.Verify(dir); return err },
			"restore": func() error { _, err := Restore(path, dir, false); return err },
		} {
			if err := refuse(); !errors.Is(err, boltstore.ErrUnfinished) && !errors.Is(err, ErrNotEmpty) {
				t.Errorf("%s, then %s: %v", at, what, err)
			}
		}
		if _, err := restore(path, dir, true, time.Now().Add(time.Minute), failAt("")); err != nil {
			t.Fatalf("%s, then restore: %v", at, err)
		}
		for name := range tree(t, dir) {
			if strings.HasPrefix(name, "replaced-") || name == "control.toml" {
				if err := os.RemoveAll(filepath.Join(dir, strings.SplitN(name, "/", 2)[0])); err != nil {
					t.Fatal(err)
				}
			}
		}
		wantRestored(t, dir, true)
	}
}

// What is replaced is kept, and keys that the backup does not bring stay.
func TestRestoreReplaces(t *testing.T) {
	path := write(t, newBackup(t, Options{WithoutKeys: true}))
	dir, store := newData(t)
	if _, err := Restore(path, dir, true); !errors.Is(err, boltstore.ErrInUse) {
		t.Errorf("in use: %v", err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	before := tree(t, dir)
	if _, err := Restore(path, dir, false); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("not empty: %v", err)
	}
	done, err := Restore(path, dir, true)
	if err != nil {
		t.Fatal(err)
	}
	kept := tree(t, done.Replaced)
	if kept[boltstore.FileName] != before[boltstore.FileName] || kept["invitations/0123456789abcdef"] != "hash and date" || len(kept) != 2 {
		t.Errorf("kept: %d files", len(kept))
	}
	if after := tree(t, dir); after["tls/key.pem"] != "secret key" || after["control.toml"] != "not the server's" {
		t.Error("what the backup does not bring is gone")
	}
}

// A restore that is done again at once, whether the one before was cut short or not, keeps what that one has moved away.
func TestRestoreReplacesTwiceInASecond(t *testing.T) {
	path := write(t, newBackup(t, Options{}))
	for _, at := range []string{"move tls", "move mediator.db", "moved", ""} {
		dir, store := newData(t)
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		before, now := tree(t, dir), time.Now()
		first, _ := restore(path, dir, true, now, failAt(at))
		second, err := restore(path, dir, true, now, failAt(""))
		if err != nil || first.Replaced == second.Replaced {
			t.Fatalf("%q: %v, %v, %v", at, first, second, err)
		}
		kept := tree(t, first.Replaced)
		for _, name := range []string{boltstore.FileName, "tls/key.pem", "invitations/0123456789abcdef"} {
			if kept[name] != before[name] {
				t.Errorf("%q: %s is not what it was", at, name)
			}
		}
	}
}

func TestRestoreWithClockBehind(t *testing.T) {
	path := write(t, newBackup(t, Options{}))
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := restore(path, dir, false, time.Now().Add(-25*time.Hour), failAt("")); err == nil || !strings.Contains(err.Error(), "set the clock") {
		t.Errorf("%v", err)
	}
	if len(tree(t, dir)) > 0 {
		t.Error("something was written")
	}
}

// A backup that cannot be written, or is interrupted, ends with the error.
func TestWriteFails(t *testing.T) {
	dir, store := newData(t)
	var whole bytes.Buffer
	if err := Write(context.Background(), &whole, dir, store, Options{}); err != nil {
		t.Fatal(err)
	}
	for room := 0; room < whole.Len(); room += 1000 {
		if err := Write(context.Background(), &limited{room}, dir, store, Options{}); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("room for %d bytes of %d: %v", room, whole.Len(), err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Write(ctx, &bytes.Buffer{}, dir, store, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	large := filepath.Join(dir, "tls", "large.pem")
	if err := os.WriteFile(large, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(context.Background(), &bytes.Buffer{}, dir, store, Options{}); err == nil || !strings.Contains(err.Error(), large) {
		t.Errorf("a key that is none: %v", err)
	}
}

// limited is a disk with room for so many bytes.
type limited struct{ room int }

func (l *limited) Write(b []byte) (int, error) {
	if len(b) > l.room {
		return 0, syscall.ENOSPC
	}
	l.room -= len(b)
	return len(b), nil
}
