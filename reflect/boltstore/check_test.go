package boltstore

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Check says what Open would meet, and leaves nothing behind.
func TestCheck(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "new", "data")
	if err := Check(dir); err != nil {
		t.Errorf("a directory that can be made: %v", err)
	}
	if _, err := os.Stat(filepath.Dir(dir)); err == nil {
		t.Error("the check has made it")
	}
	if err := Check(top); err != nil {
		t.Errorf("an empty directory: %v", err)
	}
	file := filepath.Join(top, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"a file": file, "below a file": filepath.Join(file, "data")} {
		if err := Check(path); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if entries, err := os.ReadDir(top); err != nil || len(entries) != 1 {
		t.Errorf("the checks have left %v", entries)
	}

	s := openIn(t, dir, Options{})
	if err := Check(dir); !errors.Is(err, ErrInUse) {
		t.Errorf("a directory in use: %v", err)
	}
	closeStore(t, s)
	if err := Check(dir); err != nil {
		t.Errorf("a directory that was in use: %v", err)
	}
	for _, path := range []string{dir, top} {
		if err := os.Mkdir(filepath.Join(path, RestoringName), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := Check(path); !errors.Is(err, ErrUnfinished) {
			t.Errorf("a directory in which a restore was cut short: %v", err)
		}
	}
}
