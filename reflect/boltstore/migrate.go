package boltstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"openmediator/internal/durable"
)

// migrations bring a file from the version that is their index to the next one. Each runs in one transaction together with
// those behind it, on a copy.
var migrations = [schemaVersion]func(tx *bbolt.Tx) error{
	0: noteMade,
}

// noteMade notes when the file was made, which version 0 did not: nobody knows, so as early as can be. Deleted bytes are
// then taken to be in it.
func noteMade(tx *bbolt.Tx) error { return putMade(tx, time.UnixMilli(0)) }

// migrateTx brings what tx sees from a version to the present one.
func migrateTx(tx *bbolt.Tx, from uint64) error {
	for _, step := range migrations[from:] {
		if err := step(tx); err != nil {
			return err
		}
	}
	return putVersion(tx, schemaVersion)
}

// keptName is the name of the copy of a file of an older version.
func keptName(version uint64) string { return fmt.Sprintf("%s.v%d", FileName, version) }

// migrate puts a file of the present version in the place of one of an older version, of which a copy is kept beside it until
// the next compaction (B17). After a crash the old file is there, whole, or the new one.
func migrate(dir string, from uint64, at func(step) error) error {
	reached := faults{step: at}
	unchanged := func(string) error { return nil }
	if err := putCopy(dir, keptName(from), unchanged); err != nil {
		return err
	}
	if err := reached.at(stepKept); err != nil {
		return err
	}
	err := putCopy(dir, FileName, func(path string) error {
		return errors.Join(migrateFile(path, from), reached.at(stepMigrated))
	})
	return errors.Join(err, reached.at(stepReplaced))
}

func migrateFile(path string, from uint64) error {
	file, err := openBolt(path, false, false)
	if err != nil {
		return err
	}
	err = file.write(func(tx *bbolt.Tx) error { return migrateTx(tx, from) })
	return errors.Join(err, file.close())
}

// putCopy puts a copy of mediator.db, when change has changed it, in the directory under a name, which may be its own.
func putCopy(dir, name string, change func(path string) error) error {
	t, err := readTree(filepath.Join(dir, FileName))
	if err != nil {
		return err
	}
	if err := copyToNew(dir, t.pageSize, t.txid); err != nil {
		return err
	}
	path := filepath.Join(dir, newName)
	if err := change(path); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	if err := os.Rename(path, filepath.Join(dir, name)); err != nil {
		return err
	}
	return durable.SyncDirectory(dir)
}

// removeKept removes the copies of files of older versions.
func removeKept(dir string) (err error) {
	for version := range uint64(schemaVersion) {
		err = errors.Join(err, removeFile(filepath.Join(dir, keptName(version))))
	}
	return err
}
