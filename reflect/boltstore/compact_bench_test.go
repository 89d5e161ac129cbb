package boltstore

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/reflect"
)

// commitTime is how long one commit took, and when it was over.
type commitTime struct {
	end  time.Time
	took time.Duration
}

// churn commits, for so many groups at once, a message each, a state, and the deletion of an older one, until stop is
// closed. It returns how long each commit took.
func churn(b *testing.B, s *Store, groups int, stop <-chan struct{}) (times []commitTime) {
	batches := make([]*reflect.Batch, groups)
	keys := make([][]uint64, groups)
	for i := range batches {
		group := d2m.GroupID{1, byte(i), byte(i >> 8)}
		snapshot, err := s.Claim(group)
		if err != nil {
			b.Error(err)
			return times
		}
		chunk := reflect.NewChunk(group, 0)
		chunk.Append(reflect.Message{Envelope: make([]byte, benchEnvelope)})
		batches[i] = &reflect.Batch{Group: group, Epoch: snapshot.Epoch, Chunk: chunk.Data, State: make([]byte, 100)}
	}
	for {
		select {
		case <-stop:
			return times
		default:
		}
		for i, batch := range batches {
			if batch.Delete = nil; len(keys[i]) > benchBacklog {
				batch.Delete, keys[i] = keys[i][:1:1], keys[i][1:]
			}
		}
		start := time.Now()
		results := s.Commit(batches)
		times = append(times, commitTime{time.Now(), time.Since(start)})
		for i, err := range results {
			if err != nil {
				b.Error(err)
				return times
			}
			keys[i] = append(keys[i], batches[i].Key)
		}
	}
}

// churnDuring returns how long commits take while something else is done.
func churnDuring(b *testing.B, s *Store, groups int, do func()) (times []commitTime) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		times = churn(b, s, groups, stop)
	}()
	do()
	close(stop)
	<-done
	return times
}

// compactWindow is how long the copying goes on, and how long it then rests, while commits are measured, so that both are
// seen on a disk that others use as well.
const compactWindow = 2 * time.Second

// BenchmarkCompact measures how long commits take at most, and all but one in a thousand, while a store is compacted:
// while it copies, between (it is halted for half of the time), about the switch, and while the old file is given back.
// Beside it stand the same commits before (alone) and while the file is just copied, with one sync (plain).
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
	times := make(map[string][]commitTime)
	var result CompactResult
	var waited, took time.Duration
	b.ResetTimer()
	for range b.N {
		alone := churnDuring(b, s, groups, func() { <-time.After(10 * time.Second) })
		times["alone"] = append(times["alone"], alone...)
		var steps compactSteps
		s.faults.step = steps.at
		steps.begun = time.Now()
		during := churnDuring(b, s, groups, func() { result, err = s.Compact(context.Background()) })
		if err != nil {
			b.Fatalf("%v (%+v)", err, result)
		}
		for _, t := range during {
			phase := steps.phase(t)
			times[phase] = append(times[phase], t)
		}
		waited, took = max(waited, result.Waited), max(took, result.Took)
		plain := churnDuring(b, s, groups, func() { plainCopy(b, s) })
		times["plain"] = append(times["plain"], plain...)
	}
	for name := range times {
		report(b, name, times[name])
	}
	b.ReportMetric(milliseconds(waited), "waited-ms")
	b.ReportMetric(took.Seconds(), "took-s")
}

// compactSteps notes when a compaction does what, and halts it in every other window.
type compactSteps struct{ begun, locked, switched time.Time }

func (c *compactSteps) at(s step) error {
	switch s {
	case stepRested:
		if into := time.Since(c.begun) % (2 * compactWindow); into > compactWindow {
			<-time.After(2*compactWindow - into)
		}
	case stepLock:
		c.locked = time.Now()
	case stepSwitched:
		c.switched = time.Now()
	}
	return nil
}

// phase says what the compaction did when a commit began. A slow one falls into a window as likely as into the next.
func (c *compactSteps) phase(t commitTime) string {
	start := t.end.Add(-t.took)
	switch {
	case start.After(c.switched):
		return "release"
	case t.end.After(c.locked):
		return "switch"
	case start.Sub(c.begun)%(2*compactWindow) > compactWindow:
		return "between"
	}
	return "copy"
}

// report reports times of commits.
func report(b *testing.B, name string, times []commitTime) {
	slices.SortFunc(times, func(a, b commitTime) int { return cmp.Compare(a.took, b.took) })
	b.ReportMetric(milliseconds(times[len(times)-1].took), name+"-max-ms")
	b.ReportMetric(milliseconds(times[len(times)*999/1000].took), name+"-p999-ms")
	b.ReportMetric(milliseconds(times[len(times)/2].took), name+"-p50-ms")
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// plainCopy copies the store's file, and removes the copy.
func plainCopy(b *testing.B, s *Store) {
	b.Helper()
	from, err := os.Open(filepath.Join(s.dir, FileName))
	if err != nil {
		b.Fatal(err)
	}
	defer from.Close()
	to, err := os.Create(filepath.Join(s.dir, "plain"))
	if err != nil {
		b.Fatal(err)
	}
	_, err = io.Copy(to, from)
	if err := errors.Join(err, to.Sync(), to.Close(), os.Remove(to.Name())); err != nil {
		b.Fatal(err)
	}
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
