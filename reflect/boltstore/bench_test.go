package boltstore

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"openmediator/d2m"
	"openmediator/reflect"
)

const (
	benchProducers = 512
	benchEnvelope  = 300 // bytes
	benchBacklog   = 8   // messages of each producer that wait to be deleted
)

// producer always has one message waiting, and deletes each when benchBacklog newer ones are stored.
type producer struct {
	committer *reflect.Committer
	group     d2m.GroupID
	epoch     reflect.Epoch
	envelope  []byte
	left      int // messages
	keys      []uint64
	end       *sync.WaitGroup
	fail      func(error)
}

func (p *producer) Seal() *reflect.Batch {
	chunk := reflect.NewChunk(p.group, len(p.envelope)+100)
	chunk.Append(reflect.Message{Timestamp: uint64(p.left), Envelope: p.envelope})
	b := &reflect.Batch{Group: p.group, Epoch: p.epoch, Chunk: chunk.Data}
	if len(p.keys) >= benchBacklog {
		b.Delete = p.keys[:1:1]
		p.keys = p.keys[1:]
	}
	return b
}

func (p *producer) Committed(b *reflect.Batch, err error) {
	if err != nil {
		p.fail(err)
	}
	p.keys = append(p.keys, b.Key)
	if p.left--; p.left == 0 || err != nil {
		p.end.Done()
		return
	}
	p.committer.Add(p)
}

// drive stores so many messages, with so many producers waiting at any time, and returns how long that took.
func drive(b *testing.B, store reflect.Store, producers []*producer, messages int) time.Duration {
	b.Helper()
	var end sync.WaitGroup
	committer := reflect.NewCommitter(store)
	defer committer.Close()
	end.Add(len(producers))
	start := time.Now()
	for _, p := range producers {
		p.committer, p.end, p.left, p.fail = committer, &end, max(1, messages/len(producers)), func(err error) { b.Error(err) }
		committer.Add(p)
	}
	end.Wait()
	return time.Since(start)
}

func newProducers(b *testing.B, store reflect.Store, n, envelope int) []*producer {
	b.Helper()
	producers := make([]*producer, n)
	for i := range producers {
		group := d2m.GroupID{byte(i * 37), byte(i), byte(i >> 8)}
		snapshot, err := store.Claim(group)
		if err != nil {
			b.Fatal(err)
		}
		producers[i] = &producer{group: group, epoch: snapshot.Epoch, envelope: make([]byte, envelope)}
	}
	return producers
}

// plainFile is what a store could do at best: it appends what is committed to one file, syncs once for all that waits and
// keeps an index in memory. Nothing is ever deleted from the file, only noted as deleted.
type plainFile struct {
	reflect.Store
	file  *os.File
	end   int64
	index map[d2m.GroupID][]int64
	buf   []byte
}

func (f *plainFile) Claim(d2m.GroupID) (*reflect.Snapshot, error) { return new(reflect.Snapshot), nil }

func (f *plainFile) Commit(batches []*reflect.Batch) []error {
	results := make([]error, len(batches))
	f.buf = f.buf[:0]
	for _, batch := range batches {
		b := f.buf
		b = binary.LittleEndian.AppendUint32(b, uint32(len(batch.Chunk)))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(batch.Delete)))
		for _, key := range batch.Delete {
			b = binary.LittleEndian.AppendUint64(b, key)
		}
		batch.Key = uint64(f.end) + uint64(len(b)) + 1
		f.buf = append(b, batch.Chunk...)
		offsets := f.index[batch.Group]
		if len(batch.Delete) > 0 {
			offsets = offsets[len(batch.Delete):]
		}
		f.index[batch.Group] = append(offsets, int64(batch.Key))
	}
	n, err := f.file.WriteAt(f.buf, f.end)
	if err == nil {
		err = fdatasync(f.file)
	}
	f.end += int64(n)
	for i := range results {
		results[i] = err
	}
	return results
}

// BenchmarkStore512 compares the store with a plain file with group commit, in turn: 512 producers wait, each message is
// put and later deleted.
func BenchmarkStore512(b *testing.B) { benchmarkStore(b, benchProducers, benchEnvelope) }

func BenchmarkStore64(b *testing.B) { benchmarkStore(b, 64, benchEnvelope) }

func BenchmarkStore4096(b *testing.B) { benchmarkStore(b, 4096, benchEnvelope) }

func BenchmarkStoreLarge(b *testing.B) { benchmarkStore(b, 64, d2m.MaxEnvelopeSize) }

