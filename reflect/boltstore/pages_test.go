package boltstore

import (
	"bytes"
	"encoding/binary"
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
	for n := range 12 {
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
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true, NoSync: true})
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

// Each of these would send bbolt round in a circle or out of its map.
func TestWalkRefuses(t *testing.T) {
	valid := fileOf(t, grown(t))
	path := filepath.Join(t.TempDir(), "damaged.db")
	if err := os.WriteFile(path, valid, 0o600); err != nil {
		t.Fatal(err)
	}
	tr, err := readTree(path)
	if err != nil {
		t.Fatal(err)
	}
	branch, leaf := pageWith(t, path, tr, flagBranch), pageWith(t, path, tr, flagLeaf)
	u64, u32, u16 := binary.NativeEndian.PutUint64, binary.NativeEndian.PutUint32, binary.NativeEndian.PutUint16
	for name, change := range map[string]func(branch, leaf []byte){
		"a page that points at itself":    func(b, _ []byte) { u64(b[pageHeaderSize+8:], branch) },
		"two that point at one":           func(b, _ []byte) { copy(b[pageHeaderSize+elementSize+8:][:8], b[pageHeaderSize+8:]) },
		"a page past the end":             func(b, _ []byte) { u64(b[pageHeaderSize+8:], tr.end) },
		"a page far past the end":         func(b, _ []byte) { u64(b[pageHeaderSize+8:], 1<<63) },
		"a meta page":                     func(b, _ []byte) { u64(b[pageHeaderSize+8:], 1) },
		"a branch without elements":       func(b, _ []byte) { u16(b[10:], 0) },
		"a branch with too many elements": func(b, _ []byte) { u16(b[10:], 0xffff) },
		"a branch key past the end":       func(b, _ []byte) { u32(b[pageHeaderSize:], 1<<31) },
		"a branch key without length":     func(b, _ []byte) { u32(b[pageHeaderSize+4:], 0) },
		"branch keys out of order": func(b, _ []byte) {
			second := b[pageHeaderSize+elementSize:]
			u32(second, binary.NativeEndian.Uint32(second)+1)
		},
		"a leaf with another number":           func(_, l []byte) { u64(l, leaf+1) },
		"a leaf that is branch and leaf":       func(_, l []byte) { u16(l[8:], flagLeaf|flagBranch) },
		"a leaf that is a free list":           func(_, l []byte) { u16(l[8:], 0x10) },
		"a leaf with too many elements":        func(_, l []byte) { u16(l[10:], 0xffff) },
		"a leaf that runs over others":         func(_, l []byte) { u32(l[12:], 3) },
		"a leaf that runs past the end":        func(_, l []byte) { u32(l[12:], 1<<31) },
		"a leaf key past the end":              func(_, l []byte) { u32(l[pageHeaderSize+4:], 1<<31) },
		"a leaf key without length":            func(_, l []byte) { u32(l[pageHeaderSize+8:], 0) },
		"a value past the end":                 func(_, l []byte) { u32(l[pageHeaderSize+12:], 1<<31) },
		"leaf keys out of order":               func(_, l []byte) { u32(l[pageHeaderSize+4:], binary.NativeEndian.Uint32(l[pageHeaderSize+4:])+1) },
		"a value that is taken for a bucket":   func(_, l []byte) { u32(l[pageHeaderSize:], flagBucket) },
		"a first key that belongs further up":  func(_, l []byte) { copy(elementKey(l, 0), "a") },
		"a last key that belongs further down": func(_, l []byte) { copy(elementKey(l, int(binary.NativeEndian.Uint16(l[10:]))-1), "z") },
	} {
		data := bytes.Clone(valid)
		change(data[branch*uint64(tr.pageSize):], data[leaf*uint64(tr.pageSize):])
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := walk(file, tr, nil); !errors.Is(err, errPages) {
			t.Errorf("%s: %v", name, err)
		}
		file.Close()
	}
}

// elementKey returns the key of a leaf element.
func elementKey(leaf []byte, i int) []byte {
	at := pageHeaderSize + i*elementSize
	start := at + int(binary.NativeEndian.Uint32(leaf[at+4:]))
	return leaf[start : start+int(binary.NativeEndian.Uint32(leaf[at+8:]))]
}

// pageWith returns a page in the middle of a tree that has flags and more than two elements, none of them a bucket.
func pageWith(t *testing.T, path string, tr tree, flags uint16) (found uint64) {
	t.Helper()
	data := fileOf(t, path)
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	parents := make(map[uint64]bool)
	err = walk(file, tr, func(page, _ uint64) error {
		p := data[page*uint64(tr.pageSize):]
		count := int(binary.NativeEndian.Uint16(p[10:]))
		isBranch := binary.NativeEndian.Uint16(p[8:]) == flagBranch
		if isBranch {
			middle := pageHeaderSize + count/2*elementSize
			parents[binary.NativeEndian.Uint64(p[middle+8:])] = true
		}
		bucket := !isBranch && count > 0 && binary.NativeEndian.Uint32(p[pageHeaderSize:])&flagBucket != 0
		if binary.NativeEndian.Uint16(p[8:]) == flags && count > 2 && !bucket && (isBranch || parents[page]) {
			found = page
		}
		return nil
	})
	if err != nil || found == 0 {
		t.Fatalf("no page with flags %d (%v)", flags, err)
	}
	return found
}
