package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"openmediator/internal/durable"
)

// Check says whether Open may succeed for a directory, as far as that can be told without making or changing anything: it
// is there and may be written to, or can be made, there is room for some messages (ENOSPC), no server uses it (ErrInUse), and no
// restore was cut short in it (ErrUnfinished). It does not look into the file.
func Check(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return checkAbove(dir)
	case err != nil:
		return err
	case !info.IsDir():
		return durable.ErrNotDirectory
	}
	if err := mayFill(dir); err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(dir, LockName), os.O_RDWR, 0)
	if err == nil {
		defer file.Close()
		err = lockFile(file)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return checkRestored(dir)
}

// checkAbove is Check for a directory that has to be made.
func checkAbove(dir string) error {
	above := filepath.Dir(filepath.Clean(dir))
	info, err := os.Stat(above)
	switch {
	case errors.Is(err, fs.ErrNotExist) && above != dir:
		return checkAbove(above)
	case err != nil:
		return err
	case !info.IsDir():
		return durable.ErrNotDirectory
	}
	return mayFill(above)
}

// leastRoom is how much has to be free for a store to be of use, bytes.
const leastRoom = 1 << 20

// mayFill says why a store cannot be made or grow in a directory, if it cannot.
func mayFill(dir string) error {
	if err := mayWrite(dir); err != nil {
		return err
	}
	free, err := freeSpace(dir)
	if err == nil && free < leastRoom {
		err = fmt.Errorf("%w: %d bytes are free", syscall.ENOSPC, free)
	}
	return err
}
