package powercut

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// store writes an image to an empty directory.
func (i image) store(root string) error {
	for _, name := range i.directories {
		if err := os.MkdirAll(filepath.Join(root, filepath.FromSlash(name)), 0o700); err != nil {
			return err
		}
	}
	for name, content := range i.files {
		if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(name)), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// compare tells how the files below a directory differ from an image.
func (i image) compare(root string) error {
	found := 0
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		found++
		content, err := os.ReadFile(file)
		recorded, known := i.files[filepath.ToSlash(name)]
		switch {
		case err != nil:
			return err
		case !known:
			return fmt.Errorf("recording: lacks %s", name)
		case !bytes.Equal(content, recorded):
			return fmt.Errorf("recording: %s has %d bytes, and others than the %d recorded", name, len(content), len(recorded))
		}
		return nil
	})
	if err == nil && found != len(i.files) {
		return fmt.Errorf("recording: has %d files, the directory %d", len(i.files), found)
	}
	return err
}
