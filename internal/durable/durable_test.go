//go:build unix

package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// wantFile checks the content and the mode of a file, and that nothing else is in its directory.
func wantFile(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil || string(data) != content {
		t.Errorf("file holds %q (%v), want %q", data, err, content)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != mode {
		t.Errorf("file has mode %v (%v), want %v", info.Mode(), err, mode)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("directory holds %v (%v), want the file alone", entries, err)
	}
}

func TestReplace(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o277))
	path := filepath.Join(t.TempDir(), "file")
	for _, step := range []struct {
		content string
		mode    fs.FileMode
	}{{"first", 0o600}, {"second, which is longer", 0o644}, {"", 0o600}} {
		if err := Replace(path, []byte(step.content), step.mode); err != nil {
			t.Fatal(err)
		}
		wantFile(t, path, step.content, step.mode)
	}
}

func TestCreateReplacesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := Create(path, []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Create(path, []byte("second"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("error is %v, want %v", err, fs.ErrExist)
	}
	wantFile(t, path, "first", 0o600)
}

// A file that cannot get its name is not left behind under another one.
func TestNothingIsLeftBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.MkdirAll(filepath.Join(path, "below"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func(string, []byte, fs.FileMode) error{"Replace": Replace, "Create": Create} {
		if err := write(path, []byte("content"), 0o600); err == nil {
			t.Errorf("%s puts a file in the place of a directory", name)
		}
		if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
			t.Errorf("%s leaves %v behind (%v)", name, entries, err)
		}
	}
}

func TestMakeDirectory(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o277))
	above := filepath.Join(t.TempDir(), "above")
	path := filepath.Join(above, "below")
	for range 2 {
		if err := MakeDirectory(path + "/"); err != nil {
			t.Fatal(err)
		}
	}
	for _, made := range []string{above, path} {
		if info, err := os.Stat(made); err != nil || info.Mode() != fs.ModeDir|0o700 {
			t.Errorf("%s: %v, %v", made, info, err)
		}
	}
	file := filepath.Join(above, "file")
	if err := Create(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := MakeDirectory(file); !errors.Is(err, ErrNotDirectory) {
		t.Errorf("a file: %v", err)
	}
	if err := MakeDirectory(filepath.Join(file, "below")); err == nil {
		t.Error("below a file: no error")
	}
}

func TestNoDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	for name, err := range map[string]error{
		"Replace": Replace(filepath.Join(dir, "file"), nil, 0o600), "Create": Create(filepath.Join(dir, "file"), nil, 0o600),
		"SyncDirectory": SyncDirectory(dir),
	} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: error is %v, want %v", name, err, fs.ErrNotExist)
		}
	}
}
