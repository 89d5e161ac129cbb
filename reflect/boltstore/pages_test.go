package boltstore

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
)

// grown makes a bolt file of some hundred pages with large and small values, nested and inline buckets and free pages.
func grown(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "grown.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	for n := range 30 {
		err := db.Update(func(tx *bbolt.Tx) error {
			for _, name := range []string{"large", "small", "inline"} {
				b, err := tx.CreateBucketIfNotExists([]byte(name))
				if err != nil {
					return err
				}
				if b, err = b.CreateBucketIfNotExists(fmt.Appendf(nil, "nested %d", n)); err != nil {
					return err
				}
				if err := fillBucket(b, name, random); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func fillBucket(b *bbolt.Bucket, kind string, random *rand.Rand) error {
	keys, size := 200, 200
	switch kind {
	case "large":
		keys, size = 5, 30_000
	case "inline":
		keys, size = 3, 20
	}
	for range keys {
		key := fmt.Appendf(nil, "key %d", random.IntN(10*keys))
		if err := b.Put(key, make([]byte, random.IntN(size))); err != nil {
			return err
		}
		if err := b.Delete(fmt.Appendf(nil, "key %d", random.IntN(10*keys))); err != nil {
			return err
		}
	}
	return nil
}

// Every page that bbolt does not hold to be free is visited, once.
func TestWalkVisitsEveryPage(t *testing.T) {
	f, err := openBolt(grown(t), false, true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	var tr tree
	if err := f.view(func(tx *bbolt.Tx) error { tr = treeOf(tx); return nil }); err != nil {
		t.Fatal(err)
	}
	seen := make(map[uint64]bool)
	err = walk(f.os, tr, func(page, count uint64) error {
		for p := page; p < page+count; p++ {
			if seen[p] {
				return fmt.Errorf("page %d is visited twice", p)
			}
			seen[p] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	stats := f.db.Stats()
	if free := stats.FreePageN + stats.PendingPageN; free == 0 || len(seen)+free+2 != int(tr.end) {
		t.Fatalf("%d pages visited, %d free, %d in all", len(seen), free, tr.end)
	}
}

func TestWalkStopsWithVisit(t *testing.T) {
	path := grown(t)
	tr, err := readTree(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	stop := errors.New("enough")
	calls := 0
	err = walk(file, tr, func(uint64, uint64) error {
		if calls++; calls == 17 {
			return stop
		}
		return nil
	})
	if err != stop || calls != 17 {
		t.Fatalf("%v after %d calls", err, calls)
	}
}

// A copy is a sound file with the same contents, of the last transaction as of the one before.
func TestCopyTree(t *testing.T) {
	path := grown(t)
	last, err := readTree(path)
	if err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.Create(filepath.Join(t.TempDir(), "copy.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if err := copyTree(to, from, last.pageSize, last.txid); err != nil {
		t.Fatal(err)
	}
	if got, want := dump(t, to.Name()), dump(t, path); got != want {
		t.Fatalf("the copy holds\n%s, want\n%s", got, want)
	}
	if err := copyTree(to, from, last.pageSize, last.txid+1); err == nil {
		t.Fatal("a transaction that never was has been copied")
	}
}

// dump checks a file and lists its keys and the sizes of their values.
func dump(t *testing.T, path string) (list string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var walk func(b *bbolt.Bucket) error
	walk = func(b *bbolt.Bucket) error {
		return b.ForEach(func(k, v []byte) error {
			list += fmt.Sprintf("%s %d\n", k, len(v))
			if v == nil {
				return walk(b.Bucket(k))
			}
			return nil
		})
	}
	err = db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Error(err)
		}
		return walk(tx.Cursor().Bucket())
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}
