package storetest

import (
	"bytes"
	"errors"
	"testing"

	"openmediator/d2m"
	"openmediator/reflect"
)

func testState(t *testing.T, open Opener) {
	store, reopen := open(t)
	group := groupOf(1)
	epoch := claim(t, store, group).Epoch
	commit(t, store, &reflect.Batch{Group: group, Epoch: epoch, State: bytes.Repeat([]byte("long"), 5000)})
	commit(t, store, &reflect.Batch{Group: group, Epoch: epoch, State: []byte("short"), Blobs: []reflect.Blob{{Shared: true, Data: []byte("one")}}})
	commit(t, store, &reflect.Batch{Group: group, Epoch: epoch, Blobs: []reflect.Blob{{Shared: true, Data: []byte("two")}}})
	commit(t, store, &reflect.Batch{Group: group, Epoch: epoch})
	want := content{state: []byte("short"), blobs: []reflect.Blob{{Shared: true, Data: []byte("two")}}}
	expect(t, store, group, want)
	expect(t, reopen(), group, want)
}

func testBlobs(t *testing.T, open Opener) {
	store, reopen := open(t)
	// Ids whose order as numbers differs from that of most encodings.
	devices := []d2m.DeviceID{0, 1, 255, 256, 1 << 32, 1<<64 - 1}
	group, neighbour := groupOf(1), groupOf(257)
	epoch := claim(t, store, group).Epoch
	var batch []reflect.Blob
	for _, device := range devices {
		batch = append([]reflect.Blob{{Device: device, Data: []byte{byte(device), 1}}}, batch...)
	}
	batch = append(batch, reflect.Blob{Shared: true, Data: []byte{}})
	commit(t, store, &reflect.Batch{Group: group, Epoch: epoch, Blobs: batch})
	commit(t, store, &reflect.Batch{Group: neighbour, Epoch: claim(t, store, neighbour).Epoch, Blobs: []reflect.Blob{{Device: 7, Data: []byte("n")}}})

	want := content{blobs: []reflect.Blob{{Shared: true, Data: []byte{}}}}
	for _, device := range devices {
		want.blobs = append(want.blobs, reflect.Blob{Device: device, Data: []byte{byte(device), 1}})
	}
	epoch = expect(t, store, group, want).Epoch

	commit(t, store, &reflect.Batch{Group: group, Epoch: epoch, Blobs: []reflect.Blob{
		{Shared: true}, {Device: 255}, {Device: 256, Data: []byte{}}, {Device: 12345},
		{Device: 1, Data: []byte("passing")}, {Device: 1},
	}})
	want.blobs = []reflect.Blob{
		{Device: 0, Data: []byte{0, 1}}, {Device: 256, Data: []byte{}}, {Device: 1 << 32, Data: []byte{0, 1}},
		{Device: 1<<64 - 1, Data: []byte{255, 1}},
	}
	expect(t, store, group, want)
	store = reopen()
	expect(t, store, group, want)
	expect(t, store, neighbour, content{blobs: []reflect.Blob{{Device: 7, Data: []byte("n")}}})
}

func testErase(t *testing.T, open Opener) {
	store, reopen := open(t)
	group, neighbour := groupOf(1), groupOf(2)
	for _, g := range []d2m.GroupID{group, neighbour} {
		fill(t, store, g)
	}
	before, _ := held(t, store, neighbour)
	epoch := claim(t, store, group).Epoch
	commit(t, store, &reflect.Batch{Group: group, Epoch: epoch, Erase: true})
	commit(t, store, &reflect.Batch{Group: group, Epoch: epoch, Erase: true})
	expect(t, store, group, content{})
	countGroups(t, store, 1)
	store = reopen()
	expect(t, store, group, content{})
	expect(t, store, neighbour, before)
	countGroups(t, store, 1)
}

func testEraseThenPut(t *testing.T, open Opener) {
	store, reopen := open(t)
	group := groupOf(1)
	at := fill(t, store, group)
	data, _ := chunkOf(group, message(77))
	commit(t, store, &reflect.Batch{
		Group: group, Epoch: claim(t, store, group).Epoch, Erase: true, Delete: []uint64{at[0].Key}, Chunk: data,
		Blobs: []reflect.Blob{{Device: 5, Data: []byte("afresh")}},
	})
	want := content{blobs: []reflect.Blob{{Device: 5, Data: []byte("afresh")}}, messages: []reflect.Message{message(77)}}
	expect(t, store, group, want)
	expect(t, reopen(), group, want)
}

