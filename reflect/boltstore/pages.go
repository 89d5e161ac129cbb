package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"go.etcd.io/bbolt"
)

// A bolt file is a sequence of pages, integers in the machine's byte order:
//
//	page          number u64 · flags u16 · count u16 · overflow u32 (pages that follow and belong to it) · elements · data
//	leaf element  flags u32 · pos u32 (of the key, from the element's start) · key size u32 · value size u32
//	branch elem.  pos u32 · key size u32 · page u64
//	bucket        the value of a leaf element with flag 1: root page u64 · sequence u64 [· a leaf page, if root is 0]
const (
	pageHeaderSize = 16
	elementSize    = 16
	bucketSize     = 16
	flagBranch     = 0x01
	flagLeaf       = 0x02
	flagBucket     = 0x01
	maxDepth       = 32
)

// tree says which pages belong to one committed state of a bolt file.
type tree struct {
	pageSize int
	txid     int    // of the transaction that committed it
	root     uint64 // page of the root bucket
	end      uint64 // number of pages; none from here on is in use
}

// treeOf returns the state that tx sees.
func treeOf(tx *bbolt.Tx) tree {
	size := tx.DB().Info().PageSize
	return tree{pageSize: size, txid: tx.ID(), root: uint64(tx.Cursor().Bucket().Root()), end: uint64(tx.Size()) / uint64(size)}
}

// walker visits every page of a tree and checks that each lies where it can, is there once, is sound in itself and has its
// keys in order.
//
// bbolt must not be let at a file that was not walked: when it opens one, it looks for free pages in a goroutine of its
// own, and a damaged page there is a panic that ends the process. Reading goes through the descriptor, so a page that
// the disk cannot deliver is an error here and not a fault; it also brings the file into the page cache in one sweep.
type walker struct {
	tree
	file  io.ReaderAt
	visit func(page, count uint64) error // or nil
	seen  []uint64                       // bit set of the pages in use
	roots []uint64                       // of buckets still to be walked

	// the page just read
	page uint64
	data []byte // its beginning, all elements included
	size uint64 // bytes of it and of those that belong to it
	key  []byte // buffer for a key that lies behind data
}

// keyRange is from where to where the keys of a page may lie. to is not among them; nil means that there is no such bound.
type keyRange struct{ from, to []byte }

// child is what a branch element says.
type child struct {
	page uint64
	keys keyRange
}

// errPages says that the pages of a file are not what bolt writes.
var errPages = errors.New("bolt file: damaged")

// walk calls visit, if it is not nil, with every page of a tree and how many pages it takes with those that belong to it.
func walk(file *os.File, t tree, visit func(page, count uint64) error) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if t.end > uint64(info.Size())/uint64(t.pageSize) {
		return fmt.Errorf("%w: it has lost its end", errPages)
	}
	w := &walker{tree: t, file: file, visit: visit, seen: make([]uint64, (t.end+63)/64)}
	w.roots = append(w.roots, t.root)
	for i := 0; i < len(w.roots); i++ {
		if err := w.walk(child{page: w.roots[i]}, 0); err != nil {
			return err
		}
	}
	return nil
}

