//go:build linux || darwin || freebsd

package backup

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"openmediator/internal/durable"
)

// syncTree makes durable which files the directories below one have, and gives all of them to the owner that another directory
// has, if this process may: a command run by root must not take from the server what is the server's.
func syncTree(dir, like string) error {
	info, err := os.Stat(like)
	if err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if owner, ok := info.Sys().(*syscall.Stat_t); ok {
			_ = os.Lchown(path, int(owner.Uid), int(owner.Gid))
		}
		if entry.IsDir() {
			return durable.SyncDirectory(path)
		}
		return nil
	})
}
