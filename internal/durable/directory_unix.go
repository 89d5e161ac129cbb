//go:build unix

package durable

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// SyncDirectory returns when it is on the disk which files a directory has, and under which names. Where directories cannot be
// synced it does nothing.
func SyncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// GiveToOwner gives a file or directory to the owner of the directory it is in, if this process may: a command run by root must
// not take from the server what is the server's.
func GiveToOwner(file *os.File) {
	dir, err := os.Stat(filepath.Dir(file.Name()))
	if err != nil {
		return
	}
	if owner, ok := dir.Sys().(*syscall.Stat_t); ok {
		_ = file.Chown(int(owner.Uid), int(owner.Gid))
	}
}
