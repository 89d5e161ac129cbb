// Package durable makes what is done to files survive a crash of the machine.
//
// When a file has been written and synced, its content is on the disk. Its name is not before the directory is synced in which
// it stands; nor is that it was renamed or removed.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Replace writes a file with this content and mode, whatever the umask, in the place of one that may be there. After a crash
// the old or the new content is there, never a part. Nobody else may write the file meanwhile. For the owner see [GiveToOwner].
func Replace(path string, data []byte, mode fs.FileMode) error {
	temporary, err := writeBeside(path, data, mode)
	if err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return SyncDirectory(filepath.Dir(path))
}

// Create is Replace for a file that is not there: the error is fs.ErrExist if it is, for one of several that try at once.
func Create(path string, data []byte, mode fs.FileMode) error {
	temporary, err := writeBeside(path, data, mode)
	if err != nil {
		return err
	}
	defer os.Remove(temporary)
	if err := os.Link(temporary, path); err != nil {
		return err
	}
	return SyncDirectory(filepath.Dir(path))
}

// writeBeside writes a file with another name, which is hidden, durably, and returns that.
func writeBeside(path string, data []byte, mode fs.FileMode) (name string, err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".")
	if err != nil {
		return "", err
	}
	GiveToOwner(file)
	_, err = file.Write(data)
	if err = errors.Join(err, file.Chmod(mode), file.Sync(), file.Close()); err != nil {
		return "", errors.Join(err, os.Remove(file.Name()))
	}
	return file.Name(), nil
}
