package storetest

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"openmediator/d2m"
	"openmediator/reflect"
)

func testOrder(t *testing.T, open Opener) {
	store, reopen := open(t)
	group, other := groupOf(1), groupOf(2)
	epoch, otherEpoch := claim(t, store, group).Epoch, claim(t, store, other).Epoch
	var want, otherWant content
	for i := range 100 {
		m := []reflect.Message{message(1000 - 3*i), message(3 * i)}
		appendMessages(t, store, group, epoch, m...)
		want.messages = append(want.messages, m...)
		if i%2 == 0 {
			appendMessages(t, store, other, otherEpoch, message(i))
			otherWant.messages = append(otherWant.messages, message(i))
		}
	}
	expect(t, store, group, want)
	expect(t, store, other, otherWant)
	store = reopen()
	expect(t, store, group, want)
	expect(t, store, other, otherWant)
}

func testKeys(t *testing.T, open Opener) {
	store, reopen := open(t)
	group := groupOf(1)
	last := uint64(0)
	put := func(epoch reflect.Epoch) {
		t.Helper()
		at := appendMessages(t, store, group, epoch, message(1))
		if at[0].Key <= last {
			t.Fatalf("key %d follows key %d", at[0].Key, last)
		}
		last = at[0].Key
	}
	for range 3 {
		epoch := claim(t, store, group).Epoch
		put(epoch)
		put(epoch)
		epoch = claim(t, store, group).Epoch
		put(epoch)
		commit(t, store, &reflect.Batch{Group: group, Epoch: epoch, Erase: true})
		put(epoch)
		commit(t, store, &reflect.Batch{Group: group, Epoch: epoch, Delete: []uint64{last}})
		store = reopen() // with an empty log
	}
}

func testDelete(t *testing.T, open Opener) {
	store, reopen := open(t)
	group, other := groupOf(1), groupOf(2)
	epoch := claim(t, store, group).Epoch
	var keys []uint64
	for i := range 200 {
		keys = append(keys, appendMessages(t, store, group, epoch, message(i))[0].Key)
	}
	foreign := appendMessages(t, store, other, claim(t, store, other).Epoch, message(5))[0].Key

	// The first ones, one in the middle twice, every third in falling order, one that never was, one of another group.
	gone := append([]uint64{}, keys[:20]...)
	gone = append(gone, keys[90], keys[90], 1<<60, foreign)
	for i := 150; i > 100; i -= 3 {
		gone = append(gone, keys[i])
	}
	commit(t, store, &reflect.Batch{Group: group, Epoch: epoch, Delete: gone})
	commit(t, store, &reflect.Batch{Group: group, Epoch: epoch, Delete: gone})
	var want content
	for i, key := range keys {
		if !slices.Contains(gone, key) {
			want.messages = append(want.messages, message(i))
		}
	}
	expect(t, store, group, want)
	expect(t, store, other, content{messages: []reflect.Message{message(5)}})
	store = reopen()
	expect(t, store, other, content{messages: []reflect.Message{message(5)}})
	epoch = expect(t, store, group, want).Epoch
	commit(t, store, &reflect.Batch{Group: group, Epoch: epoch, Delete: keys})
	expect(t, store, group, content{})
	expect(t, reopen(), group, content{})
}

func testRead(t *testing.T, open Opener) {
	store, reopen := open(t)
	group := groupOf(1)
	epoch := claim(t, store, group).Epoch
	var at []reflect.Location
	var want []reflect.Message
	for i := range 50 { // 2 MiB in all, chunks of one to five messages
		var messages []reflect.Message
		for j := range 1 + i%5 {
			m := message(5*i + j)
			m.Envelope = bytes.Repeat([]byte{byte(i), byte(j)}, 20_000/2-i)
			messages = append(messages, m)
		}
		at = append(at, appendMessages(t, store, group, epoch, messages...)...)
		want = append(want, messages...)
	}
	compare := func(at []reflect.Location, want []reflect.Message) {
		t.Helper()
		for i, m := range read(t, store, group, epoch, at) {
			if !sameMessage(m, want[i]) {
				t.Fatalf("message %d is not what was stored there", i)
			}
		}
	}
	compare(nil, nil)
	compare(at, want)
	compare(at[len(at)-1:], want[len(at)-1:])
	slices.Reverse(at)
	slices.Reverse(want)
	compare(at, want)
	store = reopen()
	epoch = claim(t, store, group).Epoch
	compare(at, want)
}

