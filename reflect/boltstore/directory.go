package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"openmediator/internal/durable"
)

// removeFile removes a file, if there is one.
func removeFile(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// createFile makes an empty file that only its owner may use, in place of one that may be there.
func createFile(path string) error {
	if err := removeFile(path); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	durable.GiveToOwner(file)
	return errors.Join(file.Chmod(0o600), file.Close())
}

// replace puts the new file in the place of the old one, durably.
func replace(dir string) error {
	if err := os.Rename(filepath.Join(dir, newName), filepath.Join(dir, FileName)); err != nil {
		return err
	}
	return durable.SyncDirectory(dir)
}

// directoryLock keeps other servers off a directory. bbolt's lock on the file is not enough: it is on one file, and
// recovery puts another in its place.
type directoryLock struct{ file *os.File }

func lockDirectory(dir string) (*directoryLock, error) {
	file, err := openLock(filepath.Join(dir, LockName))
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(lockTimeout); ; time.Sleep(lockTimeout / 10) {
		if err = lockFile(file); !errors.Is(err, ErrInUse) || time.Now().After(end) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &directoryLock{file}, nil
}

// Lock makes a directory, unless it is there, and keeps servers off it until Unlock. The error is one sentence for the operator;
// it wraps ErrInUse if a server uses the directory.
func Lock(dir string) (*Locked, error) {
	_, err := os.Lstat(dir)
	l := &Locked{dir: dir, made: errors.Is(err, fs.ErrNotExist)}
	if err = durable.MakeDirectory(dir); err == nil {
		l.lock, err = lockDirectory(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", dir, plain(err))
	}
	return l, nil
}

// Locked is a directory that is kept from servers.
type Locked struct {
	dir  string
	made bool
	lock *directoryLock
}

// Unlock gives the directory back. If it was made by Lock and nothing is in it, it is removed.
func (l *Locked) Unlock() {
	entries, err := os.ReadDir(l.dir)
	if l.made && err == nil && len(entries) == 1 {
		_ = os.Remove(filepath.Join(l.dir, LockName))
		_ = os.Remove(l.dir)
	}
	l.lock.release()
}

func openLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return os.OpenFile(path, os.O_RDWR, 0)
	}
	if err != nil {
		return nil, err
	}
	durable.GiveToOwner(file)
	return file, file.Chmod(0o600)
}

// release gives the directory back. The file stays: whoever removed it could take it from under another server.
func (l *directoryLock) release() { _ = l.file.Close() }
