package boltstore

import (
	"time"

	"openmediator/reflect"
)

const (
	// spaciousBytes is how much of the file is free at least, and more than is in use, when the store compacts itself
	// although nothing has to be gone yet.
	spaciousBytes = 64 << 20

	// compactPause is the least time between two compactions that the store begins by itself, compactRetry that after
	// one that it has given up.
	compactPause = time.Minute
	compactRetry = 10 * time.Minute
)

// compactRegularly compacts when it is time for it, until the store is closed.
func (s *Store) compactRegularly() {
	defer s.background.Done()
	var notBefore time.Time
	for s.rest(notBefore) {
		result, err := s.Compact(s.ctx)
		if s.ctx.Err() != nil {
			return
		}
		notBefore = time.Now().Add(compactPause)
		if err != nil {
			notBefore = time.Now().Add(compactRetry)
		}
		if s.options.OnCompacted != nil {
			s.options.OnCompacted(result, err)
		}
	}
}

// rest returns when a compaction is due, but not before a time. It reports false when the store is closed.
func (s *Store) rest(notBefore time.Time) bool {
	for {
		due, known := s.compactionDue()
		if due.Before(notBefore) {
			due = notBefore
		}
		wait := time.Until(due)
		if !known {
			wait = s.options.CompactEvery
		} else if wait <= 0 {
			return s.ctx.Err() == nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-s.wake:
		case <-s.ctx.Done():
		}
		timer.Stop()
		if s.ctx.Err() != nil {
			return false
		}
	}
}

// compactionDue returns when the store is to be compacted, if that is known. What was deleted while a compaction ran
// may be in its copy, so the next one begins so early that it is over in time (B17).
func (s *Store) compactionDue() (due time.Time, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	every := s.options.CompactEvery
	switch {
	case s.spacious:
		return time.Time{}, true
	case s.removed.IsZero():
		return time.Time{}, false
	}
	return s.removed.Add(every - every/24), true
}

// removes says whether a batch leaves bytes in the file that are not stored any more. Acks are in the state: what they
// delete may stay in a chunk.
func removes(b *reflect.Batch) bool {
	return b.Erase || len(b.Delete) > 0 || b.State != nil || len(b.Blobs) > 0
}

// noteRemoval notes that the file may hold what was deleted at a time, or nothing if that is zero. s.mu is held.
func (s *Store) noteRemoval(at time.Time) {
	if at.IsZero() || !s.removed.IsZero() && s.removed.Before(at) {
		return
	}
	s.removed = at
	s.stir()
}

// noteSpace notes whether much of the file, of a size in bytes, is free. s.mu is held.
func (s *Store) noteSpace(size int64) {
	free := s.file.free()
	before := s.spacious
	s.spacious = free >= spaciousBytes && free > size/2
	if s.spacious && !before {
		s.stir()
	}
}

// stir lets the goroutine that compacts look whether it is time.
func (s *Store) stir() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
