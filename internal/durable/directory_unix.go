//go:build unix

package durable

import (
	"errors"
	"os"
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
