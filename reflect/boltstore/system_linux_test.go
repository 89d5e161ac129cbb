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
				"a": fs.ModeDir | 0o700, "a/b": fs.ModeDir | 0o700, "a/b/" + FileName: 0o600, "a/b/" + LockName: 0o600,
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
	path := filepath.Join(dir, FileName)
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
	empty, frozen := filepath.Join(above, "empty"), filepath.Join(above, "frozen")
	closeStore(t, openIn(t, frozen, Options{}))
	chmod(t, 0o444, filepath.Join(frozen, FileName))
	chmod(t, 0o666, filepath.Join(frozen, LockName))
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	chmod(t, 0o555, frozen, empty, above, filepath.Dir(above))
	asNobody(t, func() {
		for dir, where := range map[string]string{
			empty:                              LockName,
			filepath.Join(above, "new", "dir"): "mkdir",
			frozen:                             FileName,
		} {
			_, err := Open(dir, Options{})
			wantSentence(t, err, dir, where, "permission denied")
			if !errors.Is(err, fs.ErrPermission) {
				t.Errorf("%v does not wrap fs.ErrPermission", err)
			}
		}
	})
	chmod(t, 0o755, filepath.Dir(above), above, empty, frozen)
}

func chmod(t *testing.T, mode fs.FileMode, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
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
