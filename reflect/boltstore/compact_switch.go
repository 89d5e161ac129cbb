package boltstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"openmediator/internal/durable"
	"openmediator/reflect"
)

// shrinkStep is how much of the old file is given back to the system at a time, bytes. Given back in one go, a large file
// holds up whoever syncs something on the same disk.
const shrinkStep = 16 << 20

// trySwitch puts the copy in the place of the file, if little enough has changed since it was caught up with. Commits
// wait meanwhile.
func (c *compaction) trySwitch() error {
	s := c.store
	s.writing.Lock()
	defer s.writing.Unlock()
	start := time.Now()
	entries, bytes, overflow := c.journal.size()
	if overflow || entries > switchEntries || bytes > switchBytes {
		return nil
	}
	if err := s.faults.at(stepLock); err != nil {
		return err
	}
	txid, err := c.finish()
	if err != nil {
		return err
	}
	if !c.current() {
		return reflect.ErrUnavailable
	}
	if err := s.faults.at(stepRename); err != nil {
		return err
	}
	if err := os.Rename(c.path, filepath.Join(s.dir, FileName)); err != nil {
		return err
	}
	err = errors.Join(s.faults.at(stepRenamed), durable.SyncDirectory(s.dir), s.faults.at(stepSwitched))
	c.adopt(txid, err)
	c.result.Last, c.result.Waited = entries, time.Since(start)
	return err
}

// finish brings the copy up to the last commit and makes it durable. It returns the transaction that it shows then.
func (c *compaction) finish() (txid int, err error) {
	if err := c.copyChanged(func() error { return nil }); err != nil {
		return 0, err
	}
	err = c.to.write(func(tx *bbolt.Tx) error {
		txid = tx.ID()
		return errors.Join(tx.Bucket(bucketLog).SetSequence(c.store.lastKey), putMade(tx, time.Now()))
	})
	if err != nil {
		return 0, err
	}
	return txid, c.sync()
}

// adopt makes the copy, which has the name now, the store's file. If it is not known to have it for good, it is not trusted:
// what is committed from here on could be gone with it after a crash (B43). s.writing is held.
func (c *compaction) adopt(txid int, failure error) {
	s := c.store
	c.to.db.NoSync, c.to.db.NoGrowSync = s.options.noSync, false
	c.switched = true
	c.result.After, _ = c.to.size()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.journal = nil
	s.txid, s.pageSize = txid, c.to.pageSize
	if s.file != c.from {
		// A read has just found the old file damaged and ended all claims. Recovery closes that one, and opens this.
		_ = c.to.close()
		return
	}
	s.file, s.spacious = c.to, false
	if failure != nil {
		s.distrust(c.to, fmt.Errorf("%w: %w", reflect.ErrUnavailable, failure))
	}
}

// release closes the old file, which has no name any more, when nobody reads it, and gives its room back.
func (c *compaction) release(ctx context.Context) error {
	c.from.users.Wait()
	_ = c.from.close() // nothing of it is needed
	for size := c.result.Before; size > shrinkStep && !c.from.stuck.Load(); {
		start := time.Now()
		size -= shrinkStep
		if c.old.Truncate(size) != nil || pause(ctx, time.Since(start)) != nil {
			break
		}
	}
	_ = c.old.Close()
	return errors.Join(removeKept(c.store.dir), c.store.faults.at(stepReleased))
}
