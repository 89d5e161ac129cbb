package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
)

// Verify looks through the store of a directory that no server uses: every page of the file, and every state and message in
// it. Nothing is changed or made. What it returns as an error is one sentence for the operator, as with Open.
func Verify(dir string) (Tally, error) {
	tally, err := verify(dir)
	if err != nil {
		return tally, fmt.Errorf("data directory %s: %w", dir, plain(err))
	}
	return tally, nil
}

func verify(dir string) (tally Tally, err error) {
	lock, err := os.OpenFile(filepath.Join(dir, LockName), os.O_RDWR, 0)
	if err == nil {
		defer lock.Close()
		err = lockFile(lock)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return tally, err
	}
	if err := checkRestored(dir); err != nil {
		return tally, err
	}
	file, _, err := openToRead(filepath.Join(dir, FileName))
	if err != nil {
		return tally, err
	}
	var content Content
	err = file.view(func(tx *bbolt.Tx) error {
		for p := range parts {
			if err := content.addBucket(p, tx.Bucket(p.bucket())); err != nil {
				return err
			}
		}
		if content.Above(tx.Bucket(bucketLog).Sequence()) {
			return errPiece
		}
		return nil
	})
	return content.Tally(), errors.Join(err, file.close())
}

func (c *Content) addBucket(p part, bucket *bbolt.Bucket) error {
	return bucket.ForEach(func(key, value []byte) error {
		e := entry{place{p, string(key)}, value}
		if err := checkKey(e.place); err != nil {
			return err
		}
		return c.add(&e)
	})
}