func benchmarkStore(b *testing.B, n, envelope int) {
	store, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	file, err := os.Create(filepath.Join(b.TempDir(), "plain"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	plain := &plainFile{file: file, index: make(map[d2m.GroupID][]int64)}

	const rounds = 5
	messages := max(b.N/rounds, n)
	ours, theirs := newProducers(b, store, n, envelope), newProducers(b, plain, n, envelope)
	drive(b, store, ours, n*2*benchBacklog) // until as much is deleted as is put
	var took, plainTook time.Duration
	var written int64
	b.ResetTimer()
	for range rounds {
		before := bytesWritten(b)
		took += drive(b, store, ours, messages)
		written += bytesWritten(b) - before
		b.StopTimer()
		plainTook += drive(b, plain, theirs, messages)
		b.StartTimer()
	}
	total := float64(messages * rounds)
	b.ReportMetric(total/took.Seconds(), "messages/s")
	b.ReportMetric(total/plainTook.Seconds(), "plain/s")
	b.ReportMetric(plainTook.Seconds()/took.Seconds(), "ratio")
	b.ReportMetric(float64(written)/(total*float64(envelope)), "written/byte")
}

// BenchmarkBatch512 is the same work by db.Batch, keyed by group and sequence.
func BenchmarkBatch512(b *testing.B) {
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "batch.db"), 0o600, &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistArrayType})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket(bucketLog); return err })
	if err != nil {
		b.Fatal(err)
	}
	var running sync.WaitGroup
	start := time.Now()
	for i := range benchProducers {
		running.Go(func() {
			key := make([]byte, groupSize+8)
			key[0], key[1], key[2] = byte(i*37), byte(i), byte(i>>8)
			old := make([]byte, len(key))
			for n := range max(1, b.N/benchProducers) {
				binary.BigEndian.PutUint64(key[groupSize:], uint64(n))
				copy(old, key)
				err := db.Batch(func(tx *bbolt.Tx) error {
					log := tx.Bucket(bucketLog)
					if n >= benchBacklog {
						binary.BigEndian.PutUint64(old[groupSize:], uint64(n-benchBacklog))
						if err := log.Delete(old); err != nil {
							return err
						}
					}
					return log.Put(key, make([]byte, benchEnvelope+68))
				})
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	running.Wait()
	b.ReportMetric(float64(max(b.N, benchProducers))/time.Since(start).Seconds(), "messages/s")
}

// BenchmarkQuiet is one producer: what a commit costs when nobody shares it.
func BenchmarkQuiet(b *testing.B) { benchmarkStore(b, 1, benchEnvelope) }

// BenchmarkOpen opens a store with a million messages waiting, each in a chunk of its own.
func BenchmarkOpen(b *testing.B) {
	const messages = 1_000_000
	dir := b.TempDir()
	group := fillStore(b, dir, messages)
	var claimed, read time.Duration
	b.ResetTimer()
	for range b.N {
		s, err := Open(dir, Options{noSync: true})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		start := time.Now()
		if _, err := s.Claim(group); err != nil {
			b.Fatal(err)
		}
		claimed += time.Since(start)
		start = time.Now()
		if _, err := os.ReadFile(filepath.Join(dir, fileName)); err != nil {
			b.Fatal(err)
		}
		read += time.Since(start)
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(claimed.Microseconds())/float64(b.N), "µs/claim")
	b.ReportMetric(float64(b.Elapsed())/float64(read), "open/read")
}

// fillStore makes a store in which many groups have so many messages together, and returns one of the groups.
func fillStore(b *testing.B, dir string, messages int) d2m.GroupID {
	b.Helper()
	s, err := Open(dir, Options{noSync: true})
	if err != nil {
		b.Fatal(err)
	}
	batches := make([]*reflect.Batch, 1000)
	for i := range batches {
		group := d2m.GroupID{byte(i), byte(i >> 8)}
		snapshot, err := s.Claim(group)
		if err != nil {
			b.Fatal(err)
		}
		chunk := reflect.NewChunk(group, 0)
		chunk.Append(reflect.Message{Envelope: make([]byte, benchEnvelope)})
		batches[i] = &reflect.Batch{Group: group, Epoch: snapshot.Epoch, Chunk: chunk.Data, State: make([]byte, 100)}
	}
	for range messages / len(batches) {
		for _, err := range s.Commit(batches) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	return batches[0].Group
}