// fill gives a group some of everything and returns where its messages are.
func fill(t tb, store reflect.Store, group d2m.GroupID) (at []reflect.Location) {
	t.Helper()
	epoch := claim(t, store, group).Epoch
	commit(t, store, &reflect.Batch{Group: group, Epoch: epoch, State: []byte("state"), Blobs: []reflect.Blob{
		{Shared: true, Data: []byte("shared")}, {Device: 1, Data: []byte("one")}, {Device: 2, Data: []byte{}},
	}})
	for i := range 5 {
		at = append(at, appendMessages(t, store, group, epoch, message(10*i), message(10*i+1))...)
	}
	return at
}

func testOwnership(t *testing.T, open Opener) {
	store, _ := open(t)
	group := groupOf(1)
	data, at := chunkOf(group, message(150))
	state, info, deleted := []byte("state"), []byte("info"), []uint64{9, 3, 7}
	b := &reflect.Batch{Group: group, Epoch: claim(t, store, group).Epoch, Delete: deleted, Chunk: data, State: state,
		Blobs: []reflect.Blob{{Device: 1, Data: info}}}
	at[0].Key = commit(t, store, b)
	if deleted[0] != 9 || deleted[1] != 3 || deleted[2] != 7 {
		t.Fatalf("Commit has changed the batch: %v", deleted)
	}
	for _, mine := range [][]byte{data, state, info} {
		clear(mine)
	}
	want := content{state: []byte("state"), blobs: []reflect.Blob{{Device: 1, Data: []byte("info")}}, messages: []reflect.Message{message(150)}}
	snapshot := expect(t, store, group, want)
	clear(snapshot.State)
	clear(snapshot.Blobs[0].Data)
	expect(t, store, group, want)
}

func testGroups(t *testing.T, open Opener) {
	store, reopen := open(t)
	const groups = 1000 // more than a store would read in one piece
	batches := make([]*reflect.Batch, groups)
	for i := range batches {
		group := groupOf(i)
		batches[i] = &reflect.Batch{Group: group, Epoch: claim(t, store, group).Epoch, State: group[:2]}
	}
	for _, err := range store.Commit(batches) {
		if err != nil {
			t.Fatalf("Commit: %v", err)
		}
	}
	countGroups(t, store, groups)
	store = reopen()
	countGroups(t, store, groups)

	stop := errors.New("enough")
	calls := 0
	err := store.Groups(func(d2m.GroupID, []byte) error {
		if calls++; calls == groups/2 {
			return stop
		}
		return nil
	})
	if err != stop || calls != groups/2 {
		t.Fatalf("Groups returned %v after %d calls", err, calls)
	}
}

// countGroups checks that Groups lists so many groups, each once. A state of two bytes is the beginning of its group's id.
func countGroups(t tb, store reflect.Store, want int) {
	t.Helper()
	seen := make(map[d2m.GroupID]bool)
	err := store.Groups(func(group d2m.GroupID, state []byte) error {
		if seen[group] {
			t.Fatalf("Groups lists group %x twice", group)
		}
		seen[group] = true
		if len(state) == 0 || len(state) == 2 && !bytes.HasPrefix(group[:], state) {
			t.Fatalf("Groups lists group %x with state %q", group, state)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("Groups: %v", err)
	}
	if len(seen) != want {
		t.Fatalf("Groups lists %d groups, want %d", len(seen), want)
	}
}

func testUsage(t *testing.T, open Opener) {
	store, _ := open(t)
	before, _, err := store.Usage()
	if err != nil {
		t.Fatalf("Usage: %v", err)
	}
	group := groupOf(1)
	epoch := claim(t, store, group).Epoch
	big := reflect.Message{Envelope: make([]byte, d2m.MaxEnvelopeSize)}
	at := appendMessages(t, store, group, epoch, big, big, big, big)
	const bytes = 4 * d2m.MaxEnvelopeSize
	full, _, err := store.Usage()
	if err != nil || full < before+bytes || full > before+2*bytes {
		t.Fatalf("Usage went from %d to %d (%v) with %d bytes of envelopes", before, full, err, bytes)
	}
	commit(t, store, &reflect.Batch{Group: group, Epoch: epoch, Delete: []uint64{at[0].Key}})
	commit(t, store, &reflect.Batch{Group: group, Epoch: epoch})
	if after, _, err := store.Usage(); err != nil || after > full-bytes/2 {
		t.Fatalf("Usage went from %d to %d (%v) when %d bytes were deleted", full, after, err, bytes)
	}
}
