// Package storetest is the suite that every reflect.Store passes.
//
//	func TestStore(t *testing.T) { storetest.Run(t, open) }
//
// It checks what the interface promises and can be seen from outside: claims and epochs, batches as a whole and in the
// order of their parts, chunks and their keys, blobs, reads, what a store shows that is opened again, use by many
// goroutines, and random histories against a naive model. That what is answered is on disk, and what happens when the disk
// fails, is for the store's own tests.
package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"openmediator/d2m"
	"openmediator/reflect"
)

// Opener makes an empty store for a test. reopen closes the store it gave last and opens what that one held.
type Opener func(t *testing.T) (store reflect.Store, reopen func() reflect.Store)

// Run runs the suite.
func Run(t *testing.T, open Opener) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, open Opener)
	}{
		{"claim of a group that does not exist", testClaimOfNothing},
		{"claim fences earlier ones", testFencing},
		{"release", testRelease},
		{"B14 state and blobs are what was written last", testState},
		{"blobs: nil deletes, empty is a value", testBlobs},
		{"B14 messages in the order of appending", testOrder},
		{"B15 keys rise and are never used again", testKeys},
		{"B17 what is deleted is gone", testDelete},
		{"B34 erase", testErase},
		{"erase, then put in the same batch", testEraseThenPut},
		{"many groups in one commit, one fenced", testMixedResults},
		{"what is handed over stays the caller's", testOwnership},
		{"read across chunks", testRead},
		{"read of what is not there", testReadMissing},
		{"read stops at the first error", testReadError},
		{"records of every size", testSizes},
		{"damaged record", testDamagedRecord},
		{"damaged chunk", testDamagedChunk},
		{"groups", testGroups},
		{"usage", testUsage},
		{"B15 reopen shows exactly what was committed", testReopen},
		{"closed", testClosed},
		{"many goroutines", testConcurrent},
		{"many writers of one group", testContest},
		{"random histories", testHistories},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open) })
	}
}

// tb is what tests and property tests have in common.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
}

func groupOf(n int) d2m.GroupID {
	return d2m.GroupID{byte(n), byte(n >> 8), 0xfe, 31: byte(n)}
}

// chunkOf returns the data of a chunk that holds the messages, and where they are in it.
func chunkOf(group d2m.GroupID, messages ...reflect.Message) ([]byte, []reflect.Location) {
	chunk := reflect.NewChunk(group, 0)
	at := make([]reflect.Location, len(messages))
	for i, m := range messages {
		at[i] = chunk.Append(m)
	}
	return chunk.Data, at
}

// message returns a message that is told from others by n.
func message(n int) reflect.Message {
	return reflect.Message{
		Lock:      uint32(n % 3),
		Place:     uint64(n) + 1<<32,
		Timestamp: uint64(n) * 1000,
		Sender:    d2m.DeviceID(n) << 40,
		Envelope:  bytes.Repeat([]byte{byte(n)}, n%200),
	}
}

func claim(t tb, store reflect.Store, group d2m.GroupID) *reflect.Snapshot {
	t.Helper()
	snapshot, err := store.Claim(group)
	if err != nil {
		t.Fatalf("Claim: %v", err)
	}
	if snapshot.Epoch == 0 {
		t.Fatalf("Claim gave epoch 0")
	}
	return snapshot
}

// commit stores one batch and returns the key of its chunk.
func commit(t tb, store reflect.Store, b *reflect.Batch) uint64 {
	t.Helper()
	if results := store.Commit([]*reflect.Batch{b}); len(results) != 1 || results[0] != nil {
		t.Fatalf("Commit: %v", results)
	}
	return b.Key
}

// appendMessages stores messages as one chunk and returns where they are.
func appendMessages(t tb, store reflect.Store, group d2m.GroupID, epoch reflect.Epoch, messages ...reflect.Message) []reflect.Location {
	t.Helper()
	data, at := chunkOf(group, messages...)
	key := commit(t, store, &reflect.Batch{Group: group, Epoch: epoch, Chunk: data})
	for i := range at {
		at[i].Key = key
	}
	return at
}

