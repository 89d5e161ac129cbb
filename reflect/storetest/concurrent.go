package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"openmediator/d2m"
	"openmediator/reflect"
)

// testConcurrent lets goroutines work on groups of their own: commit two groups per call, read, delete, claim again.
func testConcurrent(t *testing.T, open Opener) {
	store, reopen := open(t)
	const goroutines, rounds = 8, 20
	var running sync.WaitGroup
	failed := make(chan error, goroutines)
	for g := range goroutines {
		running.Go(func() {
			if err := work(store, 2*g, 2*g+1, rounds); err != nil {
				failed <- err
			}
		})
	}
	running.Go(func() {
		for range rounds {
			store.Groups(func(d2m.GroupID, []byte) error { return nil })
			store.Usage()
		}
	})
	running.Wait()
	close(failed)
	for err := range failed {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		for i := range 2 * goroutines {
			want := content{state: []byte{rounds - 1, 0, 0}}
			for n := rounds / 2; n < rounds; n++ {
				want.messages = append(want.messages, message(n))
			}
			expect(t, store, groupOf(i), want)
		}
	}
	check()
	store = reopen()
	check()
}

// work appends a message to two groups in each round and deletes what is older than half the rounds.
func work(store reflect.Store, first, second, rounds int) error {
	groups := []d2m.GroupID{groupOf(first), groupOf(second)}
	epochs := make([]reflect.Epoch, len(groups))
	kept := make([][]reflect.Location, len(groups))
	for n := range rounds {
		batches := make([]*reflect.Batch, len(groups))
		var at []reflect.Location
		for i, group := range groups {
			if n%7 == 0 {
				snapshot, err := store.Claim(group)
				if err != nil {
					return fmt.Errorf("claim: %w", err)
				}
				if len(snapshot.Messages) != len(kept[i]) {
					return fmt.Errorf("claim found %d messages, want %d", len(snapshot.Messages), len(kept[i]))
				}
				epochs[i] = snapshot.Epoch
			}
			data, locations := chunkOf(group, message(n))
			at = append(at, locations...)
			batches[i] = &reflect.Batch{Group: group, Epoch: epochs[i], Chunk: data, State: []byte{byte(n), 0, 0}}
			if len(kept[i]) == rounds/2 {
				batches[i].Delete = []uint64{kept[i][0].Key}
				kept[i] = kept[i][1:]
			}
		}
		if err := errors.Join(store.Commit(batches)...); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		for i, group := range groups {
			at[i].Key = batches[i].Key
			kept[i] = append(kept[i], at[i])
			err := store.Read(group, epochs[i], kept[i], func(_ int, record []byte) error {
				_, err := reflect.ParseRecord(record)
				return err
			})
			if err != nil {
				return fmt.Errorf("read: %w", err)
			}
		}
	}
	return nil
}

// testContest lets goroutines claim one group from each other. What was stored is what was answered with nil, and each
// claim sees all that was stored before it.
func testContest(t *testing.T, open Opener) {
	store, _ := open(t)
	const goroutines, rounds = 4, 50
	group := groupOf(1)
	var running sync.WaitGroup
	stored := make([]int, goroutines)
	failed := make(chan error, goroutines)
	for g := range goroutines {
		running.Go(func() {
			var err error
			if stored[g], err = contend(store, group, g, rounds); err != nil {
				failed <- err
			}
		})
	}
	running.Wait()
	close(failed)
	for err := range failed {
		t.Fatal(err)
	}
	total := 0
	for _, n := range stored {
		total += n
	}
	if c, _ := held(t, store, group); len(c.messages) != total || total == 0 {
		t.Fatalf("%d messages are stored, %d commits succeeded", len(c.messages), total)
	}
}

func contend(store reflect.Store, group d2m.GroupID, who, rounds int) (stored int, err error) {
	for range rounds {
		snapshot, err := store.Claim(group)
		if errors.Is(err, reflect.ErrFenced) {
			continue
		}
		if err != nil {
			return stored, fmt.Errorf("claim: %w", err)
		}
		mine := 0
		for _, m := range snapshot.Messages {
			if m.Sender == d2m.DeviceID(who) {
				mine++
			}
		}
		if mine != stored {
			return stored, fmt.Errorf("claim found %d messages, %d were stored", mine, stored)
		}
		for range 2 {
			data, _ := chunkOf(group, reflect.Message{Sender: d2m.DeviceID(who)})
			switch err := store.Commit([]*reflect.Batch{{Group: group, Epoch: snapshot.Epoch, Chunk: data}})[0]; {
			case err == nil:
				stored++
			case !errors.Is(err, reflect.ErrFenced):
				return stored, fmt.Errorf("commit: %w", err)
			}
		}
	}
	return stored, nil
}
