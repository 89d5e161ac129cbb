package boltstore

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
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

// gate holds a committer until all producers wait. Without it some would be committed by themselves, and ever after.
type gate struct{ reached, open chan struct{} }

func (g gate) Seal() *reflect.Batch {
	close(g.reached)
	<-g.open
	return nil
}

func (g gate) Committed(*reflect.Batch, error) {}

// drive stores so many messages, with so many producers waiting at any time, and returns how long that took.
func drive(b *testing.B, store reflect.Store, producers []*producer, messages int) time.Duration {
	b.Helper()
	var end sync.WaitGroup
	committer := reflect.NewCommitter(store)
	defer committer.Close()
	end.Add(len(producers))
	g := gate{make(chan struct{}), make(chan struct{})}
	committer.Add(g)
	<-g.reached
	for _, p := range producers {
		p.committer, p.end, p.left, p.fail = committer, &end, max(1, messages/len(producers)), func(err error) { b.Error(err) }
		committer.Add(p)
	}
	start := time.Now()
	close(g.open)
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

// contender is a store that is measured in turn with others.
type contender struct {
	name      string
	store     reflect.Store
	producers []*producer
	share     int // of the messages: one in so many
	messages  int
	took      time.Duration
}

func newContender(b *testing.B, name string, store reflect.Store, n, envelope, share int) *contender {
	b.Helper()
	return &contender{name: name, store: store, producers: newProducers(b, store, n, envelope), share: share}
}

func (c *contender) drive(b *testing.B, messages int) {
	b.Helper()
	messages = max(messages/c.share, len(c.producers))
	c.took += drive(b, c.store, c.producers, messages)
	c.messages += messages
}

// rate returns messages per second.
func (c *contender) rate() float64 { return float64(c.messages) / c.took.Seconds() }

// compete drives contenders in turn, in rounds, and reports how many messages per second each has stored, and how often
// as many the first one as each other.
func compete(b *testing.B, contenders ...*contender) {
	b.Helper()
	const rounds = 5
	for _, c := range contenders {
		drive(b, c.store, c.producers, len(c.producers)*2*benchBacklog) // until as much is deleted as is put
	}
	first := contenders[0]
	var written int64
	b.ResetTimer()
	for range rounds {
		before := bytesWritten(b)
		first.drive(b, b.N/rounds)
		written += bytesWritten(b) - before
		b.StopTimer()
		for _, c := range contenders[1:] {
			c.drive(b, b.N/rounds)
		}
		b.StartTimer()
	}
	b.ReportMetric(first.rate(), "messages/s")
	for _, c := range contenders[1:] {
		b.ReportMetric(c.rate(), c.name+"/s")
		b.ReportMetric(first.rate()/c.rate(), "×"+c.name)
	}
	b.ReportMetric(float64(written)/float64(first.messages*len(first.producers[0].envelope)), "written/byte")
}

// BenchmarkStore512 compares the store with a plain file with group commit and with db.Batch keyed by group, in turn: 512
// producers wait, each message is put and later deleted.
func BenchmarkStore512(b *testing.B) { benchmarkStore(b, benchProducers, benchEnvelope) }

func BenchmarkStore64(b *testing.B) { benchmarkStore(b, 64, benchEnvelope) }

func BenchmarkStore4096(b *testing.B) { benchmarkStore(b, 4096, benchEnvelope) }

func BenchmarkStoreLarge(b *testing.B) { benchmarkStore(b, 64, d2m.MaxEnvelopeSize) }

// BenchmarkQuiet is one producer: what a commit costs when nobody shares it.
func BenchmarkQuiet(b *testing.B) { benchmarkStore(b, 1, benchEnvelope) }

func benchmarkStore(b *testing.B, n, envelope int) {
	compete(b,
		newContender(b, "ours", openStore(b, b.TempDir()), n, envelope, 1),
		newContender(b, "plain", newPlainFile(b), n, envelope, 1),
		newContender(b, "batch", newBatchStore(b), n, envelope, 10))
}

// BenchmarkStoreGrown compares a new store with one that had a million messages at its peak, and with one that has a
// million others waiting.
func BenchmarkStoreGrown(b *testing.B) {
	const messages = 1_000_000
	peak, below := b.TempDir(), b.TempDir()
	fillStore(b, below, messages)
	batches := fillStore(b, peak, messages)
	emptyStore(b, peak, batches)
	compete(b,
		newContender(b, "ours", openStore(b, b.TempDir()), benchProducers, benchEnvelope, 1),
		newContender(b, "peak", openStore(b, peak), benchProducers, benchEnvelope, 1),
		newContender(b, "below", openStore(b, below), benchProducers, benchEnvelope, 1))
}

func openStore(b *testing.B, dir string) *Store {
	b.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

func newPlainFile(b *testing.B) *plainFile {
	b.Helper()
	file, err := os.Create(filepath.Join(b.TempDir(), "plain"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = file.Close() })
	return &plainFile{file: file, index: make(map[d2m.GroupID][]int64)}
}

// batchStore is what bbolt offers for many writers: each batch is a db.Batch, keyed by group and sequence.
type batchStore struct {
	reflect.Store
	db   *bbolt.DB
	next map[d2m.GroupID]uint64
}

func newBatchStore(b *testing.B) *batchStore {
	b.Helper()
	path := filepath.Join(b.TempDir(), "batch.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistArrayType})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	err = db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket(bucketLog); return err })
	if err != nil {
		b.Fatal(err)
	}
	return &batchStore{db: db, next: make(map[d2m.GroupID]uint64)}
}

func (s *batchStore) Claim(d2m.GroupID) (*reflect.Snapshot, error) { return new(reflect.Snapshot), nil }

func (s *batchStore) Commit(batches []*reflect.Batch) []error {
	results := make([]error, len(batches))
	var running sync.WaitGroup
	for i, batch := range batches {
		s.next[batch.Group]++
		batch.Key = s.next[batch.Group]
		running.Go(func() {
			results[i] = s.db.Batch(func(tx *bbolt.Tx) error { return putBatch(tx.Bucket(bucketLog), batch) })
		})
	}
	running.Wait()
	return results
}

func putBatch(log *bbolt.Bucket, batch *reflect.Batch) error {
	key := func(sequence uint64) []byte {
		return binary.BigEndian.AppendUint64(batch.Group[:groupSize:groupSize], sequence)
	}
	for _, old := range batch.Delete {
		if err := log.Delete(key(old)); err != nil {
			return err
		}
	}
	return log.Put(key(batch.Key), batch.Chunk)
}

// BenchmarkOpen opens a store with a million messages waiting, each in a chunk of its own.
func BenchmarkOpen(b *testing.B) {
	const messages = 1_000_000
	dir := b.TempDir()
	group := fillStore(b, dir, messages)[0].Group
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
		if _, err := os.ReadFile(filepath.Join(dir, FileName)); err != nil {
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

// BenchmarkWaiting measures the memory that a message takes that waits, in a chunk of its own, beside the disk: in the store
// and in the queues of a thousand groups, after it was stored (live), and after a start (restored).
func BenchmarkWaiting(b *testing.B) {
	const messages = 1_000_000
	for b.Loop() {
		dir := b.TempDir()
		before := heapInUse()
		s, queues := storeWaiting(b, dir, messages)
		b.ReportMetric(float64(heapInUse()-before)/messages, "live-B/message")
		closeSynced(b, s)
		for group := range queues {
			queues[group] = nil
		}
		before = heapInUse()
		s = openStore(b, dir)
		for group := range queues {
			queues[group] = restored(b, s, group)
		}
		b.ReportMetric(float64(heapInUse()-before)/messages, "restored-B/message")
		runtime.KeepAlive(queues)
		runtime.KeepAlive(s)
	}
}

// storeWaiting stores messages that wait for one slot, in a thousand groups.
func storeWaiting(b *testing.B, dir string, messages int) (*Store, map[d2m.GroupID]*reflect.Queue) {
	b.Helper()
	s, err := Open(dir, Options{noSync: true})
	if err != nil {
		b.Fatal(err)
	}
	queues := make(map[d2m.GroupID]*reflect.Queue)
	state := (&reflect.State{Bound: 1, Slots: []reflect.SlotState{{Device: 1, First: 1, Next: 1}}}).Append(nil)
	batches := make([]*reflect.Batch, 1000)
	for i := range batches {
		group := d2m.GroupID{byte(i), byte(i >> 8), 1}
		snapshot, err := s.Claim(group)
		if err != nil {
			b.Fatal(err)
		}
		batches[i] = &reflect.Batch{Group: group, Epoch: snapshot.Epoch, State: state}
		queues[group] = new(reflect.Queue)
		queues[group].Join(1, 1)
	}
	chunks := make([]*reflect.Chunk, len(batches))
	for number := range uint64(messages / len(batches)) {
		for i, batch := range batches {
			chunks[i] = reflect.NewChunk(batch.Group, 0)
			at := chunks[i].Append(reflect.Message{Place: number + 1, Sender: 2, Envelope: make([]byte, benchEnvelope)})
			queues[batch.Group].Append(number+1, 2, chunks[i], at)
			batch.Chunk = chunks[i].Data
		}
		for i, err := range s.Commit(batches) {
			if err != nil {
				b.Fatal(err)
			}
			queues[batches[i].Group].Stored(chunks[i], batches[i].Key)
			chunks[i].Data = nil
		}
	}
	return s, queues
}

// restored claims a group and returns its queue.
func restored(b *testing.B, s *Store, group d2m.GroupID) *reflect.Queue {
	b.Helper()
	snapshot, err := s.Claim(group)
	if err != nil {
		b.Fatal(err)
	}
	state, err := reflect.ParseState(snapshot.State)
	if err != nil {
		b.Fatal(err)
	}
	queue := new(reflect.Queue)
	queue.Restore(state, snapshot.Messages)
	if queue.Len() != len(snapshot.Messages) {
		b.Fatalf("%d messages wait of %d", queue.Len(), len(snapshot.Messages))
	}
	return queue
}

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// fillStore makes a store in which a thousand groups have so many messages together. It returns the batches that stored
// the last ones.
func fillStore(b *testing.B, dir string, messages int) []*reflect.Batch {
	b.Helper()
	s, err := Open(dir, Options{noSync: true})
	if err != nil {
		b.Fatal(err)
	}
	batches := make([]*reflect.Batch, 1000)
	for i := range batches {
		group := d2m.GroupID{byte(i), byte(i >> 8), 1}
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
	closeSynced(b, s)
	return batches
}

// emptyStore deletes the messages that fillStore has stored, the oldest first.
func emptyStore(b *testing.B, dir string, batches []*reflect.Batch) {
	b.Helper()
	s, err := Open(dir, Options{noSync: true})
	if err != nil {
		b.Fatal(err)
	}
	for i, batch := range batches {
		snapshot, err := s.Claim(batch.Group)
		if err != nil {
			b.Fatal(err)
		}
		keys := make([]uint64, 0, len(snapshot.Messages))
		for _, m := range snapshot.Messages {
			keys = append(keys, m.At.Key)
		}
		batches[i] = &reflect.Batch{Group: batch.Group, Epoch: snapshot.Epoch, Delete: keys}
	}
	const step = 10 // of each group in one commit
	for left := true; left; {
		left = false
		commit := make([]*reflect.Batch, len(batches))
		for i, batch := range batches {
			n := min(step, len(batch.Delete))
			commit[i] = &reflect.Batch{Group: batch.Group, Epoch: batch.Epoch, Delete: batch.Delete[:n]}
			batch.Delete = batch.Delete[n:]
			left = left || len(batch.Delete) > 0
		}
		for _, err := range s.Commit(commit) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	closeSynced(b, s)
}

func closeSynced(b *testing.B, s *Store) {
	b.Helper()
	if err := errors.Join(s.file.sync(), s.Close()); err != nil {
		b.Fatal(err)
	}
}
