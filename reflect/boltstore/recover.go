package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"openmediator/reflect"
)

// recoverEvery is the least time between two attempts to make the store sound.
const recoverEvery = time.Second

// makeSound opens a file again if none is trusted. Only one caller does the work; the others are sent away meanwhile.
func (s *Store) makeSound() error {
	s.mu.Lock()
	if s.file != nil {
		s.mu.Unlock()
		return nil
	}
	if s.closed || s.recovering || time.Since(s.tried) < recoverEvery {
		defer s.mu.Unlock()
		return reflect.ErrUnavailable
	}
	s.recovering = true
	s.mu.Unlock()

	err := s.reopen()
	if err != nil {
		return fmt.Errorf("%w: %w", reflect.ErrUnavailable, err)
	}
	s.counters.recoveries.Add(1)
	if s.options.OnRecovered != nil {
		s.options.OnRecovered()
	}
	return nil
}

// reopen opens a file that holds what the last successful commit held, and nothing else.
func (s *Store) reopen() (err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	suspect, failure, closed := s.suspect, s.failure, s.closed
	s.suspect = nil
	s.mu.Unlock()

	var file *boltFile
	var held contents
	if closed {
		err = reflect.ErrUnavailable
	} else {
		if suspect != nil {
			_ = suspect.close() // how it failed has been reported
		}
		file, held, err = s.restore(failure)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recovering, s.tried = false, time.Now()
	if err == nil {
		s.file = file
		s.hold(held)
	}
	return err
}

// restore makes mediator.db what it was at the last successful commit, by a copy if need be, and opens it.
func (s *Store) restore(failure error) (*boltFile, contents, error) {
	if refused(failure) {
		if file, held, err := s.openLast(); err == nil {
			return file, held, nil
		}
	}
	if err := s.copyFile(); err != nil {
		return nil, contents{}, err
	}
	return s.openLast()
}

// openLast opens mediator.db if the last successful commit is what it shows.
func (s *Store) openLast() (*boltFile, contents, error) {
	file, held, err := openFile(s.dir, s.options.noSync)
	if err == nil && held.tree.txid != s.txid {
		err = fmt.Errorf("%w: it shows transaction %d, not %d", errPages, held.tree.txid, s.txid)
		return nil, contents{}, errors.Join(err, file.close())
	}
	return file, held, err
}

// refused tells whether a commit failed since there was no room for what it wanted to write. Then nothing has been synced
// in vain, and if its meta page, which comes last, was not written either, the file is still what it was before.
func refused(failure error) bool {
	var path *fs.PathError
	return errors.As(failure, &path) && path.Op == "write" &&
		(errors.Is(failure, syscall.ENOSPC) || errors.Is(failure, syscall.EDQUOT))
}

// copyFile puts a copy of what the last successful commit held in the place of mediator.db.
func (s *Store) copyFile() error {
	if err := copyToNew(s.dir, s.pageSize, s.txid); err != nil {
		return err
	}
	return replace(s.dir)
}

// copyToNew makes the new file a copy of what a transaction of mediator.db has left, or leaves none behind.
func copyToNew(dir string, pageSize, txid int) error {
	from, err := os.Open(filepath.Join(dir, FileName))
	if err != nil {
		return err
	}
	defer from.Close()
	path := filepath.Join(dir, newName)
	if err := createFile(path); err != nil {
		return err
	}
	if err := copyTo(path, from, pageSize, txid); err != nil {
		return errors.Join(err, os.Remove(path)) // a full disk wants its room back
	}
	return nil
}

func copyTo(path string, from *os.File, pageSize, txid int) error {
	to, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = copyTree(to, from, pageSize, txid)
	if err == nil {
		err = to.Sync()
	}
	return errors.Join(err, to.Close())
}
