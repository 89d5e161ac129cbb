package boltstore

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"openmediator/reflect"
)

var errDisk = errors.New("the disk has failed")

// failing are the ways in which a commit can fail. arm makes the next one fail, disarm makes what comes later work.
var failing = []struct {
	name   string
	shows  bool // what was reported as failed stands in the file
	copies bool // a new file is made
	arm    func(s *Store)
}{
	{"before it is written", false, true, func(s *Store) { s.faults.before = func() error { return errDisk } }},
	{"after it is written", true, true, func(s *Store) { s.faults.after = func() error { return errDisk } }},
	{"writing it", false, true, func(s *Store) { s.file.os.Close() }},
	{"by a panic", false, true, func(s *Store) { s.faults.before = func() error { panic("bolt has found something") } }},
	{"by a panic when it is written", true, true, func(s *Store) { s.faults.after = func() error { panic("bolt has found something") } }},
	{"since the disk is full", false, false, func(s *Store) { s.faults.before = func() error { return diskFull(syscall.ENOSPC) } }},
	{"since the quota is used up", false, false, func(s *Store) { s.faults.before = func() error { return diskFull(syscall.EDQUOT) } }},
	{"since the disk is full, though written", true, true, func(s *Store) { s.faults.after = func() error { return diskFull(syscall.ENOSPC) } }},
	{"syncing, since the disk is full", false, true, func(s *Store) { s.faults.before = func() error { return syscall.ENOSPC } }},
}

func diskFull(err error) error { return &fs.PathError{Op: "write", Path: "mediator.db", Err: err} }

func TestB43_FailedCommit(t *testing.T) {
	for _, failure := range failing {
		t.Run(failure.name, func(t *testing.T) {
			dir := t.TempDir()
			recovered := 0
			s := openIn(t, dir, Options{OnRecovered: func() { recovered++ }})
			path := filepath.Join(dir, FileName)
			group, other := testGroup(1), testGroup(2)
			put(t, s, group, 1)
			second := put(t, s, group, 2)
			bystander := put(t, s, other, 3)

			failure.arm(s)
			third, fourth := batchOf(group, second.Epoch, 4), batchOf(other, bystander.Epoch, 5)
			third.Delete = []uint64{second.Key}
			for _, err := range s.Commit([]*reflect.Batch{third, fourth}) {
				if !errors.Is(err, reflect.ErrUnavailable) {
					t.Fatalf("Commit: %v", err)
				}
			}
			if third.Key != 0 {
				t.Fatalf("a chunk that may not be stored has key %d", third.Key)
			}
			s.faults = faults{}
			wantVoid(t, s, second)
			wantVoid(t, s, bystander)
			if shows := bytes.Contains(fileOf(t, path), testEnvelope(4)); shows != failure.shows {
				t.Fatalf("the file holds what was reported as failed: %v, want %v", shows, failure.shows)
			}
			inode := statOf(t, path)

			epoch := holds(t, s, group, 1, 2)
			holds(t, s, other, 3)
			if epoch <= bystander.Epoch || recovered != 1 {
				t.Fatalf("epoch %d follows %d after %d recoveries", epoch, bystander.Epoch, recovered)
			}
			if copied := !os.SameFile(inode, statOf(t, path)); copied != failure.copies {
				t.Fatalf("a new file was made: %v, want %v", copied, failure.copies)
			}
			wantVoid(t, s, second)
			if last := put(t, s, group, 6); last.Key <= bystander.Key+2 {
				t.Fatalf("key %d may have been given before", last.Key)
			}
			holds(t, s, group, 1, 2, 6)

			closeStore(t, s)
			s = openIn(t, dir, Options{})
			holds(t, s, group, 1, 2, 6)
			holds(t, s, other, 3)
			wantNoLeftover(t, dir)
		})
	}
}

