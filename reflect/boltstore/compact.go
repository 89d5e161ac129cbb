package boltstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"openmediator/reflect"
)

// A compaction copies the file in pieces of so many entries or, if that is less, so many bytes and one entry.
const (
	compactEntries = 2048
	compactBytes   = 256 << 10
)

const (
	// compactWrite is how much is copied before it is carried to the disk, bytes: little, so that no sync of a commit
	// finds much of the copy before it.
	compactWrite = 256 << 10

	// compactReserve is how much room must stay free beside the copy for what commits write, bytes.
	compactReserve = 64 << 20

	// While commits wait, so many entries and bytes are copied at most, however large the file is.
	switchEntries = 8192
	switchBytes   = 4 << 20

	// catchUpRounds is how often a compaction tries to come so near to what commits write.
	catchUpRounds = 30

	// catchUpEntries is how many entries the journal names before they are copied, even though the first copy goes on.
	catchUpEntries = 16 << 10
)

// Why a compaction was given up. The store goes on with the file that it has.
var (
	ErrNoRoom = errors.New("compaction: too little room on the disk for a copy")
	ErrBusy   = errors.New("compaction: commits changed more than it could catch up with")
)

// CompactResult says what a compaction did.
type CompactResult struct {
	Before, After int64         // size of the file, bytes
	Entries       int           // copied; what commits changed meanwhile is counted again
	Erased        int           // deleted messages that were taken out of chunks with others that wait
	Rounds        int           // in which it caught up with commits
	Last          int           // entries copied while commits waited, up to switchEntries
	Waited        time.Duration // how long commits had to wait for the switch
	Took          time.Duration // from begin to end, pauses included
}

// Compact puts a copy in the place of the file that holds only what is stored: what had been deleted when it began is in
// no file of the directory afterwards (B17), and free pages are given back to the system. Messages that are deleted but
// share a chunk with others that wait are overwritten (see reflect.Eraser).
//
// Everything goes on meanwhile. Commits wait for the last step alone, in which a bounded number of entries is copied and
// synced. The copy needs as much room as what is stored takes. One compaction runs at a time; others wait for it.
//
// After an error the file is what it was, and there is no copy: ErrNoRoom, ErrBusy, the error of ctx, ErrUnavailable if the
// store is closed or its file is not trusted (B43), or what the system said.
func (s *Store) Compact(ctx context.Context) (result CompactResult, err error) {
	ctx, end, err := s.takeTurn(ctx)
	if err != nil {
		return result, err
	}
	defer end()
	start := time.Now()
	c, err := s.newCompaction()
	if err != nil {
		return result, err
	}
	err = c.run(ctx)
	if errors.Is(err, context.Canceled) {
		err = s.ended(ctx)
	}
	c.result.Took = time.Since(start)
	if err == nil {
		s.counters.compactions.Add(1)
	} else {
		s.counters.compactionFailures.Add(1)
	}
	return c.result, err
}

// begin counts a caller whose end Close waits for. It reports false after Close.
func (s *Store) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.background.Add(1)
	return true
}

// takeTurn waits until nobody copies the file. It keeps others from it, and Close waiting, until end is called. The context that
// it returns ends with ctx and with the store's.
func (s *Store) takeTurn(ctx context.Context) (turn context.Context, end func(), err error) {
	if !s.begin() {
		return nil, nil, reflect.ErrUnavailable
	}
	turn, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.ctx, cancel)
	leave := func() {
		stop()
		cancel()
		s.background.Done()
	}
	select {
	case s.compacting <- struct{}{}:
		return turn, func() { <-s.compacting; leave() }, nil
	case <-turn.Done():
		defer leave()
		return nil, nil, s.ended(turn)
	}
}

// ended returns why ctx, which ends with the store's, has ended.
func (s *Store) ended(ctx context.Context) error {
	if s.ctx.Err() != nil {
		return reflect.ErrUnavailable
	}
	return ctx.Err()
}