// walk visits a page and what is below it.
func (w *walker) walk(c child, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: page %d is too deep", errPages, c.page)
	}
	if err := w.read(c.page); err != nil {
		return err
	}
	if w.visit != nil {
		if err := w.visit(c.page, w.size/uint64(w.pageSize)); err != nil {
			return err
		}
	}
	if binary.NativeEndian.Uint16(w.data[8:]) == flagLeaf {
		return w.leaf(c.keys)
	}
	children, err := w.branch(c.keys)
	if err != nil {
		return err
	}
	for _, below := range children {
		if err := w.walk(below, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// read reads the header and the elements of a page and marks it, and those that belong to it, as in use.
func (w *walker) read(page uint64) error {
	if err := w.readAt(page, uint64(w.pageSize)); err != nil {
		return err
	}
	flags := binary.NativeEndian.Uint16(w.data[8:])
	pages := uint64(binary.NativeEndian.Uint32(w.data[12:])) + 1
	if binary.NativeEndian.Uint64(w.data) != page || flags != flagLeaf && flags != flagBranch || pages > w.end-page {
		return fmt.Errorf("%w: page %d has a header that makes no sense", errPages, page)
	}
	for p := page; p < page+pages; p++ {
		bit := uint64(1) << (p % 64)
		if w.seen[p/64]&bit != 0 {
			return fmt.Errorf("%w: page %d is used twice", errPages, p)
		}
		w.seen[p/64] |= bit
	}
	w.page, w.size = page, pages*uint64(w.pageSize)
	return w.need(pageHeaderSize + uint64(binary.NativeEndian.Uint16(w.data[10:]))*elementSize)
}

// need makes sure that the first bytes of the page are in data.
func (w *walker) need(size uint64) error {
	switch {
	case size > w.size:
		return w.broken()
	case size > uint64(len(w.data)):
		return w.readAt(w.page, size)
	}
	return nil
}

// broken is the error for a page with elements that make no sense.
func (w *walker) broken() error {
	return fmt.Errorf("%w: page %d has damaged elements", errPages, w.page)
}

// readAt reads the first bytes of a page and of those that belong to it.
func (w *walker) readAt(page, size uint64) error {
	if page < 2 || page >= w.end {
		return fmt.Errorf("%w: page %d is out of range", errPages, page)
	}
	w.data = slices.Grow(w.data[:0], int(size))[:size]
	return w.readBytes(w.data, int64(page)*int64(w.pageSize))
}

func (w *walker) readBytes(b []byte, at int64) error {
	n, err := w.file.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == io.EOF {
		return fmt.Errorf("%w: it ends too early", errPages)
	}
	return err
}

// keyAt returns the key at a place of the page. It is valid until the next one is asked for.
func (w *walker) keyAt(start, size uint64) ([]byte, error) {
	switch end := start + size; {
	case size == 0 || end > w.size:
		return nil, w.broken()
	case end <= uint64(len(w.data)):
		return w.data[start:end], nil
	case size > bbolt.MaxKeySize:
		return nil, w.broken()
	}
	w.key = slices.Grow(w.key[:0], int(size))[:size]
	return w.key, w.readBytes(w.key, int64(w.page)*int64(w.pageSize)+int64(start))
}

// branch returns what the branch page just read says of the pages below it.
func (w *walker) branch(keys keyRange) ([]child, error) {
	children := make([]child, binary.NativeEndian.Uint16(w.data[10:]))
	if len(children) == 0 {
		return nil, w.broken()
	}
	order := order{keys: keys}
	for i := range children {
		at := uint64(pageHeaderSize + i*elementSize)
		pos, size := binary.NativeEndian.Uint32(w.data[at:]), binary.NativeEndian.Uint32(w.data[at+4:])
		key, err := w.keyAt(at+uint64(pos), uint64(size))
		if err != nil {
			return nil, err
		}
		if !order.follows(key) {
			return nil, w.broken()
		}
		key = bytes.Clone(key)
		children[i] = child{binary.NativeEndian.Uint64(w.data[at+8:]), keyRange{key, keys.to}}
		if i > 0 {
			children[i-1].keys.to = key
		}
	}
	return children, nil
}

// leaf checks the elements of the leaf page just read and notes the buckets among them.
func (w *walker) leaf(keys keyRange) error {
	order := order{keys: keys}
	for i := range uint64(binary.NativeEndian.Uint16(w.data[10:])) {
		at := pageHeaderSize + i*elementSize
		flags, pos := binary.NativeEndian.Uint32(w.data[at:]), binary.NativeEndian.Uint32(w.data[at+4:])
		size, value := binary.NativeEndian.Uint32(w.data[at+8:]), binary.NativeEndian.Uint32(w.data[at+12:])
		start := at + uint64(pos) + uint64(size)
		key, err := w.keyAt(at+uint64(pos), uint64(size))
		if err != nil {
			return err
		}
		if !order.follows(key) || start+uint64(value) > w.size {
			return w.broken()
		}
		if flags&flagBucket == 0 {
			continue
		}
		if err := w.bucket(start, uint64(value)); err != nil {
			return err
		}
	}
	return nil
}

// bucket notes the bucket that is the value at a place of the page, or checks it if all of it is there.
func (w *walker) bucket(start, size uint64) error {
	if size < bucketSize || size > uint64(w.pageSize) {
		return w.broken()
	}
	if err := w.need(start + size); err != nil {
		return err
	}
	value := w.data[start : start+size]
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		w.roots = append(w.roots, root)
		return nil
	}
	inline := value[bucketSize:]
	if len(inline) < pageHeaderSize || binary.NativeEndian.Uint16(inline[8:]) != flagLeaf ||
		pageHeaderSize+int(binary.NativeEndian.Uint16(inline[10:]))*elementSize > len(inline) {
		return w.broken()
	}
	inner := walker{tree: w.tree, page: w.page, data: inline, size: uint64(len(inline))}
	if err := inner.leaf(keyRange{}); err != nil {
		return err
	}
	if len(inner.roots) > 0 {
		return w.broken() // an inline bucket holds no buckets
	}
	return nil
}

// order checks that keys rise and stay in their range.
type order struct {
	keys keyRange
	last []byte
	any  bool
}

func (o *order) follows(key []byte) bool {
	bound := 0
	if o.any {
		bound = 1
	} else {
		o.last = append(o.last, o.keys.from...)
	}
	ok := bytes.Compare(key, o.last) >= bound && (o.keys.to == nil || bytes.Compare(key, o.keys.to) < 0)
	o.last, o.any = append(o.last[:0], key...), true
	return ok
}

// readTree opens the file, and lets go of it, to learn its last valid state.
func readTree(path string) (t tree, err error) {
	f, err := openBolt(path, true, false)
	if err != nil {
		return t, err
	}
	err = f.view(func(tx *bbolt.Tx) error {
		t = treeOf(tx)
		return nil
	})
	return t, errors.Join(err, f.close())
}
