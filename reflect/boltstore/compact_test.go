package boltstore

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"openmediator/d2m"
	"openmediator/reflect"
	"openmediator/reflect/storetest"
)

func compact(t *testing.T, s *Store) CompactResult {
	t.Helper()
	result, err := s.Compact(context.Background())
	if err != nil {
		t.Fatalf("Compact: %v (%+v)", err, result)
	}
	return result
}

// grep returns in which files of a directory some bytes are.
func grep(t *testing.T, dir string, want []byte) (files []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if bytes.Contains(fileOf(t, filepath.Join(dir, e.Name())), want) {
			files = append(files, e.Name())
		}
	}
	return files
}

// After the last ack no byte of an envelope, and after the last slot no byte of a group id, is in a file any more.
func TestB17_CompactionLeavesNothingDeleted(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir, Options{})
	acked, gone, kept := d2m.GroupID{0: 0xa1, 31: 0xa2}, d2m.GroupID{0: 0xb1, 31: 0xb2}, testGroup(3)
	var b *reflect.Batch
	var keys []uint64
	for range 100 { // more than the next commits write over
		put(t, s, gone, 300)
		b = put(t, s, acked, 200)
		keys = append(keys, b.Key)
	}
	put(t, s, kept, 100)
	commit(t, s, &reflect.Batch{Group: acked, Epoch: b.Epoch, Delete: keys})
	commit(t, s, &reflect.Batch{Group: gone, Epoch: holds300(t, s, gone), Erase: true})
	deleted := map[string][]byte{"envelope": testEnvelope(200), "envelope of the group": testEnvelope(300), "group id": gone[:]}
	for what, secret := range deleted {
		if files := grep(t, dir, secret); !slices.Equal(files, []string{FileName}) {
			t.Fatalf("the %s is in %v: nothing is tested here", what, files)
		}
	}
	before := s.file
	compact(t, s)
	if s.file == before || s.file.db.NoSync != s.options.noSync {
		t.Fatal("the file is the old one, or is not synced any more")
	}
	for what, secret := range deleted {
		if files := grep(t, dir, secret); len(files) > 0 {
			t.Errorf("the %s is still in %v", what, files)
		}
	}
	for what, secret := range map[string][]byte{"envelope": testEnvelope(100), "group id": acked[:]} {
		if len(grep(t, dir, secret)) == 0 {
			t.Errorf("the %s that is stored is in no file", what)
		}
	}
	holds(t, s, kept, 100)
	closeStore(t, s)
	holds(t, openIn(t, dir, Options{}), kept, 100)
}

func commit(t *testing.T, s *Store, b *reflect.Batch) {
	t.Helper()
	if err := s.Commit([]*reflect.Batch{b})[0]; err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

// Of a chunk that stays for one message the others are taken out when all have acknowledged them.
func TestB17_CompactionErasesWithinAChunk(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir, Options{noSync: true})
	group := testGroup(1)
	snapshot, err := s.Claim(group)
	if err != nil {
		t.Fatal(err)
	}
	chunk := reflect.NewChunk(group, 0)
	var at []reflect.Location
	for n := range uint64(4) {
		at = append(at, chunk.Append(reflect.Message{Place: n, Sender: 9, Envelope: testEnvelope(int(n))}))
	}
	state := reflect.State{Slots: []reflect.SlotState{{Device: 1}, {Device: 2, Next: 4, Gaps: []uint64{2}}}}
	b := &reflect.Batch{Group: group, Epoch: snapshot.Epoch, Chunk: chunk.Data, State: state.Append(nil)}
	commit(t, s, b)
	if result := compact(t, s); result.Erased != 0 {
		t.Fatalf("%d messages were erased that a slot waits for", result.Erased)
	}
	state.Slots[0] = reflect.SlotState{Device: 1, Next: 3, Gaps: []uint64{0}}
	commit(t, s, &reflect.Batch{Group: group, Epoch: b.Epoch, State: state.Append(nil)})
	waits := []bool{true, false, true, true}
	if files := grep(t, dir, testEnvelope(1)); len(files) != 1 {
		t.Fatalf("the envelope is in %v: nothing is tested here", files)
	}
	result := compact(t, s)
	if result.Erased != 1 {
		t.Fatalf("%d messages were erased, want 1", result.Erased)
	}
	for n, location := range at {
		if found := len(grep(t, dir, testEnvelope(n))) > 0; found != waits[n] {
			t.Errorf("the envelope of message %d is in a file: %v, want %v", n, found, waits[n])
		}
		location.Key = b.Key
		err := s.Read(group, b.Epoch, []reflect.Location{location}, func(_ int, record []byte) error {
			m, err := reflect.ParseRecord(record)
			if err == nil && !bytes.Equal(m.Envelope, testEnvelope(n)) {
				err = errors.New("it is another one")
			}
			return err
		})
		if waits[n] != (err == nil) || !waits[n] && !errors.Is(err, errNotStored) {
			t.Errorf("message %d: %v", n, err)
		}
	}
	if result := compact(t, s); result.Erased != 0 {
		t.Fatalf("%d messages were erased twice", result.Erased)
	}
	snapshot, err = s.Claim(group)
	if err != nil || len(snapshot.Messages) != len(at) {
		t.Fatalf("Claim: %d messages, %v", len(snapshot.Messages), err)
	}
}