// compaction is one in progress. It is used by one goroutine, and is the sink of its copying.
type compaction struct {
	copying
	path      string    // of the copy
	to        *boltFile // the copy; nil until it is made
	old       *os.File  // the file that is copied once more, to shrink it when it is closed
	switched  bool      // the copy has taken the place of the file
	removed   time.Time // what the store's was
	unwritten int       // bytes put into the copy that may not be on their way to the disk
}

// newCompaction begins to note what commits change.
func (s *Store) newCompaction() (*compaction, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	reading, err := s.startCopying()
	if err != nil {
		return nil, err
	}
	c := &compaction{copying: reading, path: filepath.Join(s.dir, compactName), removed: s.removed}
	c.sink, s.removed = c, time.Time{}
	return c, nil
}

func (c *compaction) run(ctx context.Context) (err error) {
	defer func() {
		if !c.switched {
			err = errors.Join(err, c.giveUp())
		}
	}()
	if err := c.create(); err != nil {
		return err
	}
	for p := range parts {
		if err := c.copyPart(ctx, p); err != nil {
			return err
		}
	}
	for range catchUpRounds {
		if err := c.catchUp(ctx); err != nil {
			return err
		}
		err := c.trySwitch()
		if c.switched {
			return errors.Join(err, c.release(ctx))
		}
		if err != nil {
			return err
		}
	}
	return ErrBusy
}

func (c *compaction) create() (err error) {
	if c.result.Before, err = c.from.size(); err != nil {
		return err
	}
	if c.old, err = os.OpenFile(filepath.Join(c.store.dir, FileName), os.O_RDWR, 0); err != nil {
		return err
	}
	if err := c.checkRoom(c.result.Before - c.from.free()); err != nil {
		return err
	}
	if err := c.store.faults.at(stepCreate); err != nil {
		return err
	}
	if err := createFile(c.path); err != nil {
		return err
	}
	if c.to, err = openBolt(c.path, false, true); err != nil {
		c.to = nil
		return err
	}
	c.to.db.NoGrowSync = true // it is synced when it is complete
	return c.to.write(makeSchema)
}

// giveUp removes the copy and leaves everything as it was.
func (c *compaction) giveUp() (err error) {
	s := c.store
	s.mu.Lock()
	if s.journal == c.journal {
		s.journal = nil
		s.noteRemoval(c.removed)
	}
	s.mu.Unlock()
	if c.old != nil {
		_ = c.old.Close()
	}
	if c.to != nil {
		err = c.to.close()
	}
	if removed := os.Remove(c.path); !errors.Is(removed, fs.ErrNotExist) {
		err = errors.Join(err, removed)
	}
	return err
}

// checkRoom fails if there is not as much room on the disk, and what commits may need besides.
func (c *compaction) checkRoom(size int64) error {
	free, err := c.store.faults.freeSpace(c.store.dir)
	if err != nil {
		return err
	}
	if free < size+compactReserve {
		return fmt.Errorf("%w: %d MiB are free, %d MiB needed", ErrNoRoom, free>>20, (size+compactReserve)>>20)
	}
	return nil
}

// rest carries what was copied so far to the disk if that is much, and sees to it that there is still room.
func (c *compaction) rest() error {
	if c.unwritten < compactWrite {
		return nil
	}
	if err := c.store.faults.at(stepWrite); err != nil {
		return err
	}
	if !c.store.options.noSync {
		if err := WriteBack(c.to.os); err != nil {
			return err
		}
	}
	c.unwritten = 0
	return c.checkRoom(0)
}

// sync makes what was copied so far durable.
func (c *compaction) sync() error {
	if err := c.store.faults.at(stepSync); err != nil {
		return err
	}
	if !c.store.options.noSync {
		if err := c.to.sync(); err != nil {
			return err
		}
	}
	c.unwritten = 0
	return c.store.faults.at(stepSynced)
}
