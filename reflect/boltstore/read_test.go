package boltstore

import (
	"bytes"
	"testing"

	"openmediator/d2m"
	"openmediator/reflect"
)

// While a callback takes its time, others commit so much that the file has to be mapped anew. What the callback was given
// stays what it was.
func TestCallbacksHoldUpNobody(t *testing.T) {
	s := openIn(t, t.TempDir(), Options{noSync: true})
	b := put(t, s, testGroup(1), 1)
	put(t, s, testGroup(2), 2)
	epoch := claimOf(t, s, testGroup(3))
	grow := func(by int) {
		committed := make(chan struct{})
		go func() {
			defer close(committed)
			for range by {
				commit(t, s, batchOf(testGroup(3), epoch, 5000)) // 30 kB
			}
		}()
		<-committed
	}
	grow(10)
	at := []reflect.Location{{Key: b.Key, Offset: 32, Size: uint32(len(b.Chunk)) - 32}}
	err := s.Read(b.Group, b.Epoch, at, func(_ int, record []byte) error {
		before := bytes.Clone(record)
		grow(30)
		if !bytes.Equal(before, record) || !bytes.Equal(before, b.Chunk[32:]) {
			t.Error("the record has changed")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Groups(func(group d2m.GroupID, state []byte) error {
		before := bytes.Clone(state)
		grow(60)
		if !bytes.Equal(before, state) {
			t.Error("the state has changed")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestReadInPieces(t *testing.T) {
	sizes := []uint32{1, pieceBytes, 1, pieceBytes - 1, 1, 1, reflect.MaxRecordSize, reflect.MaxRecordSize, 3 * pieceBytes, 36}
	want := []int{1, 1, 2, 3, 1, 1, 1}
	var at []reflect.Location
	for _, size := range sizes {
		at = append(at, reflect.Location{Size: size})
	}
	for i := 0; len(at) > 0; i++ {
		n := pieceOf(at)
		if i >= len(want) || n != want[i] {
			t.Fatalf("piece %d has %d records, want %v", i, n, want)
		}
		at = at[n:]
	}
}

// A claim that is answered with an error leaves nothing behind.
func TestClaimThatFails(t *testing.T) {
	s := openIn(t, t.TempDir(), Options{})
	group := testGroup(1)
	snapshot, err := s.Claim(group)
	if err != nil {
		t.Fatal(err)
	}
	b := batchOf(group, snapshot.Epoch, 1)
	b.Chunk = append(b.Chunk, 0)
	if err := s.Commit([]*reflect.Batch{b})[0]; err != nil {
		t.Fatal(err)
	}
	if _, err := s.Claim(group); err == nil {
		t.Fatal("a group with a damaged chunk was claimed")
	}
	if len(s.claims) != 0 {
		t.Fatalf("%d claims are in force", len(s.claims))
	}
}