// compacted is a store that is compacted all the time by a goroutine of its own, and now and then by who uses it.
type compacted struct {
	*Store
	calls atomic.Int64
	done  atomic.Int64 // compactions
	ended chan struct{}
}

func (c *compacted) Commit(batches []*reflect.Batch) []error {
	if c.calls.Add(1)%16 == 0 {
		c.compact()
	}
	return c.Store.Commit(batches)
}

func (c *compacted) compact() error {
	_, err := c.Compact(context.Background())
	if err == nil {
		c.done.Add(1)
	}
	return err
}

// The whole suite with a compaction always in progress.
func TestStoreThatIsCompacted(t *testing.T) {
	var done atomic.Int64
	open := func(t *testing.T, dir string) *compacted {
		c := &compacted{Store: openIn(t, dir, Options{noSync: true}), ended: make(chan struct{})}
		t.Cleanup(func() {
			closeStore(t, c.Store)
			<-c.ended
			done.Add(c.done.Load())
		})
		go func() {
			defer close(c.ended)
			for !errors.Is(c.compact(), reflect.ErrUnavailable) {
			}
		}()
		return c
	}
	storetest.Run(t, func(t *testing.T) (reflect.Store, func() reflect.Store) {
		dir := t.TempDir()
		c := open(t, dir)
		return c, func() reflect.Store {
			closeStore(t, c.Store)
			c = open(t, dir)
			return c
		}
	})
	if n := done.Load(); n < 100 {
		t.Fatalf("there were %d compactions", n)
	}
}

// history is what a store has acknowledged, while a compaction goes on.
type history struct {
	t       *testing.T
	s       *Store
	epochs  map[d2m.GroupID]reflect.Epoch
	numbers map[d2m.GroupID][]int
	keys    map[d2m.GroupID][]uint64
	n       int
}

func newHistory(t *testing.T, s *Store, groups int) *history {
	h := &history{t, s, make(map[d2m.GroupID]reflect.Epoch), make(map[d2m.GroupID][]int), make(map[d2m.GroupID][]uint64), 0}
	for i := range groups {
		b := put(t, s, testGroup(i), i)
		h.epochs[b.Group], h.numbers[b.Group], h.keys[b.Group] = b.Epoch, []int{i}, []uint64{b.Key}
	}
	return h
}

// change appends to one group, deletes from another, and erases a third and begins it anew.
func (h *history) change() {
	h.t.Helper()
	h.n++
	groups := len(h.epochs)
	for i, group := range []d2m.GroupID{testGroup(h.n % groups), testGroup((h.n + groups/2) % groups), testGroup((h.n * 7) % groups)} {
		b := batchOf(group, h.epochs[group], h.n)
		switch {
		case i == 1 && len(h.keys[group]) > 0:
			b.Delete = h.keys[group][:1]
			h.keys[group], h.numbers[group] = h.keys[group][1:], h.numbers[group][1:]
		case i == 2:
			b.Erase = true
			h.keys[group], h.numbers[group] = nil, nil
		}
		commit(h.t, h.s, b)
		h.keys[group], h.numbers[group] = append(h.keys[group], b.Key), append(slices.Clone(h.numbers[group]), h.n)
	}
}

