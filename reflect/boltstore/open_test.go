package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"openmediator/reflect"
)

func TestSecondServerIsRefused(t *testing.T) {
	dir := t.TempDir()
	openIn(t, dir, Options{})
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := Open(dir, Options{})
		wantSentence(t, err, dir, "in use by another server")
		if !errors.Is(err, ErrInUse) {
			t.Fatalf("%v does not wrap ErrInUse", err)
		}
		if took := time.Since(start); took > time.Second {
			t.Fatalf("it took %v", took)
		}
	})
}

// Another program may have the file open that does not know of mediator.lock.
func TestLockedFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	closeStore(t, openIn(t, dir, Options{}))
	db, err := bbolt.Open(filepath.Join(dir, FileName), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if _, err := Open(dir, Options{}); !errors.Is(err, ErrInUse) {
			t.Fatalf("%v does not wrap ErrInUse", err)
		}
		if took := time.Since(start); took > time.Second {
			t.Fatalf("it took %v", took)
		}
	})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	openIn(t, dir, Options{})
}

func TestNewerSchemaIsNotTouched(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir, Options{})
	put(t, s, testGroup(1), 1)
	closeStore(t, s)
	path := filepath.Join(dir, FileName)
	change(t, path, func(tx *bbolt.Tx) error {
		if _, err := tx.Bucket(bucketMeta).CreateBucket([]byte("what later versions may have")); err != nil {
			return err
		}
		return tx.Bucket(bucketMeta).Put(keySchema, binary.AppendUvarint(nil, 300))
	})
	err := refusal(t, dir)
	wantSentence(t, err, dir, "version 300", "up to 1", "start the newer one")
	if !errors.Is(err, ErrNewer) {
		t.Fatalf("%v does not wrap ErrNewer", err)
	}
}

func TestForeignFileIsNotTouched(t *testing.T) {
	valid := func(t *testing.T) []byte {
		dir := t.TempDir()
		s := openIn(t, dir, Options{noSync: true})
		for i := range 50 {
			put(t, s, testGroup(i), i)
		}
		closeStore(t, s)
		data, err := os.ReadFile(filepath.Join(dir, FileName))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}(t)
	files := map[string][]byte{
		"empty":          {},
		"a byte":         {0},
		"text":           []byte(strings.Repeat("this is not a store\n", 1000)),
		"zeroes":         make([]byte, 1<<16),
		"its first page": valid[:4096],
		"its metas":      valid[:8192],
		"half of it":     valid[:len(valid)/2/4096*4096],
		"without metas":  append(make([]byte, 8192), valid[8192:]...),
		"other buckets":  boltFileWith(t, func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("other")); return err }),
		"no version":     boltFileWith(t, func(tx *bbolt.Tx) error { _, err := tx.CreateBucket(bucketMeta); return err }),
		"version 0":      boltFileWith(t, func(tx *bbolt.Tx) error { return putSchema(tx, 0) }),
		"buckets gone":   boltFileWith(t, func(tx *bbolt.Tx) error { return putSchema(tx, schemaVersion) }),
		"odd log key": boltFileWith(t, func(tx *bbolt.Tx) error {
			return errors.Join(makeSchema(tx), tx.Bucket(bucketLog).Put([]byte("odd"), make([]byte, 40)))
		}),
		"short chunk": boltFileWith(t, func(tx *bbolt.Tx) error {
			log := func() *bbolt.Bucket { return tx.Bucket(bucketLog) }
			return errors.Join(makeSchema(tx), log().SetSequence(9), log().Put(logKey(3), []byte("short")))
		}),
		"key never given": boltFileWith(t, func(tx *bbolt.Tx) error {
			return errors.Join(makeSchema(tx), tx.Bucket(bucketLog).Put(logKey(3), make([]byte, 40)))
		}),
	}
	for name, data := range files {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, FileName), data, 0o600); err != nil {
				t.Fatal(err)
			}
			wantSentence(t, refusal(t, dir), dir, "not a store of this program, or damaged", "restore a backup")
		})
	}
}