// wantVoid fails the test unless the claim of a batch is answered with ErrUnavailable.
func wantVoid(t *testing.T, s *Store, b *reflect.Batch) {
	t.Helper()
	if err := s.Commit([]*reflect.Batch{batchOf(b.Group, b.Epoch, 99)})[0]; !errors.Is(err, reflect.ErrUnavailable) {
		t.Fatalf("Commit with a claim that a failure has ended: %v", err)
	}
	at := []reflect.Location{{Key: b.Key, Offset: 32, Size: 36}}
	if err := s.Read(b.Group, b.Epoch, at, func(int, []byte) error { return nil }); !errors.Is(err, reflect.ErrUnavailable) {
		t.Fatalf("Read with a claim that a failure has ended: %v", err)
	}
	s.Release(b.Group, b.Epoch)
}

func fileOf(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func statOf(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func wantNoLeftover(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, newName)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s is left (%v)", newName, err)
	}
}

// What was handed in while the failing commit was in progress fails as well.
func TestB43_CommitsBehindAFailingOneFail(t *testing.T) {
	s := openIn(t, t.TempDir(), Options{noSync: true})
	const groups = 20
	var batches []*reflect.Batch
	for i := range groups {
		batches = append(batches, batchOf(testGroup(i), put(t, s, testGroup(i), i).Epoch, 100+i))
	}
	entered, release := make(chan struct{}), make(chan struct{})
	s.faults.before = sync.OnceValue(func() error {
		close(entered)
		<-release
		return errDisk
	})
	var running sync.WaitGroup
	results := make([]error, groups)
	for i, b := range batches {
		running.Go(func() { results[i] = s.Commit([]*reflect.Batch{b})[0] })
		if i == 0 {
			<-entered
		}
	}
	close(release)
	running.Wait()
	for i, err := range results {
		if !errors.Is(err, reflect.ErrUnavailable) {
			t.Fatalf("Commit of batch %d: %v", i, err)
		}
	}
	s.faults = faults{}
	for i := range groups {
		holds(t, s, testGroup(i), i)
	}
}

// A claim that comes while a commit of the claim before is in progress sees what that one stored, or is not given.
func TestB43_ClaimWaitsForTheCommitInProgress(t *testing.T) {
	for _, fails := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := openIn(t, t.TempDir(), Options{})
			group := testGroup(1)
			b := batchOf(group, put(t, s, group, 1).Epoch, 2)
			other := put(t, s, testGroup(2), 3)
			s.faults.before = func() error {
				time.Sleep(time.Minute) // a slow disk
				if fails {
					return errDisk
				}
				return nil
			}
			start := time.Now()
			committed := make(chan error)
			go func() { committed <- s.Commit([]*reflect.Batch{b})[0] }()
			synctest.Wait()
			holds(t, s, testGroup(2), 3) // others do not wait
			if waited := time.Since(start); waited != 0 {
				t.Fatalf("a claim of another group waited %v", waited)
			}
			s.Release(other.Group, other.Epoch)
			snapshot, err := s.Claim(group)
			if waited := time.Since(start); waited != time.Minute {
				t.Fatalf("the claim waited %v", waited)
			}
			failed := <-committed
			s.faults = faults{}
			switch {
			case fails && !(errors.Is(err, reflect.ErrUnavailable) && errors.Is(failed, reflect.ErrUnavailable)):
				t.Fatalf("Claim: %v, Commit: %v", err, failed)
			case !fails && (err != nil || failed != nil || len(snapshot.Messages) != 2):
				t.Fatalf("Claim: %+v, %v, Commit: %v", snapshot, err, failed)
			}
		})
	}
}

