package boltstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"openmediator/d2m"
	"openmediator/reflect"
)

// Options are the settings of a store. The zero value is fine.
type Options struct {
	// MaxBytes is what Usage gives as the limit, bytes; 0 means 80 % of the file system. The store itself stores above
	// it: what happens then is decided by those who call it (B22).
	MaxBytes int64

	// CompactEvery is how long deleted bytes may stay in the file at most (B17): the store compacts itself in time if
	// something was deleted (see Store.Compact), and besides when more than half of a large file is free. 0: never.
	CompactEvery time.Duration

	// OnCompacted, if not nil, is called whenever the store has compacted itself or has given that up with an error. It is
	// tried again after a pause. It is called by a goroutine of the store and must not close the store.
	OnCompacted func(CompactResult, error)

	// OnRecovered, if not nil, is called whenever a Claim has made the store sound again after a failure (B43).
	OnRecovered func()

	noSync bool             // for tests that are not about the disk
	step   func(step) error // for tests of what Open does
}

// Store is a reflect.Store in one bbolt file.
type Store struct {
	// fixed
	dir        string
	options    Options
	lock       *directoryLock
	faults     faults          // zero but in tests
	ctx        context.Context // ends when Close is called
	cancel     context.CancelFunc
	background sync.WaitGroup // compactions; added to with mu held and ctx not ended
	compacting chan struct{}  // holds a token while the file is copied: by a compaction, or by Export
	wake       chan struct{}  // holds a token when it may be time for the next
	counters   counters

	// held by the one commit, recovery or Close in progress; taken before mu
	writing  sync.Mutex
	txid     int                     // of the last commit that is known to have succeeded
	pageSize int                     // of the file, bytes
	lastKey  uint64                  // the last chunk key given
	chunks   map[d2m.GroupID]keyList // changed with mu held besides

	mu         sync.Mutex
	turn       sync.Cond // signals that inCommit has changed
	file       *boltFile // nil while none is trusted
	suspect    *boltFile // the one that has failed, if it is still open
	failure    error     // how it did
	closed     bool
	recovering bool
	tried      time.Time                     // when the last attempt at recovery ended
	claims     map[d2m.GroupID]reflect.Epoch // those in force
	epoch      reflect.Epoch                 // the last one given
	voided     reflect.Epoch                 // all up to it ended with a failure
	inCommit   []*reflect.Batch              // what the commit in progress stores
	journal    *journal                      // of who copies the file, or nil; set with writing held besides
	removed    time.Time                     // since when the file may hold what was deleted, or zero
	spacious   bool                          // more than half of a large file is free
}

var _ reflect.Store = (*Store)(nil)

// faults let a test stand in for a disk that fails: before or after bolt has committed, and at the steps of a compaction.
type faults struct {
	before, after func() error
	step          func(step) error
	free          func() (int64, error) // bytes
}

// step is what a compaction is about to do, or has done.
type step string

const (
	stepCreate   step = "create"
	stepPut      step = "put"
	stepWrite    step = "write"
	stepRested   step = "rested"
	stepCatchUp  step = "catch up"
	stepSync     step = "sync"
	stepSynced   step = "synced"
	stepLock     step = "lock" // commits wait from here on
	stepRename   step = "rename"
	stepRenamed  step = "renamed"
	stepSwitched step = "switched" // and do not any more
	stepReleased step = "released"

	// of a migration
	stepKept     step = "kept"
	stepMigrated step = "migrated"
	stepReplaced step = "replaced"
)

func (f *faults) at(s step) error {
	if f.step == nil {
		return nil
	}
	return f.step(s)
}

func (f *faults) freeSpace(dir string) (int64, error) {
	if f.free == nil {
		return freeSpace(dir)
	}
	return f.free()
}

// check tells whether a claim is in force. s.mu is held.
func (s *Store) check(group d2m.GroupID, epoch reflect.Epoch) error {
	switch {
	case s.file == nil || epoch != 0 && epoch <= s.voided:
		return reflect.ErrUnavailable
	case epoch == 0 || s.claims[group] != epoch:
		return reflect.ErrFenced
	}
	return nil
}

// distrust ends all claims because a file has failed. s.mu is held.
func (s *Store) distrust(file *boltFile, err error) {
	if s.file != file {
		return // it is not in use any more
	}
	s.file, s.suspect, s.failure = nil, file, err
	s.voided = s.epoch
	s.journal = nil
	clear(s.claims)
}

// acquire returns the trusted file, or nil. It is not closed, unless it fails, before users.Done is called.
func (s *Store) acquire() *boltFile {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		s.file.users.Add(1)
	}
	return s.file
}

// view runs do in a read transaction of the trusted file. If bolt fails, the file is not trusted any more.
func (s *Store) view(do func(tx *bbolt.Tx) error) error {
	file := s.acquire()
	if file == nil {
		return reflect.ErrUnavailable
	}
	defer file.users.Done()
	return s.viewFile(file, do)
}

// viewFile is view for a file that has been acquired, or that the caller is to close.
func (s *Store) viewFile(file *boltFile, do func(tx *bbolt.Tx) error) error {
	err := file.view(do)
	if errors.Is(err, reflect.ErrUnavailable) {
		s.mu.Lock()
		s.distrust(file, err)
		s.mu.Unlock()
	}
	return err
}

// Release implements reflect.Store.
func (s *Store) Release(group d2m.GroupID, epoch reflect.Epoch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.claims[group] == epoch {
		delete(s.claims, group)
	}
}

// Usage implements reflect.Store: used is the part of the file that holds something.
func (s *Store) Usage() (used, limit int64, err error) {
	used, err = s.used()
	if err != nil || s.options.MaxBytes > 0 {
		return used, s.options.MaxBytes, err
	}
	size, err := fileSystemSize(s.dir)
	return used, size / 10 * 8, err
}

func (s *Store) used() (used int64, err error) {
	file := s.acquire()
	if file == nil {
		return 0, reflect.ErrUnavailable
	}
	defer file.users.Done()
	err = s.viewFile(file, func(tx *bbolt.Tx) error {
		used = tx.Size() - file.free()
		return nil
	})
	return used, err
}

// Close implements reflect.Store.
func (s *Store) Close() error {
	s.mu.Lock()
	s.cancel()
	s.mu.Unlock()
	s.background.Wait()
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	closed, file, suspect := s.closed, s.file, s.suspect
	s.closed, s.file, s.suspect = true, nil, nil
	s.mu.Unlock()
	if closed {
		return nil
	}
	defer s.lock.release()
	if suspect != nil {
		_ = suspect.close() // how it failed has been reported
	}
	if file == nil {
		return nil
	}
	return file.close()
}