func testReadMissing(t *testing.T, open Opener) {
	store, _ := open(t)
	group, other := groupOf(1), groupOf(2)
	epoch := claim(t, store, group).Epoch
	at := appendMessages(t, store, group, epoch, message(1), message(2))
	foreign := appendMessages(t, store, other, claim(t, store, other).Epoch, message(3))
	deleted := appendMessages(t, store, group, epoch, message(4))
	commit(t, store, &reflect.Batch{Group: group, Epoch: epoch, Delete: []uint64{deleted[0].Key}})
	past := at[1]
	past.Size++
	far := at[1]
	far.Offset = 1<<32 - 1
	for name, location := range map[string]reflect.Location{
		"deleted": deleted[0], "of another group": foreign[0], "never stored": {Key: 1 << 60, Offset: 32, Size: 36},
		"key 0": {Offset: 32, Size: 36}, "past the end of its chunk": past, "far past the end": far,
	} {
		calls := 0
		err := store.Read(group, epoch, []reflect.Location{at[0], location, at[1]}, func(int, []byte) error {
			calls++
			return nil
		})
		if err == nil || errors.Is(err, reflect.ErrFenced) || errors.Is(err, reflect.ErrUnavailable) || calls > 1 {
			t.Fatalf("Read of what is %s: %v after %d calls", name, err, calls)
		}
	}
	read(t, store, group, epoch, at)
}

func testReadError(t *testing.T, open Opener) {
	store, _ := open(t)
	group := groupOf(1)
	epoch := claim(t, store, group).Epoch
	at := appendMessages(t, store, group, epoch, message(1), message(2), message(3))
	stop := errors.New("enough")
	calls := 0
	err := store.Read(group, epoch, at, func(i int, _ []byte) error {
		if calls++; i == 1 {
			return stop
		}
		return nil
	})
	if err != stop || calls != 2 {
		t.Fatalf("Read returned %v after %d calls", err, calls)
	}
}

func testSizes(t *testing.T, open Opener) {
	store, reopen := open(t)
	group := groupOf(1)
	var messages []reflect.Message
	for _, size := range []int{0, 1, 4000, d2m.MaxEnvelopeSize, 0, d2m.MaxEnvelopeSize - 1} {
		m := message(size)
		m.Envelope = bytes.Repeat([]byte{0xa5}, size)
		messages = append(messages, m)
	}
	epoch := claim(t, store, group).Epoch
	appendMessages(t, store, group, epoch, messages...)
	for _, m := range messages {
		appendMessages(t, store, group, epoch, m)
	}
	appendMessages(t, store, group, epoch) // a chunk without messages
	want := content{messages: append(slices.Clone(messages), messages...)}
	expect(t, store, group, want)
	expect(t, reopen(), group, want)
}

func testDamagedRecord(t *testing.T, open Opener) {
	store, _ := open(t)
	group := groupOf(1)
	data, at := chunkOf(group, message(150), message(151))
	data[len(data)-1] ^= 1
	epoch := claim(t, store, group).Epoch
	key := commit(t, store, &reflect.Batch{Group: group, Epoch: epoch, Chunk: data})
	at[0].Key, at[1].Key = key, key
	var parsed []error
	err := store.Read(group, epoch, at, func(_ int, record []byte) error {
		_, err := reflect.ParseRecord(record)
		parsed = append(parsed, err)
		return nil
	})
	if err != nil || len(parsed) != 2 || parsed[0] != nil || !errors.Is(parsed[1], reflect.ErrDamaged) {
		t.Fatalf("Read: %v, records: %v", err, parsed)
	}
}

func testDamagedChunk(t *testing.T, open Opener) {
	store, reopen := open(t)
	group, other := groupOf(1), groupOf(2)
	data, at := chunkOf(group, message(150), message(151))
	data[at[1].Offset+6] = 0xff // the size of the envelope
	commit(t, store, &reflect.Batch{Group: group, Epoch: claim(t, store, group).Epoch, Chunk: data})
	fill(t, store, other)
	for range 2 {
		_, err := store.Claim(group)
		if err == nil || errors.Is(err, reflect.ErrFenced) || errors.Is(err, reflect.ErrUnavailable) {
			t.Fatalf("Claim of a group with a damaged chunk: %v", err)
		}
		held(t, store, other)
		store = reopen()
	}
}
