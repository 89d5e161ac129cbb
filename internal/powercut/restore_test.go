//go:build integration

package powercut

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"openmediator/backup"
	"openmediator/d2m"
	"openmediator/internal/serverprocess"
	"openmediator/reflect"
	"openmediator/reflect/boltstore"
)

// restored is a recording of `mediator restore`: of one backup into a directory that is not there, and of another one in place
// of that.
type restored struct {
	root    string
	backups [2]string // files
	holds   [2]string // what a data directory holds with each
	begun   [2]int    // lines of the trace on which the restores began
	ended   [2]int    // and on which they said that they had done it
	*Recording
}

// nothing is what a data directory holds that there was not.
const nothing = "groups:\n"

// TestPowerCut_Restore cuts the power of a restore. Either what was there is there, or the backup, or no server starts and another
// restore puts it right; whatever was replaced is kept.
func TestPowerCut_Restore(t *testing.T) {
	binary, err := serverprocess.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root := folder(t)
	r := &restored{root: root, Recording: NewRecording(root)}
	for i := range r.backups {
		r.backups[i] = makeBackup(t, byte(i+1))
		r.record(t, binary, i)
	}
	replayWhole(t, r.Recording, r.verdict)
}

// makeBackup writes a backup of a store with some groups, of keys and of an invitation, all of which n is in.
func makeBackup(t *testing.T, n byte) (path string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"tls/key.pem", fmt.Sprintf("tls/only-%d.pem", n), "invitations/0123456789abcdef"} {
		file := filepath.Join(dir, name)
		err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, bytes.Repeat([]byte{'0' + n}, 700), 0o600))
		if err != nil {
			t.Fatal(err)
		}
	}
	store, err := boltstore.Open(dir, boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var batches []*reflect.Batch
	for i := range byte(3) {
		group := d2m.GroupID{n, i}
		snapshot, err := store.Claim(group)
		if err != nil {
			t.Fatal(err)
		}
		chunk := reflect.NewChunk(group, 0)
		chunk.Append(reflect.Message{Place: 5, Timestamp: 7, Sender: 1, Envelope: bytes.Repeat([]byte{n}, 3000)})
		state := reflect.State{LastTimestamp: 7, Bound: 1024, Slots: []reflect.SlotState{{Device: 1, First: 1, Next: 1}, {Device: 2, First: 1, Next: 1}}}
		batches = append(batches, &reflect.Batch{Group: group, Epoch: snapshot.Epoch, Chunk: chunk.Data, State: state.Append(nil)})
	}
	var b bytes.Buffer
	err = errors.Join(store.Commit(batches)...)
	err = errors.Join(err, backup.Write(t.Context(), &b, dir, store, backup.Options{}), store.Close())
	path = filepath.Join(t.TempDir(), "backup.tar")
	if err := errors.Join(err, os.WriteFile(path, b.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	return path
}

// record records the restore of a backup.
func (r *restored) record(t *testing.T, binary string, i int) {
	t.Helper()
	r.begun[i] = r.lines
	log := filepath.Join(t.TempDir(), "trace")
	command := append(Strace(log), binary, "restore", r.backups[i], "--replace", "--data", r.data(r.root))
	process := exec.Command(command[0], command[1:]...)
	process.Env = append(os.Environ(), "MEDIATOR_CONFIG=")
	if output, err := process.CombinedOutput(); err != nil {
		t.Fatalf("restore: %v\n%s", err, output)
	}
	if err := r.AddFile(log, func(o Output) bool { return o.Descriptor == 1 }); err != nil {
		t.Fatal(err)
	}
	if len(r.Outputs) != i+1 {
		t.Fatalf("%d outputs of %d restores", len(r.Outputs), i+1)
	}
	r.ended[i] = r.Outputs[i].Line
	looked := filepath.Join(t.TempDir(), "copy") // a look changes the files
	err := os.CopyFS(looked, os.DirFS(r.root))
	if err == nil {
		r.holds[i], err = held(r.data(looked))
	}
	if err != nil || r.holds[i] == nothing {
		t.Fatalf("restore %d: %s, %v", i, r.holds[i], err)
	}
}

func (r *restored) data(root string) string { return filepath.Join(root, DataName) }

// held says what a server finds in a data directory, but for what a restore makes of it anew each time.
func held(dir string) (string, error) {
	store, err := boltstore.Open(dir, boltstore.Options{})
	if err != nil {
		return "", err
	}
	groups, err := heldGroups(store)
	if err := errors.Join(err, store.Close()); err != nil {
		return "", err
	}
	files, err := heldFiles(dir, "tls", "invitations")
	return "groups:\n" + groups + files, err
}

func heldGroups(store reflect.Store) (string, error) {
	var ids []d2m.GroupID
	err := store.Groups(func(group d2m.GroupID, _ []byte) error {
		ids = append(ids, group)
		return nil
	})
	var b strings.Builder
	for _, group := range ids {
		snapshot, failed := store.Claim(group)
		if failed != nil {
			return "", failed
		}
		state, failed := reflect.ParseState(snapshot.State)
		at := make([]reflect.Location, len(snapshot.Messages))
		for i, m := range snapshot.Messages {
			at[i] = m.At
		}
		fmt.Fprintf(&b, "%x: %d slots", group, len(state.Slots))
		err = errors.Join(err, failed, store.Read(group, snapshot.Epoch, at, func(_ int, record []byte) error {
			m, err := reflect.ParseRecord(record)
			fmt.Fprintf(&b, " %x", m.Envelope)
			return err
		}))
		b.WriteByte('\n')
	}
	return b.String(), err
}

// heldFiles returns the files of directories, which need not be there.
func heldFiles(dir string, names ...string) (string, error) {
	var b strings.Builder
	for _, name := range names {
		entries, err := os.ReadDir(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		for _, entry := range entries {
			content, err := os.ReadFile(filepath.Join(dir, name, entry.Name()))
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&b, "%s/%s: %s\n", name, entry.Name(), content)
		}
	}
	return b.String(), nil
}

// verdict starts a server on what a cut has left.
func (r *restored) verdict(root string, line int) error {
	now := 0 // the restore that has begun last
	if line >= r.begun[1] {
		now = 1
	}
	before := []string{nothing, r.holds[0]}[now]
	found, err := held(r.data(root))
	switch {
	case errors.Is(err, boltstore.ErrUnfinished) && line < r.ended[now]:
		return r.mend(r.data(root), now)
	case err != nil:
		return err
	case found == r.holds[now]:
		return r.kept(r.data(root), now)
	case found == before && line < r.ended[now]:
		return nil
	}
	return fmt.Errorf("restore %d: a server starts that finds %.500q", now, found)
}

// mend does what the refusal says: the restore again.
func (r *restored) mend(dir string, now int) error {
	if _, err := backup.Restore(r.backups[now], dir, true); err != nil {
		return fmt.Errorf("restore again: %w", err)
	}
	found, err := held(dir)
	if err != nil || found != r.holds[now] {
		return fmt.Errorf("after a restore again: %v, %.500q", err, found)
	}
	return r.kept(dir, now)
}

// kept looks for all that the first restore made in what the second one has replaced: each file once.
func (r *restored) kept(dir string, now int) error {
	if now == 0 {
		return nil
	}
	moved, err := filepath.Glob(filepath.Join(dir, "replaced-*"))
	if err != nil {
		return err
	}
	together := make(map[string]bool)
	for _, from := range moved {
		files, err := heldFiles(from, "tls", "invitations")
		if err != nil {
			return err
		}
		for file := range strings.Lines(files) {
			together[file] = true
		}
		if !boltstore.Exists(from) {
			continue
		}
		found, err := held(from)
		if err != nil {
			return err
		}
		for line := range strings.Lines(found) {
			together[line] = true
		}
	}
	for line := range strings.Lines(r.holds[0]) {
		if !together[line] {
			return fmt.Errorf("%.60q is gone, and was there before the restore; kept in %v is %.500q", line, moved, slices.Sorted(maps.Keys(together)))
		}
	}
	return nil
}