// While the store cannot be made sound, claims are refused, the disk is left alone for a second each time, and everything
// works again when the disk does.
func TestB43_RecoveryIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		recovered := 0
		s := openIn(t, dir, Options{OnRecovered: func() { recovered++ }})
		path, away := filepath.Join(dir, FileName), filepath.Join(dir, "away")
		group := testGroup(1)
		b := put(t, s, group, 1)
		fail(t, s, b)
		unavailable := func() {
			t.Helper()
			if _, err := s.Claim(group); !errors.Is(err, reflect.ErrUnavailable) {
				t.Fatalf("Claim: %v", err)
			}
			if _, _, err := s.Usage(); !errors.Is(err, reflect.ErrUnavailable) {
				t.Fatalf("Usage: %v", err)
			}
			if err := s.Groups(nil); !errors.Is(err, reflect.ErrUnavailable) {
				t.Fatalf("Groups: %v", err)
			}
		}
		rename(t, path, away)
		unavailable()
		time.Sleep(2 * time.Second)
		unavailable()
		wantNoLeftover(t, dir)
		rename(t, away, path)
		time.Sleep(recoverEvery - time.Nanosecond)
		unavailable() // not tried yet
		time.Sleep(time.Nanosecond)
		b.Epoch = holds(t, s, group, 1)
		fail(t, s, b)
		unavailable() // only one attempt in a second, the successful ones counted
		time.Sleep(recoverEvery)
		holds(t, s, group, 1)
		if recovered != 2 {
			t.Fatalf("%d recoveries were reported, want 2", recovered)
		}
	})
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// fail makes a commit fail.
func fail(t *testing.T, s *Store, b *reflect.Batch) {
	t.Helper()
	s.faults.after = func() error { return errDisk }
	if err := s.Commit([]*reflect.Batch{batchOf(b.Group, b.Epoch, 77)})[0]; !errors.Is(err, reflect.ErrUnavailable) {
		t.Fatalf("Commit: %v", err)
	}
	s.faults = faults{}
}

// A file that has been exchanged for another one is not what the last commit held.
func TestB43_RecoveryRefusesAnotherFile(t *testing.T) {
	for _, failure := range []error{errDisk, diskFull(syscall.ENOSPC)} {
		dir := t.TempDir()
		s := openIn(t, dir, Options{})
		path := filepath.Join(dir, FileName)
		put(t, s, testGroup(1), 1)
		old := fileOf(t, path)
		put(t, s, testGroup(1), 2)
		b := put(t, s, testGroup(1), 3)
		s.faults.before = func() error { return failure }
		if err := s.Commit([]*reflect.Batch{b})[0]; err == nil {
			t.Fatal("Commit: no error")
		}
		if err := os.WriteFile(path, old, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Claim(testGroup(1)); !errors.Is(err, reflect.ErrUnavailable) {
			t.Fatalf("Claim: %v", err)
		}
		wantNoLeftover(t, dir)
	}
}

// A page that the disk does not deliver any more is a fault of the memory map.
func TestB43_MapFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := openIn(t, dir, Options{noSync: true})
		path := filepath.Join(dir, FileName)
		group := testGroup(1)
		var numbers []int
		for i := range 200 {
			numbers = append(numbers, i)
			put(t, s, group, i)
		}
		epoch := holds(t, s, group, numbers...)
		whole := fileOf(t, path)
		if err := os.Truncate(path, 3*4096); err != nil {
			t.Fatal(err)
		}
		var at []reflect.Location
		for key := range uint64(200) {
			at = append(at, reflect.Location{Key: key + 1, Offset: 32, Size: 36})
		}
		err := s.Read(group, epoch, at, func(int, []byte) error { return nil })
		if !errors.Is(err, reflect.ErrUnavailable) || strings.Contains(err.Error(), "\n") {
			t.Fatalf("Read: %v", err)
		}
		for range 3 {
			if _, err := s.Claim(group); !errors.Is(err, reflect.ErrUnavailable) {
				t.Fatalf("Claim: %v", err)
			}
			time.Sleep(recoverEvery)
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		holds(t, s, group, numbers...)
		put(t, s, group, 200)
	})
}

// Many claims at once: one makes the store sound, the others are refused or come after it.
func TestB43_OneRecoversForAll(t *testing.T) {
	recovered := 0
	s := openIn(t, t.TempDir(), Options{noSync: true, OnRecovered: func() { recovered++ }})
	b := put(t, s, testGroup(1), 1)
	fail(t, s, b)
	var running sync.WaitGroup
	for i := range 50 {
		running.Go(func() {
			if _, err := s.Claim(testGroup(i)); err != nil && !errors.Is(err, reflect.ErrUnavailable) {
				t.Errorf("Claim: %v", err)
			}
		})
	}
	running.Wait()
	if recovered != 1 {
		t.Fatalf("%d recoveries", recovered)
	}
	holds(t, s, testGroup(1), 1)
}

