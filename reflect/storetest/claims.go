package storetest

import (
	"errors"
	"testing"

	"openmediator/reflect"
)

func testClaimOfNothing(t *testing.T, open Opener) {
	store, reopen := open(t)
	expect(t, store, groupOf(1), content{})
	countGroups(t, store, 0)
	store = reopen()
	expect(t, store, groupOf(1), content{})
	countGroups(t, store, 0)
}

func testFencing(t *testing.T, open Opener) {
	store, _ := open(t)
	group, other := groupOf(1), groupOf(2)
	first := claim(t, store, group)
	bystander := claim(t, store, other)
	commit(t, store, &reflect.Batch{Group: group, Epoch: first.Epoch, State: []byte("first")})
	second := claim(t, store, group)
	if second.Epoch <= first.Epoch {
		t.Fatalf("epoch %d follows %d", second.Epoch, first.Epoch)
	}
	wantError(t, store, group, first.Epoch, reflect.ErrFenced)
	wantError(t, store, group, second.Epoch+100, reflect.ErrFenced)
	wantError(t, store, group, 0, reflect.ErrFenced)
	wantError(t, store, groupOf(3), second.Epoch, reflect.ErrFenced)
	commit(t, store, &reflect.Batch{Group: group, Epoch: second.Epoch, State: []byte("second")})
	commit(t, store, &reflect.Batch{Group: other, Epoch: bystander.Epoch, State: []byte("other")})
	expect(t, store, group, content{state: []byte("second")})
	expect(t, store, other, content{state: []byte("other")})
}

func testRelease(t *testing.T, open Opener) {
	store, _ := open(t)
	group := groupOf(1)
	first := claim(t, store, group)
	commit(t, store, &reflect.Batch{Group: group, Epoch: first.Epoch, State: []byte("kept")})
	store.Release(group, first.Epoch)
	wantError(t, store, group, first.Epoch, reflect.ErrFenced)

	second := claim(t, store, group)
	if second.Epoch <= first.Epoch {
		t.Fatalf("epoch %d follows %d", second.Epoch, first.Epoch)
	}
	store.Release(group, first.Epoch)
	store.Release(groupOf(2), second.Epoch)
	commit(t, store, &reflect.Batch{Group: group, Epoch: second.Epoch, Blobs: []reflect.Blob{{Device: 1, Data: []byte("info")}}})
	expect(t, store, group, content{state: []byte("kept"), blobs: []reflect.Blob{{Device: 1, Data: []byte("info")}}})
}

func testMixedResults(t *testing.T, open Opener) {
	store, reopen := open(t)
	const groups = 300
	batches := make([]*reflect.Batch, groups)
	for i := range batches {
		group := groupOf(i)
		data, _ := chunkOf(group, message(i))
		batches[i] = &reflect.Batch{Group: group, Epoch: claim(t, store, group).Epoch, Chunk: data, State: []byte{byte(i)}}
	}
	lost := map[int]bool{0: true, 137: true, groups - 1: true}
	for i := range lost {
		claim(t, store, groupOf(i))
	}
	results := store.Commit(batches)
	if len(results) != groups {
		t.Fatalf("Commit of %d batches gave %d results", groups, len(results))
	}
	for i, err := range results {
		if lost[i] && err != reflect.ErrFenced || !lost[i] && err != nil {
			t.Fatalf("Commit of batch %d: %v", i, err)
		}
	}
	check := func() {
		t.Helper()
		for i := range batches {
			want := content{}
			if !lost[i] {
				want = content{state: []byte{byte(i)}, messages: []reflect.Message{message(i)}}
			}
			expect(t, store, groupOf(i), want)
		}
		countGroups(t, store, groups-len(lost))
	}
	check()
	store = reopen()
	check()
}

func testClosed(t *testing.T, open Opener) {
	store, _ := open(t)
	group := groupOf(1)
	snapshot := claim(t, store, group)
	if err := store.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	wantError(t, store, group, snapshot.Epoch, reflect.ErrUnavailable)
	store.Release(group, snapshot.Epoch)
	if _, err := store.Claim(group); err == nil {
		t.Fatalf("Claim after Close: no error")
	}
	if _, err := store.Peek(groupOf(1)); !errors.Is(err, reflect.ErrUnavailable) {
		t.Fatalf("Peek after Close: %v", err)
	}
	if err := store.Groups(nil); err == nil {
		t.Fatalf("Groups after Close: no error")
	}
	if _, _, err := store.Usage(); err == nil {
		t.Fatalf("Usage after Close: no error")
	}
	if err := store.Close(); err != nil {
		t.Fatalf("second Close: %v", err)
	}
}
