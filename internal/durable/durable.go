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

// ErrNotDirectory says that something else is where a directory is to be.
var ErrNotDirectory = errors.New("it is not a directory")

// MakeDirectory makes a directory with mode 0700, whatever the umask, and those above it, unless they are there. Its name is on the
// disk when it returns: what a directory holds is lost with it.
func MakeDirectory(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.IsDir():
		return ErrNotDirectory
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	above := filepath.Dir(filepath.Clean(path))
	if err := MakeDirectory(above); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(path, 0o700); err != nil { // the umask may have taken from it
		return err
	}
	return SyncDirectory(above)
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