// An error that comes late, from a file that has been replaced already, ends no claim of the new one.
func TestB43_LateErrorOfTheOldFile(t *testing.T) {
	s := openIn(t, t.TempDir(), Options{})
	old := s.file
	fail(t, s, put(t, s, testGroup(1), 1))
	epoch := holds(t, s, testGroup(1), 1)
	err := old.view(func(*bbolt.Tx) error { return nil })
	if !errors.Is(err, reflect.ErrUnavailable) {
		t.Fatalf("the old file is still open: %v", err)
	}
	s.mu.Lock()
	s.distrust(old, err)
	s.mu.Unlock()
	if err := s.Commit([]*reflect.Batch{batchOf(testGroup(1), epoch, 2)})[0]; err != nil {
		t.Fatal(err)
	}
}

// A read may find the file damaged while a commit is in progress. What that has stored is not lost.
func TestB43_ReadFailsDuringACommit(t *testing.T) {
	s := openIn(t, t.TempDir(), Options{})
	first := put(t, s, testGroup(1), 1)
	s.faults.after = func() error {
		_ = s.view(func(*bbolt.Tx) error { return reflect.ErrUnavailable }) // as a damaged page would
		return nil
	}
	second := batchOf(first.Group, first.Epoch, 2)
	if err := s.Commit([]*reflect.Batch{second})[0]; err != nil {
		t.Fatalf("Commit: %v", err)
	}
	s.faults = faults{}
	wantVoid(t, s, second)
	holds(t, s, first.Group, 1, 2)
}

func TestB43_CloseWhileUnavailable(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir, Options{})
	fail(t, s, put(t, s, testGroup(1), 1))
	closeStore(t, s)
	if _, err := s.Claim(testGroup(1)); !errors.Is(err, reflect.ErrUnavailable) {
		t.Fatalf("Claim: %v", err)
	}
	put(t, openIn(t, dir, Options{}), testGroup(2), 2)
}

// What had been deleted is not carried over into the copy.
func TestB17_CopyHoldsNothingDeleted(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir, Options{noSync: true})
	path := filepath.Join(dir, FileName)
	gone, kept := testGroup(1), testGroup(2)
	for i := range 100 {
		put(t, s, gone, 300)
		put(t, s, kept, i)
	}
	erase := &reflect.Batch{Group: gone, Epoch: holds300(t, s, gone), Erase: true}
	if err := s.Commit([]*reflect.Batch{erase})[0]; err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(fileOf(t, path), testEnvelope(300)) {
		t.Fatal("the file does not hold what was deleted: nothing is tested here")
	}
	fail(t, s, put(t, s, testGroup(3), 3))
	holds(t, s, testGroup(3), 3)
	if bytes.Contains(fileOf(t, path), testEnvelope(300)) {
		t.Fatal("the copy holds what was deleted")
	}
}

func holds300(t *testing.T, s *Store, group [32]byte) reflect.Epoch {
	t.Helper()
	numbers := make([]int, 100)
	for i := range numbers {
		numbers[i] = 300
	}
	return holds(t, s, group, numbers...)
}

// Other tools write a free list into the file. It is part of what the last commit held.
func TestB43_FreeListOfAnotherTool(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir, Options{noSync: true})
	for i := range 100 {
		put(t, s, testGroup(1), i)
	}
	erase := &reflect.Batch{Group: testGroup(1), Epoch: put(t, s, testGroup(1), 1).Epoch, Erase: true}
	if err := s.Commit([]*reflect.Batch{erase})[0]; err != nil {
		t.Fatal(err)
	}
	put(t, s, testGroup(2), 2)
	closeStore(t, s)
	change(t, filepath.Join(dir, FileName), func(*bbolt.Tx) error { return nil })

	s = openIn(t, dir, Options{noSync: true})
	snapshot, err := s.Claim(testGroup(3))
	if err != nil {
		t.Fatal(err)
	}
	fail(t, s, &reflect.Batch{Group: testGroup(3), Epoch: snapshot.Epoch})
	holds(t, s, testGroup(3))
	holds(t, s, testGroup(2), 2)
	put(t, s, testGroup(3), 3)
}
