package boltstore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestModesWhateverTheUmask(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o777} {
		above := t.TempDir()
		dir := filepath.Join(above, "a", "b")
		old := syscall.Umask(umask)
		s, err := Open(dir, Options{})
		syscall.Umask(old)
		if err != nil {
			t.Fatalf("umask %o: %v", umask, err)
		}
		check := func() {
			t.Helper()
			for name, want := range map[string]fs.FileMode{
				"a": fs.ModeDir | 0o700, "a/b": fs.ModeDir | 0o700, "a/b/" + fileName: 0o600, "a/b/" + lockName: 0o600,
			} {
				if got := statOf(t, filepath.Join(above, name)).Mode(); got != want {
					t.Fatalf("umask %o: %s has mode %v, want %v", umask, name, got, want)
				}
			}
		}
		check()
		fail(t, s, put(t, s, testGroup(1), 1))
		old = syscall.Umask(umask)
		holds(t, s, testGroup(1), 1) // in a new file
		syscall.Umask(old)
		check()
		closeStore(t, s)
	}
}

// What the operator has set stays.
func TestModesThatAreThere(t *testing.T) {
	dir := t.TempDir()
	closeStore(t, openIn(t, dir, Options{}))
	path := filepath.Join(dir, fileName)
	if err := errors.Join(os.Chmod(dir, 0o750), os.Chmod(path, 0o640)); err != nil {
		t.Fatal(err)
	}
	openIn(t, dir, Options{})
	if d, f := statOf(t, dir).Mode().Perm(), statOf(t, path).Mode().Perm(); d != 0o750 || f != 0o640 {
		t.Fatalf("modes are %o and %o now", d, f)
	}
}

func TestDirectoryThatIsNotWritable(t *testing.T) {
	above := t.TempDir()
	dir := filepath.Join(above, "data")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o555), os.Chmod(above, 0o555)); err != nil {
		t.Fatal(err)
	}
	existing := t.TempDir()
	closeStore(t, openIn(t, existing, Options{}))
	if err := os.Chmod(filepath.Join(existing, fileName), 0o444); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(existing, 0o755), os.Chmod(filepath.Join(existing, lockName), 0o666)); err != nil {
		t.Fatal(err)
	}
	asNobody(t, func() {
		for _, dir := range []string{dir, filepath.Join(above, "new", "data"), existing} {
			_, err := Open(dir, Options{})
			wantSentence(t, err, dir, "permission denied")
			if !errors.Is(err, fs.ErrPermission) {
				t.Errorf("%v does not wrap fs.ErrPermission", err)
			}
		}
	})
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(above, 0o755)); err != nil {
		t.Fatal(err)
	}
}

// asNobody runs do without the right to write anywhere, also when the test is run by root: the thread takes the file
// system rights of another user, and ends with its goroutine.
func asNobody(t *testing.T, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if os.Geteuid() == 0 {
			if err := unix.Setfsuid(65534); err != nil {
				t.Error(err)
				return
			}
		}
		do()
	}()
	<-done
}
