package boltstore

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/reflect"
)

// compactions opens a store that compacts itself once a day and gives what it says of that.
func compactions(t *testing.T, dir string) (*Store, <-chan error) {
	t.Helper()
	told := make(chan error, 100)
	s := openIn(t, dir, Options{noSync: true, CompactEvery: 24 * time.Hour, OnCompacted: func(_ CompactResult, err error) { told <- err }})
	return s, told
}

// wait fails the test unless the store reports on a compaction with this error within a time, and none before another.
func wait(t *testing.T, told <-chan error, from, to time.Duration, want error) {
	t.Helper()
	if from > 0 {
		time.Sleep(from)
		synctest.Wait()
		select {
		case err := <-told:
			t.Fatalf("a compaction before %v: %v", from, err)
		default:
		}
	}
	select {
	case err := <-told:
		if !errors.Is(err, want) {
			t.Fatalf("the compaction ended with %v, want %v", err, want)
		}
	case <-time.After(to - from):
		t.Fatalf("no compaction within %v", to)
	}
}

func TestB17_CompactionAtLeastDailyIfAnythingWasDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s, told := compactions(t, dir)
		wait(t, told, 22*time.Hour, 24*time.Hour, nil) // it is not known what a file holds that is opened
		time.Sleep(100 * 24 * time.Hour)
		b := put(t, s, testGroup(1), 1)
		wait(t, told, 22*time.Hour, 24*time.Hour, nil)
		commit(t, s, &reflect.Batch{Group: b.Group, Epoch: b.Epoch, Chunk: reflect.NewChunk(b.Group, 0).Data})
		time.Sleep(100 * 24 * time.Hour) // nothing was deleted
		commit(t, s, &reflect.Batch{Group: b.Group, Epoch: b.Epoch, Delete: []uint64{b.Key}})
		wait(t, told, 22*time.Hour, 24*time.Hour, nil)
		commit(t, s, &reflect.Batch{Group: b.Group, Epoch: b.Epoch, Erase: true})

		// A restart does not put it off.
		time.Sleep(20 * time.Hour)
		closeStore(t, s)
		_, told = compactions(t, dir)
		wait(t, told, 0, 4*time.Hour, nil)
	})
}

func TestCompactionIsTriedAgainAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, told := compactions(t, t.TempDir())
		var free atomic.Int64
		s.faults.free = func() (int64, error) { return free.Load(), nil }
		put(t, s, testGroup(1), 1)
		wait(t, told, 22*time.Hour, 24*time.Hour, ErrNoRoom)
		wait(t, told, compactRetry-time.Second, compactRetry+time.Second, ErrNoRoom)
		free.Store(1 << 40)
		wait(t, told, compactRetry-time.Second, compactRetry+time.Second, nil)
	})
}

// When most of a large file is free, its room is given back at once.
func TestCompactionWhenMuchIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, told := compactions(t, t.TempDir())
		group := testGroup(1)
		epoch := claimOf(t, s, group)
		chunk := reflect.NewChunk(group, 0)
		for len(chunk.Data) < 4<<20 {
			chunk.Append(reflect.Message{Envelope: make([]byte, 60<<10)})
		}
		var keys []uint64
		for range spaciousBytes/len(chunk.Data) + 2 {
			b := &reflect.Batch{Group: group, Epoch: epoch, Chunk: chunk.Data}
			commit(t, s, b)
			keys = append(keys, b.Key)
		}
		commit(t, s, &reflect.Batch{Group: group, Epoch: epoch, Delete: keys[1:]})
		commit(t, s, &reflect.Batch{Group: group, Epoch: epoch})
		wait(t, told, 0, time.Minute, nil)
		size, err := s.file.size()
		if err != nil || size > spaciousBytes/2 {
			t.Fatalf("the file has %d bytes (%v)", size, err)
		}
		time.Sleep(time.Hour)
		select {
		case err := <-told:
			t.Fatalf("another compaction: %v", err)
		default:
		}
	})
}
