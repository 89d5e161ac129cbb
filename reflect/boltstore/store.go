package boltstore

import (
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

	// OnRecovered, if not nil, is called whenever a Claim has made the store sound again after a failure (B43).
	OnRecovered func()

	noSync bool // for tests that are not about the disk
}

// Store is a reflect.Store in one bbolt file.
type Store struct {
	// fixed
	dir      string
	options  Options
	lock     *directoryLock
	pageSize int
	faults   faults // zero but in tests

	// held by the one commit, recovery or Close in progress; taken before mu
	writing sync.Mutex
	txid    int                     // of the last commit that is known to have succeeded
	lastKey uint64                  // the last chunk key given
	chunks  map[d2m.GroupID]keyList // changed with mu held besides

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
}

var _ reflect.Store = (*Store)(nil)

// faults let a test stand in for a disk that fails, before or after bolt has committed.
type faults struct{ before, after func() error }

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
	clear(s.claims)
}

// view runs do in a read transaction of the trusted file. If bolt fails, the file is not trusted any more.
func (s *Store) view(do func(tx *bbolt.Tx) error) error {
	s.mu.Lock()
	file := s.file
	s.mu.Unlock()
	if file == nil {
		return reflect.ErrUnavailable
	}
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
	err = s.view(func(tx *bbolt.Tx) error {
		stats := tx.DB().Stats()
		used = tx.Size() - int64(stats.FreePageN+stats.PendingPageN)*int64(s.pageSize)
		return nil
	})
	if err != nil || s.options.MaxBytes > 0 {
		return used, s.options.MaxBytes, err
	}
	size, err := fileSystemSize(s.dir)
	return used, size / 10 * 8, err
}

// Close implements reflect.Store.
func (s *Store) Close() error {
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
