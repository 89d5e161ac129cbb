package mediator_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/reflect"
	"openmediator/reflect/boltstore"
)

// The load of BenchmarkReflect and BenchmarkStoreAlone: in each group one device sends and two receive.
const (
	benchGroups   = 200
	benchWindow   = 32  // messages that a sender has sent and not seen acked
	benchEnvelope = 300 // bytes
)

func openBolt(b testing.TB) *boltstore.Store {
	b.Helper()
	store, err := boltstore.Open(b.TempDir(), boltstore.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	return store
}

// tokens are the messages of a benchmark that are still to be sent.
type tokens struct{ left atomic.Int64 }

// take returns how many of n messages may be sent.
func (t *tokens) take(n int) int {
	left := int(t.left.Add(-int64(n)))
	return max(0, min(n, n+left))
}

// BenchmarkReflect measures durable reflects end to end over TCP: from the sender's Reflect to its ReflectAck and to both
// receivers, which acknowledge.
func BenchmarkReflect(b *testing.B) {
	s := startServer(b, listen.TCP(b), openBolt(b), mediator.DefaultConfig())
	var senders, receivers []*wire
	for range benchGroups {
		id := newIdentity(b)
		for device := range d2m.DeviceID(2) {
			receivers = append(receivers, s.loginWire(id, device, d2m.SlotNew))
		}
		senders = append(senders, s.loginWire(id, 2, d2m.SlotNew))
	}
	var todo tokens
	todo.left.Store(int64(b.N))
	var sending, receiving sync.WaitGroup
	var received atomic.Int64
	b.SetBytes(benchEnvelope)
	b.ResetTimer()
	all := make(chan struct{})
	for _, w := range receivers {
		receiving.Go(func() { w.receiveAll(&received, int64(2*b.N), all) })
	}
	for _, w := range senders {
		sending.Go(func() { w.reflectAll(b, &todo) })
	}
	sending.Wait()
	<-all
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reflects/s")
	for _, w := range append(senders, receivers...) {
		w.Conn.Close()
	}
	receiving.Wait()
}

// reflectAll keeps the window full until there are no tokens left and all is acked.
func (w *wire) reflectAll(b *testing.B, todo *tokens) {
	frame := appendMessages(nil, d2m.Reflect{Envelope: make([]byte, benchEnvelope)})
	var burst []byte
	for range benchWindow {
		burst = append(burst, frame...)
	}
	more, inFlight := benchWindow, 0
	for {
		n := todo.take(more)
		inFlight += n
		if _, err := w.Write(burst[:n*len(frame)]); err != nil {
			b.Error(err)
			return
		}
		if inFlight == 0 {
			return
		}
		for more = 0; more == 0 || w.r.Buffered() > 0 && more < benchWindow; {
			first, payload, err := w.read()
			if err != nil {
				b.Error(err)
				return
			}
			if first == fin|opBinary && d2m.Type(payload[0]) == d2m.TypeReflectAck {
				more++
			}
		}
		inFlight -= more
	}
}

// receiveAll acknowledges what comes, all that has arrived at once, and closes all when total messages have been received.
func (w *wire) receiveAll(received *atomic.Int64, total int64, all chan struct{}) {
	w.r = bufio.NewReaderSize(w.Conn, 16<<10)
	var acks []byte
	for {
		first, payload, err := w.read()
		if err != nil {
			return
		}
		if first == fin|opBinary && d2m.Type(payload[0]) == d2m.TypeReflected {
			id := d2m.ReflectedID(binary.LittleEndian.Uint32(payload[8:]))
			acks = appendMessages(acks, d2m.ReflectedAck{ID: id})
			if received.Add(1) == total {
				close(all)
			}
		}
		if w.r.Buffered() == 0 && len(acks) > 0 {
			if _, err := w.Write(acks); err != nil {
				return
			}
			acks = acks[:0]
		}
	}
}

// BenchmarkStoreAlone measures the same load without connections: as many messages wait to be committed, by the same
// committer into the same store, and each is deleted later.
func BenchmarkStoreAlone(b *testing.B) {
	store := openBolt(b)
	committer := reflect.NewCommitter(store)
	var todo tokens
	todo.left.Store(int64(b.N))
	var running sync.WaitGroup
	var sources []*source
	for range benchGroups {
		group := newIdentity(b).group
		snapshot, err := store.Claim(group)
		if err != nil {
			b.Fatal(err)
		}
		sources = append(sources, &source{
			b: b, committer: committer, todo: &todo, running: &running, group: group, epoch: snapshot.Epoch,
		})
	}
	b.SetBytes(benchEnvelope)
	b.ResetTimer()
	for _, s := range sources {
		running.Add(1)
		s.next(benchWindow)
	}
	running.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reflects/s")
	committer.Close()
}

// source is a group that only stores.
type source struct {
	b         *testing.B
	committer *reflect.Committer
	todo      *tokens
	running   *sync.WaitGroup
	group     d2m.GroupID
	epoch     reflect.Epoch

	waiting int // messages for the next batch
	stored  int // messages of the batch in flight
	number  uint64
	keys    []uint64 // chunks that are to be deleted
}

func (s *source) next(window int) {
	s.waiting = s.todo.take(window)
	if s.waiting == 0 {
		s.running.Done()
		return
	}
	s.committer.Add(s)
}

// Seal implements reflect.Source.
func (s *source) Seal() *reflect.Batch {
	chunk := reflect.NewChunk(s.group, s.waiting*(benchEnvelope+40))
	envelope := make([]byte, benchEnvelope)
	for range s.waiting {
		s.number++
		chunk.Append(reflect.Message{Place: s.number, Timestamp: uint64(time.Now().UnixMilli()), Envelope: envelope})
	}
	s.stored, s.waiting = s.waiting, 0
	return &reflect.Batch{Group: s.group, Epoch: s.epoch, Delete: s.keys, Chunk: chunk.Data}
}

// Committed implements reflect.Source.
func (s *source) Committed(batch *reflect.Batch, err error) {
	if err != nil {
		s.b.Error(err)
	}
	s.keys = []uint64{batch.Key}
	s.next(s.stored)
}

// BenchmarkIdleConnection measures what a registered connection costs while nothing happens: in pairs, so the memory of
// their groups is in it. Of the client there is only its socket; what two bare sockets cost is given beside it.
func BenchmarkIdleConnection(b *testing.B) {
	const connections = 2000
	for b.Loop() {
		bare := memoryOf(b, connections, func() func() { return barePairs(b, connections) })
		used := memoryOf(b, connections, func() func() { return idleConnections(b, connections) })
		b.ReportMetric(used, "B/connection")
		b.ReportMetric(bare, "B/bare-pair")
	}
}

// memoryOf returns the bytes of heap and stacks that remain of what do makes, for each of n.
func memoryOf(b *testing.B, n int, do func() (end func())) float64 {
	b.Helper()
	before := memoryInUse()
	end := do()
	after := memoryInUse()
	end()
	return float64(int64(after)-int64(before)) / float64(n)
}

func memoryInUse() uint64 {
	runtime.GC()
	runtime.GC() // the first one moves what pools hold to their victims
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

func barePairs(b *testing.B, n int) (end func()) {
	l := listen.TCP(b)
	var conns []net.Conn
	for range n {
		near, err := l.Dial()
		if err != nil {
			b.Fatal(err)
		}
		far, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		conns = append(conns, near, far)
	}
	return func() {
		l.Close()
		for _, c := range conns {
			c.Close()
		}
	}
}

func idleConnections(b *testing.B, n int) (end func()) {
	s := startServer(b, listen.TCP(b), openBolt(b), mediator.DefaultConfig())
	conns := make([]net.Conn, 0, n)
	for range n / 2 {
		id := newIdentity(b)
		for device := range d2m.DeviceID(2) {
			w := s.loginWire(id, device, d2m.SlotNew)
			if device == 0 {
				expectOn[d2m.RolePromotedToLeader](w)
			}
			conns = append(conns, w.Conn)
		}
	}
	return func() {
		for _, c := range conns {
			c.(*net.TCPConn).CloseWrite()
			if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, net.ErrClosed) {
				b.Error(err)
			}
			c.Close()
		}
		s.Shutdown(b.Context())
	}
}
