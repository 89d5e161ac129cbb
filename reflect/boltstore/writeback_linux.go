package boltstore

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// WriteBack has what was written to a file carried to the disk, and waits for that. It makes nothing durable: a sync is
// still needed. But it does not make the file system commit its journal, for which all would have to wait who sync a file.
func WriteBack(file *os.File) error {
	const all = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	err := unix.SyncFileRange(int(file.Fd()), 0, 0, all)
	if errors.Is(err, unix.ENOSYS) {
		return unix.Fdatasync(int(file.Fd()))
	}
	return os.NewSyscallError("sync_file_range", err)
}
