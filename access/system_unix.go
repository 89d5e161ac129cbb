//go:build unix

package access

import (
	"os"
	"path/filepath"
	"syscall"
)

// lockBeside keeps other editors of a file away until unlock, or the process, ends. What is locked is the directory, since
// the file is replaced.
func lockBeside(path string) (unlock func(), err error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		dir.Close()
		return nil, err
	}
	return func() { dir.Close() }, nil
}

// giveLike gives a new file to the owner that another one has, if this process may: a command run by root must not take
// from the server what is the server's.
func giveLike(path string, like os.FileInfo) {
	if owner, ok := like.Sys().(*syscall.Stat_t); ok {
		_ = os.Lchown(path, int(owner.Uid), int(owner.Gid))
	}
}
