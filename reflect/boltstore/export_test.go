package boltstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"openmediator/reflect"
)

// entriesIn returns what a file holds, by place, and the last key given.
func entriesIn(t *testing.T, path string) (all map[place]string, lastKey uint64) {
	t.Helper()
	all = make(map[place]string)
	change(t, path, func(tx *bbolt.Tx) error {
		lastKey = tx.Bucket(bucketLog).Sequence()
		for p := range parts {
			err := tx.Bucket(p.bucket()).ForEach(func(key, value []byte) error {
				all[place{p, string(key)}] = string(value)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return all, lastKey
}

// exported returns the pieces of an export, which while may disturb.
func exported(t *testing.T, s *Store, while func()) (pieces [][]byte, done Exported) {
	t.Helper()
	done, err := s.Export(context.Background(), func(piece []byte) error {
		pieces = append(pieces, bytes.Clone(piece))
		while()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return pieces, done
}

// imported makes a store of pieces in a new directory.
func imported(t *testing.T, pieces [][]byte, lastKey uint64, made, now time.Time) (dir string) {
	t.Helper()
	dir = t.TempDir()
	i, err := NewImport(dir, schemaVersion)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Abort()
	for _, piece := range pieces {
		if err := i.Add(piece); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := i.Finish(lastKey, made, now); err != nil {
		t.Fatal(err)
	}
	return dir
}

// What is imported is what was stored, and the keys go on where they were.
func TestExportAndImport(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir, Options{noSync: true})
	for i := range 1500 {
		b := put(t, s, testGroup(i%100), i)
		if i%5 == 0 {
			commit(t, s, &reflect.Batch{Group: b.Group, Epoch: b.Epoch, Delete: []uint64{b.Key}})
		}
	}
	pieces, done := exported(t, s, func() {})
	if len(pieces) < 3 || done.Pieces != len(pieces) {
		t.Errorf("%d pieces, said to be %d: too few to test anything", len(pieces), done.Pieces)
	}
	closeStore(t, s)
	copied := imported(t, pieces, done.LastKey, time.Now(), time.Now())
	want, wantKey := entriesIn(t, filepath.Join(dir, FileName))
	got, gotKey := entriesIn(t, filepath.Join(copied, FileName))
	if !maps.Equal(got, want) || gotKey != wantKey {
		t.Errorf("%d entries, last key %d; want %d and %d", len(got), gotKey, len(want), wantKey)
	}
	s = openIn(t, copied, Options{noSync: true})
	if b := put(t, s, testGroup(1), 5000); b.Key != wantKey+1 {
		t.Errorf("the next key is %d after %d", b.Key, wantKey)
	}
}

// What commits change while it is exported is in it as it was at one moment: two groups that are always changed together do not
// differ.
func TestExportIsOfOneMoment(t *testing.T) {
	s := openIn(t, t.TempDir(), Options{noSync: true})
	first, last := testGroup(0), testGroup(255)
	for i := range 254 {
		for n := range 8 {
			put(t, s, testGroup(i+1), 300+n)
		}
	}
	firstEpoch, lastEpoch := put(t, s, first, 0).Epoch, put(t, s, last, 0).Epoch
	n, catchingUp, over := 0, false, false
	s.faults.step = func(reached step) error {
		catchingUp = catchingUp || reached == stepCatchUp
		return nil
	}
	together := func() {
		if over {
			return
		}
		over = catchingUp // what is committed now is found when commits wait
		n++
		for _, err := range s.Commit([]*reflect.Batch{batchOf(first, firstEpoch, n), batchOf(last, lastEpoch, n)}) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	together()
	pieces, done := exported(t, s, together)
	if done.Rounds == 0 || n < 4 {
		t.Errorf("%d commits, %d rounds: nothing is tested here", n, done.Rounds)
	}
	got, _ := entriesIn(t, filepath.Join(imported(t, pieces, done.LastKey, time.Now(), time.Now()), FileName))
	state := func(group []byte) string { return got[place{partState, string(group)}] }
	if want := fmt.Sprint(n); state(first[:]) != want || state(last[:]) != want {
		t.Errorf("the groups have %q and %q, want %s", state(first[:]), state(last[:]), want)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.journal != nil {
		t.Error("changes are noted for ever")
	}
}

// An export that comes to no end leaves nothing behind, and the store can be compacted.
func TestExportEnds(t *testing.T) {
	s := openIn(t, t.TempDir(), Options{noSync: true})
	put(t, s, testGroup(1), 1)
	wrong := errors.New("disk full")
	ctx, cancel := context.WithCancel(context.Background())
	if _, err := s.Export(ctx, func([]byte) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("emit fails: %v", err)
	}
	_, err := s.Export(ctx, func([]byte) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the context ends: %v", err)
	}
	compact(t, s)
	holds(t, s, testGroup(1), 1)
	closeStore(t, s)
	if _, err := s.Export(context.Background(), nil); !errors.Is(err, reflect.ErrUnavailable) {
		t.Errorf("closed: %v", err)
	}
}

// FuzzPiece: what can be read is what would be written.
func FuzzPiece(f *testing.F) {
	for _, e := range []entry{
		{place{partState, string(make([]byte, groupSize))}, []byte("state")},
		{place{partBlobs, string(append(make([]byte, groupSize), blobShared))}, []byte{}},
		{place{partLog, string(logKey(7))}, nil},
	} {
		f.Add(appendEntry(nil, &e))
	}
	f.Fuzz(func(t *testing.T, piece []byte) {
		entries, err := parsePiece(piece)
		if err != nil {
			return
		}
		var again []byte
		for i := range entries {
			again = appendEntry(again, &entries[i])
		}
		back, err := parsePiece(again)
		if err != nil || len(again) > len(piece) || !slices.EqualFunc(back, entries, func(a, b entry) bool {
			return a.place == b.place && bytes.Equal(a.value, b.value) && (a.value == nil) == (b.value == nil)
		}) {
			t.Fatalf("%x is read as %v, and then as %v (%v)", piece, entries, back, err)
		}
		_ = new(Content).Add(piece)
	})
}

func TestVerify(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir, Options{noSync: true})
	for i := range 20 {
		putSound(t, s, i)
	}
	if _, err := Verify(dir); !errors.Is(err, ErrInUse) {
		t.Errorf("in use: %v", err)
	}
	closeStore(t, s)
	path := filepath.Join(dir, FileName)
	before, info := fileOf(t, path), statOf(t, path)
	tally, err := Verify(dir)
	if want := (Tally{Groups: 20, Devices: 40, Messages: 20, Bytes: 20 * int64(len(testEnvelope(1)))}); tally != want || err != nil {
		t.Errorf("%+v, %v; want %+v", tally, err, want)
	}
	changed := testEnvelope(1)
	changed[10] ^= 1
	write(t, path, bytes.ReplaceAll(before, testEnvelope(1), changed))
	if tally, err := Verify(dir); tally.Damaged != 20 || tally.Messages != 0 || err != nil {
		t.Errorf("a bit of each message is changed: %+v, %v", tally, err)
	}
	write(t, path, before[:len(before)/2/4096*4096])
	if _, err := Verify(dir); err == nil {
		t.Error("half of the file is gone, and nobody sees it")
	}
	write(t, path, before)
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(dir); err != nil || !statOf(t, path).ModTime().Equal(info.ModTime()) || !bytes.Equal(fileOf(t, path), before) {
		t.Errorf("the file has been touched (%v)", err)
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// putSound stores a group with a state that can be read, two slots, and a message of the same size for each.
func putSound(t *testing.T, s *Store, n int) {
	t.Helper()
	group := testGroup(n)
	snapshot, err := s.Claim(group)
	if err != nil {
		t.Fatal(err)
	}
	chunk := reflect.NewChunk(group, 0)
	chunk.Append(reflect.Message{Place: 7, Timestamp: 1000, Sender: 1, Envelope: testEnvelope(1)})
	commit(t, s, &reflect.Batch{Group: group, Epoch: snapshot.Epoch, Chunk: chunk.Data, State: soundState(n)})
}

func soundState(n int) []byte {
	state := reflect.State{LastTimestamp: uint64(n), Bound: 1024, Slots: []reflect.SlotState{
		{Device: 1, Confirmed: true, First: 1, Next: 1}, {Device: 2, Connected: true, First: 1, Next: 1},
	}}
	return state.Append(nil)
}
