package boltstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkExport measures how long commits take while a store is exported into a file, and, in turn, for as long while it is
// not (alone).
func BenchmarkExport(b *testing.B) {
	for _, size := range []int{64, 256} {
		for _, groups := range []int{1, 64} {
			b.Run(fmt.Sprintf("%dMiB/%d", size, groups), func(b *testing.B) { benchmarkExport(b, size, groups) })
		}
	}
}

func benchmarkExport(b *testing.B, size, groups int) {
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
	var waited, took time.Duration
	b.ResetTimer()
	for range b.N {
		var begun time.Time
		during := churnDuring(b, s, groups, func() {
			begun = time.Now()
			done, err := exportToFile(s)
			if err != nil {
				b.Fatal(err)
			}
			waited = max(waited, done.Waited)
		})
		lasted := time.Since(begun)
		times["export"] = append(times["export"], during...)
		alone := churnDuring(b, s, groups, func() { <-time.After(lasted) })
		times["alone"] = append(times["alone"], alone...)
		took = max(took, lasted)
	}
	for name := range times {
		report(b, name, times[name])
	}
	b.ReportMetric(milliseconds(waited), "waited-ms")
	b.ReportMetric(took.Seconds(), "took-s")
}

// exportToFile does what a backup does.
func exportToFile(s *Store) (Exported, error) {
	file, err := os.Create(filepath.Join(s.dir, "exported"))
	if err != nil {
		return Exported{}, err
	}
	to, written := io.MultiWriter(file, sha256.New()), 0
	done, err := s.Export(context.Background(), func(piece []byte) error {
		n, err := to.Write(piece)
		if written += n; written > 1<<20 {
			written = 0
			err = errors.Join(err, WriteBack(file))
		}
		return err
	})
	return done, errors.Join(err, file.Sync(), file.Close(), os.Remove(file.Name()))
}
