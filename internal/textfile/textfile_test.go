package textfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReadRefuses(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "large"), "12345")
	for name, want := range map[string]string{
		".": "it is a directory", "large": "it has more than 4 bytes", "none": "no such file",
	} {
		_, _, err := Read(filepath.Join(dir, name), 4)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), dir) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
	if _, _, err := Read(os.DevNull, 4); err == nil || err.Error() != "it is not a file" {
		t.Errorf("a device: %v", err)
	}
	if _, _, err := Read(filepath.Join(dir, "none"), 4); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if data, _, err := Read(filepath.Join(dir, "large"), 5); err != nil || string(data) != "12345" {
		t.Errorf("%q, %v", data, err)
	}
}

func TestLook(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "one")
	f, data, err := Open(path, 10)
	if err != nil || string(data) != "one" {
		t.Fatalf("%q, %v", data, err)
	}
	expect := func(name, want string, wantChanged bool, wantError string) {
		t.Helper()
		data, changed, err := f.Look()
		if err == nil {
			err = errors.New("")
		}
		if changed != wantChanged || changed && string(data) != want || err.Error() != wantError {
			t.Errorf("%s: %q, %v, %v", name, data, changed, err)
		}
	}
	const gone = "no such file or directory"
	expect("opened", "", false, "")
	expect("settled", "", false, "")
	write(t, path, "")
	expect("empty", "", false, "")
	write(t, path, "other")
	expect("written since the look", "", false, "")
	expect("settled", "other", true, "")
	expect("known", "", false, "")
	os.Remove(path)
	expect("removed", "", false, gone)
	expect("still removed", "", false, "")
	write(t, path, "other")
	expect("as it was", "", false, "")
	expect("settled as it was", "", false, "")
	os.Remove(path)
	expect("removed again", "", false, gone)
	write(t, path, "longer than ten")
	expect("too long", "", false, "")
	expect("settled too long, told already", "", false, "")
	write(t, path, "")
	expect("emptied", "", false, "")
	expect("settled empty", "", true, "")
}
