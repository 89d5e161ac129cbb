package boltstore

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"openmediator/d2m"
	"openmediator/reflect"
)

// SchemaVersion is the version of what Export hands on.
const SchemaVersion uint64 = schemaVersion

// Import makes a store of the pieces of an export. It is for one goroutine.
type Import struct {
	dir     string
	version uint64
	file    *boltFile
}

// NewImport begins a store in a directory that is there and has none. version is that of the pieces.
func NewImport(dir string, version uint64) (*Import, error) {
	if version > schemaVersion {
		return nil, ErrNewer
	}
	path := filepath.Join(dir, newName)
	if err := createFile(path); err != nil {
		return nil, err
	}
	file, err := openBolt(path, false, true)
	if err == nil {
		err = file.write(makeSchema)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	return &Import{dir: dir, version: version, file: file}, nil
}

// Add adds a piece, which is not kept.
func (i *Import) Add(piece []byte) error {
	entries, err := parsePiece(piece)
	if err != nil {
		return err
	}
	return i.file.write(func(tx *bbolt.Tx) error {
		for n := range entries {
			bucket := tx.Bucket(entries[n].part.bucket())
			bucket.FillPercent = logFill
			if err := putEntry(bucket, entries[n]); err != nil {
				return err
			}
		}
		return nil
	})
}

// Finish makes the store whole and durable, under its name. All its groups are moved ahead of what devices may have seen since
// the export was made (see reflect.Snapshot.MoveAhead). It returns how many were not, since their state is damaged.
func (i *Import) Finish(lastKey uint64, made, now time.Time) (damaged int, err error) {
	err = i.file.write(func(tx *bbolt.Tx) error {
		return errors.Join(migrateTx(tx, i.version), putMade(tx, now), tx.Bucket(bucketLog).SetSequence(lastKey))
	})
	if err != nil {
		return 0, err
	}
	held, err := load(i.file)
	if err != nil {
		return 0, err
	}
	if damaged, err = i.moveAhead(held, made, now); err != nil {
		return damaged, err
	}
	file := i.file
	i.file = nil
	if err := errors.Join(file.sync(), file.close()); err != nil {
		return damaged, err
	}
	return damaged, replace(i.dir)
}

// Abort ends an import that was not finished, and leaves no file behind. After Finish it does nothing.
func (i *Import) Abort() {
	if i.file != nil {
		_ = i.file.close() // nothing of it is wanted
		i.file = nil
	}
	_ = removeFile(filepath.Join(i.dir, newName))
}

func (i *Import) moveAhead(held contents, made, now time.Time) (damaged int, err error) {
	var last []byte
	for {
		var groups []d2m.GroupID
		err = i.file.view(func(tx *bbolt.Tx) error {
			groups = nextGroups(tx, last)
			return nil
		})
		if err != nil || len(groups) == 0 {
			return damaged, err
		}
		last = groups[len(groups)-1][:]
		err = i.file.write(func(tx *bbolt.Tx) error {
			for _, group := range groups {
				sound, err := moveGroup(tx, group, held.chunks[group].live(), made, now)
				if err != nil {
					return err
				}
				if !sound {
					damaged++
				}
			}
			return nil
		})
		if err != nil {
			return damaged, err
		}
	}
}

// nextGroups returns the next groups with a state behind one, or the first ones if that is nil.
func nextGroups(tx *bbolt.Tx, last []byte) (groups []d2m.GroupID) {
	cursor := tx.Bucket(bucketState).Cursor()
	for key, _ := seekBehind(cursor, last); key != nil && len(groups) < groupsPiece; key, _ = cursor.Next() {
		groups = append(groups, d2m.GroupID(key))
	}
	return groups
}

// moveGroup reports false for a state that is damaged: then it stays as it is. Chunks behind a damaged one are not looked at.
func moveGroup(tx *bbolt.Tx, group d2m.GroupID, keys []uint64, made, now time.Time) (sound bool, err error) {
	var snapshot reflect.Snapshot
	snapshot.State = tx.Bucket(bucketState).Get(group[:])
	for len(keys) > 0 && err == nil {
		keys, err = readChunks(tx, keys, &snapshot)
	}
	state, err := snapshot.MoveAhead(made, now)
	if err != nil {
		return false, nil
	}
	return true, tx.Bucket(bucketState).Put(group[:], state.Append(nil))
}
