package boltstore

import (
	"bytes"
	"encoding/binary"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"openmediator/d2m"
	"openmediator/reflect"
)

var freeze = flag.Bool("boltstore.freeze", false, "write the files in testdata anew; only for a version that nobody has used yet")

// frozenFile is a file of a version as that version wrote it.
func frozenFile(version string) string { return filepath.Join("testdata", version+".db") }

// fillFrozen stores some of everything that the format has.
func fillFrozen(t *testing.T, s *Store) {
	t.Helper()
	for n := range 3 {
		group := testGroup(n)
		snapshot, err := s.Claim(group)
		if err != nil {
			t.Fatal(err)
		}
		chunk := reflect.NewChunk(group, 0)
		for i := range uint64(3) {
			chunk.Append(reflect.Message{Lock: uint32(i / 2), Place: 5 + i, Timestamp: 1_790_000_000_000 + i, Sender: d2m.DeviceID(i), Envelope: testEnvelope(n)})
		}
		state := reflect.State{LastTimestamp: 1_790_000_000_009, Bound: 2048, LastLock: 1, Locks: []reflect.LockStart{{Lock: 1, Start: 20, Count: 9}},
			Slots: []reflect.SlotState{
				{Device: 0, Expiration: d2m.Persistent, Confirmed: true, Since: 1_790_000_000_000, First: 2, Next: 9, Gaps: []uint64{5, 7}},
				{Device: ^d2m.DeviceID(0), Expiration: d2m.Volatile, Connected: true, Since: 1_790_000_000_001, First: 3, Next: 3},
			}}
		blobs := []reflect.Blob{{Shared: true, Data: []byte("shared")}, {Device: 0, Data: []byte{}}, {Device: ^d2m.DeviceID(0), Data: []byte("info")}}
		commit(t, s, &reflect.Batch{Group: group, Epoch: snapshot.Epoch, Chunk: chunk.Data, State: state.Append(nil), Blobs: blobs})
	}
}

// The file of this version is read, and what is written today is the same. If this fails, the format has changed: raise
// schemaVersion, add a migration, and freeze a file of the version before.
func TestFormatIsFrozen(t *testing.T) {
	fresh := t.TempDir()
	s := openIn(t, fresh, Options{noSync: true})
	fillFrozen(t, s)
	closeStore(t, s)
	path := filepath.Join(fresh, FileName)
	if *freeze {
		write(t, frozenFile("v1"), fileOf(t, path))
		change(t, path, func(tx *bbolt.Tx) error {
			if err := putSchema(tx, 0); err != nil {
				return err
			}
			return tx.Bucket(bucketMeta).Delete(keyMade)
		})
		write(t, frozenFile("v0"), fileOf(t, path))
		return
	}
	dir := frozenDirectory(t, "v1")
	if _, err := Verify(dir); err != nil {
		t.Fatal(err)
	}
	closeStore(t, openIn(t, dir, Options{}))
	got, gotKey := entriesIn(t, filepath.Join(dir, FileName))
	want, wantKey := entriesIn(t, path)
	if !maps.Equal(got, want) || gotKey != wantKey {
		t.Errorf("the frozen file holds\n%x, last key %d; today it would be\n%x, %d", got, gotKey, want, wantKey)
	}
}

// frozenDirectory returns a data directory with a frozen file.
func frozenDirectory(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, FileName), fileOf(t, frozenFile(version)))
	return dir
}

func versionOf(t *testing.T, path string) (version uint64, made bool) {
	t.Helper()
	change(t, path, func(tx *bbolt.Tx) error {
		version, _ = binary.Uvarint(tx.Bucket(bucketMeta).Get(keySchema))
		made = tx.Bucket(bucketMeta).Get(keyMade) != nil
		return nil
	})
	return version, made
}

// A file of an older version is copied and migrated, and the copy is gone after the next compaction (B17).
func TestMigration(t *testing.T) {
	dir := frozenDirectory(t, "v0")
	old := fileOf(t, filepath.Join(dir, FileName))
	s := openIn(t, dir, Options{})
	if !s.removed.Equal(time.UnixMilli(0)) {
		t.Errorf("deleted bytes may be in it since %v", s.removed)
	}
	closeStore(t, s)
	if version, made := versionOf(t, filepath.Join(dir, FileName)); version != 1 || !made {
		t.Errorf("version %d, made %v", version, made)
	}
	kept := filepath.Join(dir, keptName(0))
	if version, made := versionOf(t, kept); version != 0 || made {
		t.Errorf("the copy has version %d, made %v", version, made)
	}
	wantFrozen(t, dir, old)
	compact(t, openIn(t, dir, Options{}))
	if _, err := os.Stat(kept); !os.IsNotExist(err) {
		t.Errorf("the copy is there after a compaction (%v)", err)
	}
}

// wantFrozen fails the test unless a directory holds what a file of an older version held.
func wantFrozen(t *testing.T, dir string, old []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "old.db")
	write(t, path, old)
	want, wantKey := entriesIn(t, path)
	got, gotKey := entriesIn(t, filepath.Join(dir, FileName))
	if !maps.Equal(got, want) || gotKey != wantKey {
		t.Errorf("%d entries and key %d became %d and %d", len(want), wantKey, len(got), gotKey)
	}
}

// Wherever a migration is cut short, the next start carries it out.
func TestMigrationIsCutShort(t *testing.T) {
	for _, at := range []step{stepKept, stepMigrated, stepReplaced} {
		dir, left := frozenDirectory(t, "v0"), t.TempDir()
		old := fileOf(t, filepath.Join(dir, FileName))
		s := openIn(t, dir, Options{step: func(reached step) error {
			if reached == at {
				return os.CopyFS(left, os.DirFS(dir))
			}
			return nil
		}})
		closeStore(t, s)
		if at != stepReplaced && !bytes.Equal(fileOf(t, filepath.Join(left, FileName)), old) {
			t.Errorf("%s: the old file has been written to", at)
		}
		closeStore(t, openIn(t, left, Options{}))
		if version, _ := versionOf(t, filepath.Join(left, FileName)); version != 1 {
			t.Errorf("%s: then the file has version %d", at, version)
		}
		wantFrozen(t, left, old)
	}
}

// A newer file is refused before anything else is done in the directory.
func TestNewerSchemaLeavesDirectory(t *testing.T) {
	dir := frozenDirectory(t, "v1")
	change(t, filepath.Join(dir, FileName), func(tx *bbolt.Tx) error { return putSchema(tx, 2) })
	for _, name := range []string{newName, compactName, LockName} {
		write(t, filepath.Join(dir, name), []byte("of the newer one"))
	}
	wantSentence(t, refusal(t, dir), "version 2", "start the newer one")
	for _, name := range []string{newName, compactName, LockName} {
		if string(fileOf(t, filepath.Join(dir, name))) != "of the newer one" {
			t.Errorf("%s has been changed", name)
		}
	}
	if _, err := Verify(dir); err == nil {
		t.Error("it is verified")
	}
}
