package boltstore

import (
	"bytes"
	"flag"
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"openmediator/d2m"
	"openmediator/reflect"
	"openmediator/reflect/storetest"
)

// What the command line says of it comes later, and holds.
func init() { flag.Set("rapid.checks", historyChecks) }

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) (reflect.Store, func() reflect.Store) {
		dir := t.TempDir()
		s := openIn(t, dir, Options{noSync: true})
		return s, func() reflect.Store {
			closeStore(t, s)
			s = openIn(t, dir, Options{noSync: true})
			return s
		}
	})
}

func TestChunkOfAnotherGroup(t *testing.T) {
	s := openIn(t, t.TempDir(), Options{})
	defer func() {
		if recover() == nil {
			t.Fatal("a chunk of another group was taken")
		}
	}()
	s.Commit([]*reflect.Batch{{Group: testGroup(1), Chunk: reflect.NewChunk(testGroup(2), 0).Data}})
}

func TestUsageLimit(t *testing.T) {
	s := openIn(t, t.TempDir(), Options{MaxBytes: 12345})
	if _, limit, err := s.Usage(); limit != 12345 || err != nil {
		t.Fatalf("limit is %d (%v), want what was set", limit, err)
	}
}

// openIn opens a store in a directory. The test closes it at its end.
func openIn(t *testing.T, dir string, options Options) *Store {
	t.Helper()
	s, err := Open(dir, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

func closeStore(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func testGroup(n int) d2m.GroupID { return d2m.GroupID{byte(n), 0xee, 31: byte(n >> 8)} }

func testEnvelope(n int) []byte { return bytes.Repeat(fmt.Appendf(nil, "<%d>", n), 50+n) }

// put claims a group and stores a chunk with the message n, a state and a blob that name it. It returns the batch.
func put(t *testing.T, s *Store, group d2m.GroupID, n int) *reflect.Batch {
	t.Helper()
	snapshot, err := s.Claim(group)
	if err != nil {
		t.Fatalf("Claim: %v", err)
	}
	b := batchOf(group, snapshot.Epoch, n)
	if err := s.Commit([]*reflect.Batch{b})[0]; err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return b
}

func batchOf(group d2m.GroupID, epoch reflect.Epoch, n int) *reflect.Batch {
	chunk := reflect.NewChunk(group, 0)
	chunk.Append(reflect.Message{Place: uint64(n), Envelope: testEnvelope(n)})
	name := fmt.Appendf(nil, "%d", n)
	return &reflect.Batch{Group: group, Epoch: epoch, Chunk: chunk.Data, State: name, Blobs: []reflect.Blob{{Shared: true, Data: name}}}
}

// holds fails the test unless a group holds exactly what put has stored with these numbers, in this order.
func holds(t *testing.T, s *Store, group d2m.GroupID, numbers ...int) reflect.Epoch {
	t.Helper()
	snapshot, err := s.Claim(group)
	if err != nil {
		t.Fatalf("Claim: %v", err)
	}
	var state []byte
	var blobs []reflect.Blob
	if len(numbers) > 0 {
		state = fmt.Appendf(nil, "%d", numbers[len(numbers)-1])
		blobs = []reflect.Blob{{Shared: true, Data: state}}
	}
	if !bytes.Equal(snapshot.State, state) || fmt.Sprint(snapshot.Blobs) != fmt.Sprint(blobs) {
		t.Fatalf("state is %q, blobs are %v, want %q, %v", snapshot.State, snapshot.Blobs, state, blobs)
	}
	var at []reflect.Location
	for _, m := range snapshot.Messages {
		at = append(at, m.At)
	}
	if len(at) != len(numbers) {
		t.Fatalf("there are %d messages, want %d", len(at), len(numbers))
	}
	err = s.Read(group, snapshot.Epoch, at, func(i int, record []byte) error {
		m, err := reflect.ParseRecord(record)
		if err == nil && (m.Place != uint64(numbers[i]) || !bytes.Equal(m.Envelope, testEnvelope(numbers[i]))) {
			err = fmt.Errorf("message %d is number %d, want %d", i, m.Place, numbers[i])
		}
		return err
	})
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	return snapshot.Epoch
}
