package boltstore

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/reflect"
)

// churn commits, for so many groups at once, a message each, a state, and the deletion of an older one, until stop is
// closed. It returns the longest and the mean time of a commit, and how many there were.
func churn(b *testing.B, s *Store, groups int, stop <-chan struct{}) (longest, mean time.Duration, commits int) {
	batches := make([]*reflect.Batch, groups)
	keys := make([][]uint64, groups)
	for i := range batches {
		group := d2m.GroupID{1, byte(i), byte(i >> 8)}
		snapshot, err := s.Claim(group)
		if err != nil {
			b.Error(err)
			return
		}
		chunk := reflect.NewChunk(group, 0)
		chunk.Append(reflect.Message{Envelope: make([]byte, benchEnvelope)})
		batches[i] = &reflect.Batch{Group: group, Epoch: snapshot.Epoch, Chunk: chunk.Data, State: make([]byte, 100)}
	}
	var sum time.Duration
	for ; ; commits++ {
		select {
		case <-stop:
			return longest, sum / time.Duration(max(commits, 1)), commits
		default:
		}
		for i, batch := range batches {
			if batch.Delete = nil; len(keys[i]) > benchBacklog {
				batch.Delete, keys[i] = keys[i][:1:1], keys[i][1:]
			}
		}
		start := time.Now()
		results := s.Commit(batches)
		took := time.Since(start)
		sum, longest = sum+took, max(longest, took)
		for i, err := range results {
			if err != nil {
				b.Error(err)
				return
			}
			keys[i] = append(keys[i], batches[i].Key)
		}
	}
}

// BenchmarkCompact measures how long commits wait at most while a store is compacted, beside how long they take at most
// without that.
func BenchmarkCompact(b *testing.B) {
	for _, size := range []int{64, 256, 1024} {
		for _, groups := range []int{1, 64, 512} {
			b.Run(fmt.Sprintf("%dMiB/%d", size, groups), func(b *testing.B) { benchmarkCompact(b, size, groups) })
		}
	}
}

func benchmarkCompact(b *testing.B, size, groups int) {
	s, err := Open(b.TempDir(), Options{noSync: true})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	fillWith(b, s, size)
	s.options.noSync, s.file.db.NoSync = false, false
	if err := s.file.sync(); err != nil {
		b.Fatal(err)
	}
	var longest, alone, waited, took time.Duration
	var last int
	b.ResetTimer()
	for range b.N {
		stop, done := make(chan struct{}), make(chan struct{})
		time.AfterFunc(10*time.Second, func() { close(stop) })
		most, _, _ := churn(b, s, groups, stop)
		alone = max(alone, most)

		stop = make(chan struct{})
		go func() {
			defer close(done)
			most, _, _ := churn(b, s, groups, stop)
			longest = max(longest, most)
		}()
		result, err := s.Compact(context.Background())
		close(stop)
		<-done
		if err != nil {
			b.Fatalf("%v (%+v)", err, result)
		}
		waited, took, last = max(waited, result.Waited), max(took, result.Took), max(last, result.Last)
	}
	b.ReportMetric(float64(longest.Microseconds())/1000, "longest-ms")
	b.ReportMetric(float64(alone.Microseconds())/1000, "alone-ms")
	b.ReportMetric(float64(waited.Microseconds())/1000, "switch-ms")
	b.ReportMetric(took.Seconds(), "took-s")
	b.ReportMetric(float64(last), "last-entries")
}

// fillWith stores so many MiB in a thousand groups, and as much again that is deleted.
func fillWith(b *testing.B, s *Store, size int) {
	b.Helper()
	const envelope = 4000
	batches := make([]*reflect.Batch, 1000)
	for i := range batches {
		group := binary.BigEndian.AppendUint32(nil, uint32(i)*4_000_037)
		id := d2m.GroupID{31: 2}
		copy(id[:], group)
		snapshot, err := s.Claim(id)
		if err != nil {
			b.Fatal(err)
		}
		chunk := reflect.NewChunk(id, 0)
		chunk.Append(reflect.Message{Envelope: make([]byte, envelope)})
		batches[i] = &reflect.Batch{Group: id, Epoch: snapshot.Epoch, Chunk: chunk.Data, State: make([]byte, 100)}
	}
	for n := range 2 * size << 20 / (envelope * len(batches)) {
		for _, batch := range batches {
			if batch.Delete = nil; n%2 == 1 {
				batch.Delete = []uint64{batch.Key}
			}
		}
		for _, err := range s.Commit(batches) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
