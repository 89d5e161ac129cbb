package boltstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"openmediator/d2m"
	"openmediator/reflect"
)

// schemaVersion is what this program writes. A file with a higher one is not touched, one with a lower one is migrated. Whoever
// changes the format raises it, adds a migration, and freezes a file of the version before in testdata.
const schemaVersion = 1

// The buckets.
var (
	bucketMeta  = []byte("meta")  // "schema" → version, "made" → when the file was made, Unix milliseconds; unsigned varints
	bucketState = []byte("state") // group id (32) → encoded reflect.State
	bucketBlobs = []byte("blobs") // group id (32) · 0, or group id (32) · 1 · device id u64 big-endian → data
	bucketLog   = []byte("log")   // key u64 big-endian → chunk; the bucket's sequence is the last key given

	keySchema = []byte("schema")
	keyMade   = []byte("made")
)

const (
	groupSize  = len(d2m.GroupID{})
	blobShared = 0
	blobDevice = 1
)

// ErrNewer says that the file was written by a newer version of this program. It has not been touched.
var ErrNewer = errors.New("mediator.db was written by a newer version of this program")

// ErrForeign says that the file is none of this program, or damaged. It has not been touched.
var ErrForeign = errors.New("mediator.db is not a store of this program, or damaged")

var errBuckets = errors.New("its buckets are not those of a store")

// checkSchema refuses a file that this program did not write or that a newer one did. It returns the file's version.
func checkSchema(tx *bbolt.Tx) (version uint64, err error) {
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		return 0, errBuckets
	}
	version, n := binary.Uvarint(meta.Get(keySchema))
	switch {
	case n <= 0:
		return 0, errBuckets
	case version > schemaVersion:
		return version, fmt.Errorf("%w: it has schema version %d, this one knows up to %d; start the newer one or name another data directory",
			ErrNewer, version, schemaVersion)
	}
	for _, name := range [][]byte{bucketState, bucketBlobs, bucketLog} {
		if tx.Bucket(name) == nil {
			return version, errBuckets
		}
	}
	return version, nil
}

// makeSchema fills an empty file.
func makeSchema(tx *bbolt.Tx) error {
	for _, name := range [][]byte{bucketMeta, bucketState, bucketBlobs, bucketLog} {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	if err := putMade(tx, time.Now()); err != nil {
		return err
	}
	return putVersion(tx, schemaVersion)
}

func putVersion(tx *bbolt.Tx, version uint64) error {
	return tx.Bucket(bucketMeta).Put(keySchema, binary.AppendUvarint(nil, version))
}

func putMade(tx *bbolt.Tx, now time.Time) error {
	return tx.Bucket(bucketMeta).Put(keyMade, binary.AppendUvarint(nil, uint64(now.UnixMilli())))
}

// madeAt returns when a file was made, or the beginning of time if it does not say. Nothing in it was deleted before.
func madeAt(tx *bbolt.Tx) time.Time {
	milliseconds, n := binary.Uvarint(tx.Bucket(bucketMeta).Get(keyMade))
	if made := time.UnixMilli(int64(milliseconds)); n > 0 && made.Before(time.Now()) {
		return made
	} else if n > 0 {
		return time.Now() // the clock has gone back
	}
	return time.UnixMilli(0)
}

func logKey(key uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 0, 8), key) }

func parseLogKey(key []byte) (uint64, error) {
	if len(key) != 8 {
		return 0, fmt.Errorf("stored chunk: key has %d bytes, want 8", len(key))
	}
	return binary.BigEndian.Uint64(key), nil
}

func blobKey(group d2m.GroupID, b reflect.Blob) []byte {
	key := append(make([]byte, 0, groupSize+9), group[:]...)
	if b.Shared {
		return append(key, blobShared)
	}
	return binary.BigEndian.AppendUint64(append(key, blobDevice), uint64(b.Device))
}

// parseBlobKey returns what a key of bucketBlobs names beside the group.
func parseBlobKey(key []byte) (b reflect.Blob, err error) {
	switch {
	case len(key) == groupSize+1 && key[groupSize] == blobShared:
		return reflect.Blob{Shared: true}, nil
	case len(key) == groupSize+9 && key[groupSize] == blobDevice:
		return reflect.Blob{Device: d2m.DeviceID(binary.BigEndian.Uint64(key[groupSize+1:]))}, nil
	}
	return b, fmt.Errorf("stored blob: key of %d bytes makes no sense", len(key))
}