// image is what a directory would be after a crash, and what the store that is opened in it must hold.
type image struct {
	step    step
	files   map[string][]byte
	numbers map[d2m.GroupID][]int
}

// storeMuch stores so much, in a group that is not looked at, that the copy is carried to the disk before it is complete.
func storeMuch(t *testing.T, s *Store) {
	t.Helper()
	b := &reflect.Batch{Group: testGroup(1000), Blobs: []reflect.Blob{{Shared: true, Data: make([]byte, compactWrite)}}}
	b.Epoch = claimOf(t, s, b.Group)
	commit(t, s, b)
}

func (h *history) image(at step) image {
	h.t.Helper()
	files := make(map[string][]byte)
	for _, name := range []string{FileName, compactName, newName} {
		if data, err := os.ReadFile(filepath.Join(h.s.dir, name)); err == nil {
			files[name] = data
		} else if !errors.Is(err, fs.ErrNotExist) {
			h.t.Fatal(err)
		}
	}
	return image{at, files, maps.Clone(h.numbers)}
}

// check opens the directory.
func (i image) check(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	for name, data := range i.files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(dir, Options{noSync: true})
	if err != nil {
		t.Fatalf("a crash at %q: %v", i.step, err)
	}
	for group, numbers := range i.numbers {
		holds(t, s, group, numbers...)
	}
	put(t, s, testGroup(999), 999)
	closeStore(t, s)
	for _, name := range []string{compactName, newName} {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("a crash at %q: %s is left (%v)", i.step, name, err)
		}
	}
}

// commitsWait says whether no commit can be made at a step, since the switch is in progress. locked is where it began.
func commitsWait(locked *bool, at step) bool {
	*locked = *locked && at != stepReleased || at == stepLock
	return *locked
}

// Commits go on at every step; a crash at any of them leaves one good file that holds all that was acknowledged.
func TestB43_CrashAtEveryStepOfACompaction(t *testing.T) {
	s := openIn(t, t.TempDir(), Options{noSync: true})
	h := newHistory(t, s, 50)
	storeMuch(t, s)
	var images []image
	seen := make(map[step]int)
	locked := false
	s.faults.step = func(at step) error {
		if seen[at]++; seen[at] > 12 {
			return nil
		}
		if !commitsWait(&locked, at) {
			h.change()
		}
		images = append(images, h.image(at))
		return nil
	}
	compact(t, s)
	s.faults = faults{}
	h.change()
	images = append(images, h.image("end"))
	for _, want := range []step{
		stepCreate, stepPut, stepWrite, stepRested, stepCatchUp, stepSync, stepSynced, stepLock, stepRename, stepRenamed, stepSwitched, stepReleased,
	} {
		if seen[want] == 0 {
			t.Errorf("there was no %q", want)
		}
	}
	for _, i := range images {
		i.check(t)
	}
	for group, numbers := range h.numbers {
		holds(t, s, group, numbers...)
	}
}

// When the power fails, what was written since the last sync may be lost, and the new name may have reached the disk.
func TestB43_PowerCutAtTheSwitch(t *testing.T) {
	s := openIn(t, t.TempDir(), Options{noSync: true})
	h := newHistory(t, s, 20)
	var durable []byte
	var after []image
	locked := false
	s.faults.step = func(at step) error {
		if !commitsWait(&locked, at) {
			h.change()
		}
		switch at {
		case stepSynced:
			durable = fileOf(t, filepath.Join(s.dir, compactName))
		case stepRenamed, stepSwitched:
			i := h.image(at)
			i.files = map[string][]byte{FileName: durable}
			after = append(after, i)
		}
		return nil
	}
	result := compact(t, s)
	if result.Last == 0 || len(after) != 2 {
		t.Fatalf("%d entries were copied while commits waited: nothing is tested here", result.Last)
	}
	for _, i := range after {
		i.check(t)
	}
}

