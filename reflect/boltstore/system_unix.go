//go:build linux || darwin || freebsd

package boltstore

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// lockFile locks a file for this process, or returns ErrInUse.
func lockFile(file *os.File) error {
	err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrInUse
	}
	return err
}

// unlockFile gives the lock of a file back. Closing does not while the file is mapped.
func unlockFile(file *os.File) { _ = unix.Flock(int(file.Fd()), unix.LOCK_UN) }

// mayWrite says why this process may not make files in a directory, if it may not.
func mayWrite(dir string) error { return unix.Access(dir, unix.W_OK|unix.X_OK) }

// fileSystemSize returns how large the file system of a directory is, bytes.
func fileSystemSize(dir string) (int64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return 0, fmt.Errorf("file system of %s: %w", dir, err)
	}
	return int64(stat.Blocks) * int64(stat.Bsize), nil
}

// freeSpace returns how much of the file system of a directory this process may still fill, bytes.
func freeSpace(dir string) (int64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return 0, fmt.Errorf("file system of %s: %w", dir, err)
	}
	return int64(stat.Bavail) * int64(stat.Bsize), nil
}
