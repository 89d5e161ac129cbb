package certificates

import (
	"errors"
	"os"
	"path/filepath"
)

// writeNew writes a file for its owner alone that is not there yet. It is there whole, or not at all.
func writeNew(path string, data []byte) error {
	temporary, err := writeBeside(path, data, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(temporary)
	if err := os.Link(temporary, path); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(path))
}

// replace writes a file. After a crash the old or the new content is there, never a part.
func replace(path string, data []byte, mode os.FileMode) error {
	temporary, err := writeBeside(path, data, mode)
	if err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		os.Remove(temporary)
		return err
	}
	return syncDirectory(filepath.Dir(path))
}

// writeBeside writes a file with another name, durably, and returns that.
func writeBeside(path string, data []byte, mode os.FileMode) (name string, err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".")
	if err != nil {
		return "", err
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Chmod(mode), file.Sync(), file.Close()); err != nil {
		os.Remove(file.Name())
		return "", err
	}
	return file.Name(), nil
}

// syncDirectory makes durable which files a directory has.
func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