// read returns the messages at the locations, envelopes included.
func read(t tb, store reflect.Store, group d2m.GroupID, epoch reflect.Epoch, at []reflect.Location) []reflect.Message {
	t.Helper()
	var messages []reflect.Message
	err := store.Read(group, epoch, at, func(i int, record []byte) error {
		if i != len(messages) {
			t.Fatalf("Read: record %d comes as number %d", i, len(messages))
		}
		m, err := reflect.ParseRecord(bytes.Clone(record))
		messages = append(messages, m)
		return err
	})
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	if len(messages) != len(at) {
		t.Fatalf("Read gave %d records, want %d", len(messages), len(at))
	}
	return messages
}

// content is all that a store holds of a group.
type content struct {
	state    []byte
	blobs    []reflect.Blob
	messages []reflect.Message
}

// held claims a group and returns all of it.
func held(t tb, store reflect.Store, group d2m.GroupID) (content, *reflect.Snapshot) {
	t.Helper()
	snapshot := claim(t, store, group)
	at := make([]reflect.Location, len(snapshot.Messages))
	for i, m := range snapshot.Messages {
		at[i] = m.At
	}
	c := content{snapshot.State, snapshot.Blobs, read(t, store, group, snapshot.Epoch, at)}
	for i, m := range snapshot.Messages {
		if m.Message.Envelope != nil || m.Envelope != len(c.messages[i].Envelope) {
			t.Fatalf("snapshot says that message %d has %d bytes, it has %d", i, m.Envelope, len(c.messages[i].Envelope))
		}
		m.Message.Envelope = c.messages[i].Envelope
		if !sameMessage(m.Message, c.messages[i]) {
			t.Fatalf("snapshot says of message %d: %+v, it is %+v", i, m.Message, c.messages[i])
		}
	}
	return c, snapshot
}

// expect fails the test if a group holds anything but what is wanted.
func expect(t tb, store reflect.Store, group d2m.GroupID, want content) *reflect.Snapshot {
	t.Helper()
	got, snapshot := held(t, store, group)
	expectPeek(t, store, group, snapshot)
	if !bytes.Equal(got.state, want.state) || (got.state == nil) != (want.state == nil) {
		t.Fatalf("state is %q, want %q", got.state, want.state)
	}
	if len(got.blobs) != len(want.blobs) {
		t.Fatalf("blobs are %v, want %v", got.blobs, want.blobs)
	}
	for i, b := range got.blobs {
		w := want.blobs[i]
		if b.Shared != w.Shared || b.Device != w.Device || b.Data == nil || !bytes.Equal(b.Data, w.Data) {
			t.Fatalf("blob %d is %+v, want %+v", i, b, w)
		}
	}
	if len(got.messages) != len(want.messages) {
		t.Fatalf("there are %d messages, want %d", len(got.messages), len(want.messages))
	}
	for i, m := range got.messages {
		if !sameMessage(m, want.messages[i]) {
			t.Fatalf("message %d is %+v, want %+v", i, m, want.messages[i])
		}
	}
	return snapshot
}

// expectPeek fails the test if a peek does not see what a claim has found, or fences it.
func expectPeek(t tb, store reflect.Store, group d2m.GroupID, want *reflect.Snapshot) {
	t.Helper()
	got, err := store.Peek(group)
	if err != nil || got.Epoch != 0 {
		t.Fatalf("Peek: epoch %d, %v", got.Epoch, err)
	}
	withEpoch := *got
	withEpoch.Epoch = want.Epoch
	if got, want := fmt.Sprintf("%+v", withEpoch), fmt.Sprintf("%+v", *want); got != want {
		t.Fatalf("Peek sees %s, Claim saw %s", got, want)
	}
}

func sameMessage(a, b reflect.Message) bool {
	same := bytes.Equal(a.Envelope, b.Envelope)
	a.Envelope, b.Envelope = nil, nil
	return same && a.Lock == b.Lock && a.Place == b.Place && a.Timestamp == b.Timestamp && a.Sender == b.Sender
}

// wantError fails the test if a commit of one batch and a read do not answer with an error.
func wantError(t tb, store reflect.Store, group d2m.GroupID, epoch reflect.Epoch, want error) {
	t.Helper()
	results := store.Commit([]*reflect.Batch{{Group: group, Epoch: epoch, State: []byte("never")}})
	if len(results) != 1 || !errors.Is(results[0], want) {
		t.Fatalf("Commit: %v, want %v", results, want)
	}
	err := store.Read(group, epoch, []reflect.Location{{Key: 1, Size: 36}}, func(int, []byte) error { return nil })
	if !errors.Is(err, want) {
		t.Fatalf("Read: %v, want %v", err, want)
	}
}