// A step that fails before the switch changes nothing; one that fails behind it ends all claims, and nothing is lost.
func TestB43_CompactionThatFails(t *testing.T) {
	for _, failing := range []step{
		stepCreate, stepPut, stepWrite, stepRested, stepCatchUp, stepSync, stepSynced, stepLock, stepRename, stepRenamed, stepSwitched,
	} {
		t.Run(string(failing), func(t *testing.T) {
			dir := t.TempDir()
			s := openIn(t, dir, Options{noSync: true})
			h := newHistory(t, s, 20)
			storeMuch(t, s)
			inode := statOf(t, filepath.Join(dir, FileName))
			s.faults.step = func(at step) error {
				if at == failing {
					return syscall.ENOSPC
				}
				return nil
			}
			if result, err := s.Compact(context.Background()); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("Compact: %+v, %v", result, err)
			}
			s.faults = faults{}
			if _, err := os.Stat(filepath.Join(dir, compactName)); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("the copy is left (%v)", err)
			}
			if failing == stepRenamed || failing == stepSwitched {
				wantVoid(t, s, &reflect.Batch{Group: testGroup(1), Epoch: h.epochs[testGroup(1)], Key: 1})
				for group := range h.numbers {
					h.epochs[group] = holds(t, s, group, h.numbers[group]...)
				}
			} else if !os.SameFile(inode, statOf(t, filepath.Join(dir, FileName))) {
				t.Fatal("the file was replaced")
			}
			h.change()
			compact(t, s)
			h.change()
			for group, numbers := range h.numbers {
				holds(t, s, group, numbers...)
			}
		})
	}
}

func TestCompactionWithoutRoom(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir, Options{noSync: true})
	for i := range 100 {
		put(t, s, testGroup(1), 3000+i)
	}
	free := int64(compactReserve)
	s.faults.free = func() (int64, error) { return free, nil }
	refused := func() {
		t.Helper()
		if _, err := s.Compact(context.Background()); !errors.Is(err, ErrNoRoom) {
			t.Fatalf("Compact: %v", err)
		}
		if _, err := os.Stat(filepath.Join(dir, compactName)); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("the copy is left (%v)", err)
		}
	}
	refused()
	free = 1 << 30
	s.faults.step = func(at step) error {
		if at == stepWrite {
			free = compactReserve - 1 // others have filled the disk
		}
		return nil
	}
	refused()
	s.faults = faults{}
	compact(t, s)
}

// However much is stored and whatever commits do, little is copied while they wait.
func TestB44_SwitchIsBounded(t *testing.T) {
	s := openIn(t, t.TempDir(), Options{noSync: true})
	const stored = 3 * switchEntries
	group := testGroup(0)
	epoch := claimOf(t, s, group)
	fill := func(n int) {
		t.Helper()
		b := &reflect.Batch{Group: group, Epoch: epoch}
		for i := range n {
			b.Blobs = append(b.Blobs, reflect.Blob{Device: d2m.DeviceID(i), Data: []byte("info")})
		}
		commit(t, s, b)
	}
	fill(stored)
	bursts, locks, puts, locked := 0, 0, 0, false
	s.faults.step = func(at step) error {
		switch at {
		case stepSynced:
			if !locked && bursts < 5 {
				bursts++
				fill(switchEntries + 1)
			}
		case stepLock:
			locked, puts = true, 0
			locks++
		case stepPut:
			puts++
		case stepRename:
			if puts > switchEntries/compactEntries+switchBytes/compactBytes+1 {
				t.Errorf("%d pieces were copied while commits waited", puts)
			}
		}
		return nil
	}
	result := compact(t, s)
	if result.Last > switchEntries || result.Entries < stored || bursts != 5 || locks != 1 {
		t.Fatalf("%+v after %d bursts and %d locks", result, bursts, locks)
	}
	large := make([]byte, switchBytes+1)
	s.faults.step = func(at step) error {
		if at == stepCatchUp || at == stepSynced {
			commit(t, s, &reflect.Batch{Group: group, Epoch: epoch, Blobs: []reflect.Blob{{Shared: true, Data: large}}})
		}
		return nil
	}
	if _, err := s.Compact(context.Background()); !errors.Is(err, ErrBusy) {
		t.Fatalf("Compact: %v", err)
	}
	s.faults = faults{}
	put(t, s, testGroup(1), 1)
	holds(t, s, testGroup(1), 1)
}

