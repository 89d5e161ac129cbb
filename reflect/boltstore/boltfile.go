package boltstore

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"openmediator/reflect"
)

// lockTimeout is how long a lock of another process is waited for.
const lockTimeout = 500 * time.Millisecond

// boltFile is an open bolt file. Its methods turn panics and faults of the memory map into errors: bbolt panics when it
// finds a damaged page, and reading a mapped page that the disk cannot deliver is a fault, not an error.
type boltFile struct {
	db    *bbolt.DB
	os    *os.File    // what db has open
	stuck atomic.Bool // after a panic bbolt may hold its own locks

	pageSize int // bytes

	users sync.WaitGroup // who may be about to read it; added to while it is the store's
}

// errPanicked hides the text of the panic: bbolt's name keys, which hold group ids (B42).
var errPanicked = errors.New("bolt file: damaged page or internal error")

// openBolt opens an existing file. Nothing is written by that.
func openBolt(path string, readOnly, noSync bool) (f *boltFile, err error) {
	f = new(boltFile)
	defer func() {
		if err != nil && f.os != nil {
			f.abandon() // bbolt has closed it, unless it panicked
		}
	}()
	defer f.guard(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	f.db, err = bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:        lockTimeout,
		NoFreelistSync: true,
		FreelistType:   bbolt.FreelistArrayType,
		ReadOnly:       readOnly,
		NoSync:         noSync,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			file, err := os.OpenFile(name, flag&^os.O_CREATE, mode)
			f.os = file
			return file, err
		},
	})
	if err != nil {
		return f, err
	}
	f.pageSize = f.db.Info().PageSize // later that is not to be asked while the file may grow
	return f, nil
}

// guard is to be deferred. It makes err of a panic, after which bbolt's locks are not to be relied on.
func (f *boltFile) guard(err *error) {
	if p := recover(); p != nil {
		f.stuck.Store(true)
		*err = errorOf(p)
	}
}

func errorOf(panicked any) error {
	if fault, ok := panicked.(runtime.Error); ok {
		return fmt.Errorf("%w: %w: %w", reflect.ErrUnavailable, errPanicked, fault)
	}
	return fmt.Errorf("%w: %w", reflect.ErrUnavailable, errPanicked)
}

// view runs do in a read transaction. Keep it short: the file cannot grow meanwhile. An error that wraps
// reflect.ErrUnavailable is bolt's, every other one is do's.
func (f *boltFile) view(do func(tx *bbolt.Tx) error) (err error) {
	defer f.guard(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	tx, err := f.db.Begin(false)
	if err != nil {
		return fmt.Errorf("%w: %w", reflect.ErrUnavailable, err)
	}
	defer tx.Rollback()
	defer func() {
		if p := recover(); p != nil {
			err = errorOf(p) // Rollback gives back all that is locked
		}
	}()
	return do(tx)
}

// update runs do in a write transaction and commits it with commit. After an error it is not known what the file holds.
func (f *boltFile) update(do, commit func(tx *bbolt.Tx) error) error {
	if err := f.transact(do, commit); err != nil {
		return fmt.Errorf("%w: %w", reflect.ErrUnavailable, err)
	}
	return nil
}

// write is update for a file that is not the store's: its errors say nothing of that one.
func (f *boltFile) write(do func(tx *bbolt.Tx) error) error {
	return f.transact(do, (*bbolt.Tx).Commit)
}

func (f *boltFile) transact(do, commit func(tx *bbolt.Tx) error) (err error) {
	defer f.guard(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	tx, err := f.db.Begin(true)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		_ = tx.Rollback()
		return err
	}
	return commit(tx)
}

// sync makes durable what was written without that.
func (f *boltFile) sync() error { return f.db.Sync() }

// size returns how large the file is, bytes.
func (f *boltFile) size() (int64, error) {
	info, err := f.os.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// free returns how much of the file holds nothing, bytes, as of the last transaction.
func (f *boltFile) free() int64 {
	stats := f.db.Stats()
	return int64(stats.FreePageN+stats.PendingPageN) * int64(f.pageSize)
}

// close waits for transactions in progress. After a panic it only lets go of the descriptor: bbolt may hold its own locks.
func (f *boltFile) close() (err error) {
	if f.stuck.Load() {
		f.abandon()
		return nil
	}
	defer f.guard(&err)
	return f.db.Close()
}

// abandon gives up the descriptor. The memory map, if there is one, stays, and would keep the lock as well.
func (f *boltFile) abandon() {
	unlockFile(f.os)
	_ = f.os.Close()
}