// refusal opens a directory that must be refused, and fails the test if the file has been touched by that.
func refusal(t *testing.T, dir string) error {
	t.Helper()
	path := filepath.Join(dir, FileName)
	old := time.Now().Add(-time.Hour).Truncate(time.Second)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, refused := Open(dir, Options{})
	if refused == nil {
		closeStore(t, s)
		t.Fatal("it was opened")
	}
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) {
		t.Fatalf("the file has been written to (%v)", err)
	}
	if info, err := os.Stat(path); err != nil || !info.ModTime().Equal(old) {
		t.Fatalf("the file has been touched: %v (%v)", info.ModTime(), err)
	}
	return refused
}

func wantSentence(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if text := err.Error(); strings.Contains(text, "\n") || len(text) > 400 {
		t.Fatalf("%q is not a sentence", text)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Fatalf("%q does not contain %q", err, part)
		}
	}
}

func putSchema(tx *bbolt.Tx, version uint64) error {
	meta, err := tx.CreateBucketIfNotExists(bucketMeta)
	if err != nil {
		return err
	}
	return meta.Put(keySchema, binary.AppendUvarint(nil, version))
}

// change writes to a bolt file by other means than the store's.
func change(t *testing.T, path string, do func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(do), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// boltFileWith returns the bytes of a bolt file made otherwise than by the store.
func boltFileWith(t *testing.T, do func(tx *bbolt.Tx) error) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "other.db")
	change(t, path, do)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Whatever is damaged: the file is refused, or it is opened and what is damaged in it comes out as an error or as other
// bytes, for which there are checksums. Nothing ends the process.
func TestDamagedFile(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir, Options{noSync: true})
	for i := range 120 {
		put(t, s, testGroup(i%7), i)
	}
	closeStore(t, s)
	path := filepath.Join(dir, FileName)
	valid, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	opened, refused := 0, 0
	for n := range damagedFiles {
		data := bytes.Clone(valid)
		for range 1 + n%3 {
			damage(data, random)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(dir, Options{noSync: true})
		if err != nil {
			refused++
			wantSentence(t, err, dir)
			continue
		}
		opened++
		for i := range 7 {
			useDamaged(s, i)
		}
		_ = s.Close()
	}
	if opened == 0 || refused == 0 {
		t.Fatalf("%d files were opened and %d refused: the damage is of one kind only", opened, refused)
	}
}

// damage changes some bytes: where pages have their headers and elements, or anywhere in the pages in use.
func damage(data []byte, random *rand.Rand) {
	page := random.IntN(min(len(data)/4096, 40)) * 4096
	at := page + random.IntN(4096)
	switch random.IntN(4) {
	case 0:
		at = page + random.IntN(pageHeaderSize)
	case 1:
		at = page + pageHeaderSize + random.IntN(4*elementSize)
	}
	switch random.IntN(3) {
	case 0:
		data[at] ^= 1 << random.IntN(8)
	case 1:
		data[at] = byte(random.Uint32())
	case 2:
		clear(data[at:min(at+8, len(data))])
	}
}

// useDamaged does with a group what a server would.
func useDamaged(s *Store, n int) {
	group := testGroup(n)
	snapshot, err := s.Claim(group)
	if err != nil {
		return
	}
	for _, m := range snapshot.Messages {
		s.Read(group, snapshot.Epoch, []reflect.Location{m.At}, func(int, []byte) error { return nil })
	}
	s.Commit([]*reflect.Batch{batchOf(group, snapshot.Epoch, n)})
}

func TestLeftoverIsRemoved(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir, Options{})
	put(t, s, testGroup(1), 1)
	closeStore(t, s)
	if err := os.Mkdir(filepath.Join(dir, StagingName), 0o700); err != nil {
		t.Fatal(err)
	}
	leftovers := []string{newName, compactName, filepath.Join(StagingName, FileName)}
	for _, name := range leftovers {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("what a crash has left"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	holds(t, openIn(t, dir, Options{}), testGroup(1), 1)
	for _, name := range append(leftovers, StagingName) {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there (%v)", name, err)
		}
	}
}

func TestDirectoryThatIsNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(file, Options{})
	wantSentence(t, err, file, "not a directory")
	_, err = Open(filepath.Join(file, "below"), Options{})
	wantSentence(t, err, file, "not a directory")
}