func claimOf(t *testing.T, s *Store, group d2m.GroupID) reflect.Epoch {
	t.Helper()
	snapshot, err := s.Claim(group)
	if err != nil {
		t.Fatal(err)
	}
	return snapshot.Epoch
}

// A read transaction of the old file ends in peace; others do not wait for it.
func TestReadAcrossTheSwitch(t *testing.T) {
	s := openIn(t, t.TempDir(), Options{noSync: true})
	b := put(t, s, testGroup(1), 1)
	reading, release := make(chan struct{}), make(chan struct{})
	read := make(chan error)
	go func() {
		read <- s.view(func(tx *bbolt.Tx) error {
			value := tx.Bucket(bucketLog).Get(logKey(b.Key))
			close(reading)
			<-release
			if !bytes.Equal(value, b.Chunk) {
				return errors.New("what is read has changed")
			}
			return nil
		})
	}()
	<-reading
	switched := make(chan struct{})
	s.faults.step = func(at step) error {
		if at == stepSwitched {
			close(switched)
		}
		return nil
	}
	compacted := make(chan error)
	go func() {
		_, err := s.Compact(context.Background())
		compacted <- err
	}()
	<-switched
	put(t, s, testGroup(1), 2)
	holds(t, s, testGroup(1), 1, 2)
	close(release)
	if err := errors.Join(<-read, <-compacted); err != nil {
		t.Fatal(err)
	}
	holds(t, s, testGroup(1), 1, 2)
}

// The old file stays open for somebody who is about to read it.
func TestReadThatBeginsBehindTheSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openIn(t, t.TempDir(), Options{noSync: true})
		put(t, s, testGroup(1), 1)
		file := s.acquire()
		compacted := make(chan error)
		go func() {
			_, err := s.Compact(context.Background())
			compacted <- err
		}()
		time.Sleep(time.Hour)
		put(t, s, testGroup(1), 2)
		if s.file == file {
			t.Fatal("the file is the old one")
		}
		if err := s.viewFile(file, func(*bbolt.Tx) error { return nil }); err != nil {
			t.Fatalf("the old file: %v", err)
		}
		file.users.Done()
		if err := <-compacted; err != nil {
			t.Fatal(err)
		}
		holds(t, s, testGroup(1), 1, 2)
	})
}

// When the file fails while it is copied, the compaction is given up and recovery does its work.
func TestB43_FileFailsDuringACompaction(t *testing.T) {
	for _, failing := range []step{stepPut, stepCatchUp, stepSynced, stepRename, stepRenamed} {
		s := openIn(t, t.TempDir(), Options{noSync: true})
		h := newHistory(t, s, 20)
		once := false
		s.faults.step = func(at step) error {
			if at == failing && !once {
				once = true
				s.mu.Lock()
				s.distrust(s.file, errDisk) // as a read that finds a damaged page
				s.mu.Unlock()
			}
			return nil
		}
		_, err := s.Compact(context.Background())
		if failing != stepRename && failing != stepRenamed && !errors.Is(err, reflect.ErrUnavailable) {
			t.Fatalf("%s: Compact: %v", failing, err)
		}
		s.faults = faults{}
		for group, numbers := range h.numbers {
			h.epochs[group] = holds(t, s, group, numbers...)
		}
		h.change()
		compact(t, s)
		wantNoLeftover(t, s.dir)
		for group, numbers := range h.numbers {
			holds(t, s, group, numbers...)
		}
	}
}

func TestCompactionEndsWithTheStore(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir, Options{noSync: true})
	put(t, s, testGroup(1), 1)
	closed := make(chan struct{})
	s.faults.step = func(at step) error {
		if at == stepCreate {
			go func() { defer close(closed); closeStore(t, s) }()
			<-s.ctx.Done()
		}
		return nil
	}
	if _, err := s.Compact(context.Background()); !errors.Is(err, reflect.ErrUnavailable) {
		t.Fatalf("Compact: %v", err)
	}
	<-closed
	if _, err := s.Compact(context.Background()); !errors.Is(err, reflect.ErrUnavailable) {
		t.Fatalf("Compact of a closed store: %v", err)
	}
	s = openIn(t, dir, Options{noSync: true})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Compact(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("Compact: %v", err)
	}
	holds(t, s, testGroup(1), 1)
}

