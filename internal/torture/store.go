package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"openmediator/d2m"
)

// What is looked at in the server's file; package boltstore says what it is.
const fileName = "mediator.db"

var (
	bucketState = []byte("state") // by group id
	bucketLog   = []byte("log")   // all messages
)

// checkFile looks for messages and groups in the file of a server that has ended, after the last ack: there are none but the
// groups whose slots stay, and all of these.
func (r *run) checkFile() (err error) {
	db, err := bbolt.Open(filepath.Join(r.world.data, fileName), 0, &bbolt.Options{ReadOnly: true, Timeout: 5 * time.Second})
	if err != nil {
		return fmt.Errorf("B41: file: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.View(func(tx *bbolt.Tx) error {
		log, state := tx.Bucket(bucketLog), tx.Bucket(bucketState)
		if log == nil || state == nil {
			return errors.New("file: is not that of a store")
		}
		chunks, bytes := 0, 0
		log.ForEach(func(_, chunk []byte) error {
			chunks++
			bytes += len(chunk)
			return nil
		})
		if chunks > 0 {
			return fmt.Errorf("B17: file: %d chunks of %d bytes are left after the last ack", chunks, bytes)
		}
		stayed := 0
		err := state.ForEach(func(key, _ []byte) error {
			if len(key) != len(d2m.GroupID{}) || !r.stayed[d2m.GroupID(key)] {
				return errors.New("B34: file: a group is left all of whose devices have been dropped")
			}
			stayed++
			return nil
		})
		if err == nil && stayed < len(r.stayed) {
			return fmt.Errorf("B7: file: %d groups are gone whose devices have slots", len(r.stayed)-stayed)
		}
		return err
	})
}

// fileSize returns the size of the file for people.
func fileSize(data string) string {
	info, err := os.Stat(filepath.Join(data, fileName))
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%.1f MiB", float64(info.Size())/(1<<20))
}
