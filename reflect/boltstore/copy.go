package boltstore

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
)

// A meta page, page 0 or 1, written in turn (transaction modulo 2), names the root of one state. At this byte of it is
// the number u64 of the page where the free list begins, or noFreelist.
const (
	metaFreelist = 48
	noFreelist   = ^uint64(0)
)

// copyTree copies what belongs to one committed state of a file, and nothing else: the meta page that names it, which
// stands in the place of both, its pages and its free list. Free pages are holes. The pages are checked.
func copyTree(to, from *os.File, pageSize, txid int) error {
	c := copier{to: to, from: from, pageSize: uint64(pageSize), buffer: make([]byte, max(pageSize, 1<<18))}
	if err := c.copyMeta(uint64(txid % 2)); err != nil {
		return err
	}
	t, err := readTree(to.Name())
	if err != nil {
		return err
	}
	if t.txid != txid || t.pageSize != pageSize {
		return fmt.Errorf("%w: transaction %d is gone", errPages, txid)
	}
	if err := to.Truncate(int64(t.end) * int64(pageSize)); err != nil {
		return err
	}
	if err := c.copyFreelist(t); err != nil {
		return err
	}
	return walk(from, t, c.copy)
}

type copier struct {
	to, from *os.File
	pageSize uint64
	buffer   []byte
}

// copyMeta puts a meta page in the place of both.
func (c *copier) copyMeta(page uint64) error {
	meta := c.buffer[:c.pageSize]
	if _, err := c.from.ReadAt(meta, int64(page*c.pageSize)); err != nil {
		return err
	}
	for n := range uint64(2) {
		binary.NativeEndian.PutUint64(meta, n) // the page's own number
		if _, err := c.to.WriteAt(meta, int64(n*c.pageSize)); err != nil {
			return err
		}
	}
	return nil
}

// copy copies pages.
func (c *copier) copy(page, count uint64) error {
	at, size := int64(page*c.pageSize), int64(count*c.pageSize)
	for size > 0 {
		piece := c.buffer[:min(size, int64(len(c.buffer)))]
		if _, err := c.from.ReadAt(piece, at); err != nil {
			if err == io.EOF {
				err = fmt.Errorf("%w: it ends before page %d", errPages, page+count-1)
			}
			return err
		}
		if _, err := c.to.WriteAt(piece, at); err != nil {
			return err
		}
		at += int64(len(piece))
		size -= int64(len(piece))
	}
	return nil
}

// copyFreelist copies the free list, if there is one: this package writes none, but other tools do.
func (c *copier) copyFreelist(t tree) error {
	var number [8]byte
	if _, err := c.to.ReadAt(number[:], int64(t.txid%2)*int64(t.pageSize)+metaFreelist); err != nil {
		return err
	}
	page := binary.NativeEndian.Uint64(number[:])
	if page == noFreelist {
		return nil
	}
	w := walker{tree: t, file: c.from}
	if err := w.readAt(page, pageHeaderSize); err != nil {
		return err
	}
	count := uint64(binary.NativeEndian.Uint32(w.data[12:])) + 1
	if count > t.end-page {
		return fmt.Errorf("%w: free list runs past the end", errPages)
	}
	return c.copy(page, count)
}