// A year of days, each with a backlog that comes and goes.
func TestB17_YearOfChurnLeavesTheFileBounded(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir, Options{noSync: true})
	const largest, size = 8, churnBytes // chunks, and bytes of each
	chunk := reflect.NewChunk(testGroup(1), 0)
	for len(chunk.Data) < size {
		chunk.Append(reflect.Message{Envelope: make([]byte, 32<<10)})
	}
	epoch := claimOf(t, s, testGroup(1))
	var largestFile int64
	for day := range 365 {
		var keys []uint64
		for range 1 + day*7%largest {
			b := &reflect.Batch{Group: testGroup(1), Epoch: epoch, Chunk: chunk.Data}
			commit(t, s, b)
			keys = append(keys, b.Key)
		}
		commit(t, s, &reflect.Batch{Group: testGroup(1), Epoch: epoch, Delete: keys, State: []byte("state")})
		if day%7 != 0 {
			largestFile = max(largestFile, statOf(t, filepath.Join(dir, FileName)).Size())
			continue
		}
		compact(t, s)
		if size := statOf(t, filepath.Join(dir, FileName)).Size(); size > 128<<10 {
			t.Fatalf("day %d: the file has %d bytes and nothing is stored", day, size)
		}
	}
	if largestFile > 3*largest*size {
		t.Fatalf("the file has had %d bytes", largestFile)
	}
	if used, _, err := s.Usage(); err != nil || used > 128<<10 {
		t.Fatalf("Usage: %d, %v", used, err)
	}
}

// Usage counts what is stored, not the copy, and not what is free.
func TestUsageThroughACompaction(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir, Options{noSync: true, MaxBytes: 1})
	var b *reflect.Batch
	for range 20 {
		b = put(t, s, testGroup(1), 6_000)
	}
	before, _, err := s.Usage()
	if err != nil {
		t.Fatal(err)
	}
	s.faults.step = func(at step) error {
		if used, limit, err := s.Usage(); err != nil || limit != 1 || used > before+before/4 || used < before/2 {
			t.Errorf("at %q: Usage is %d, %d, %v, before %d", at, used, limit, err, before)
		}
		return nil
	}
	compact(t, s)
	commit(t, s, &reflect.Batch{Group: b.Group, Epoch: b.Epoch, Erase: true})
	s.faults = faults{}
	compact(t, s)
	closeStore(t, s)
	s = openIn(t, dir, Options{MaxBytes: 1})
	if used, _, err := s.Usage(); err != nil || used > before/4 {
		t.Fatalf("Usage is %d, %v", used, err)
	}
}

func TestJournal(t *testing.T) {
	j := newJournal()
	at := func(key string, size int) changedPlace { return changedPlace{place{partLog, key}, size} }
	want := func(entries, bytes int, overflow bool) {
		t.Helper()
		if e, b, o := j.size(); e != entries || b != bytes || o != overflow {
			t.Fatalf("journal has %d entries, %d bytes, overflow %v, want %d, %d, %v", e, b, o, entries, bytes, overflow)
		}
	}
	j.add([]changedPlace{at("a", 1)})
	want(0, 0, false) // it has yet to be copied
	j.reading(partLog)
	j.add([]changedPlace{at("z", 5), at("z", 3), at("b", 2)})
	want(2, 5, false)
	j.read(partLog, "m")
	j.add([]changedPlace{at("n", 1), at("m", 1), {place{partState, "a"}, 1}})
	want(3, 6, false)
	if got := j.take(); len(got) != 3 || got[0].key != "b" || got[1].key != "m" || got[2].key != "z" {
		t.Fatalf("journal gave %v", got)
	}
	want(0, 0, false)
	many := make([]changedPlace, journalLimit+1)
	for i := range many {
		many[i] = at(string(logKey(uint64(i))), 0)
	}
	j.add(many)
	if _, _, overflow := j.size(); !overflow {
		t.Fatal("there is no limit")
	}
}
