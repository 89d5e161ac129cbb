package mediator_test

import (
	"bytes"
	"encoding/json"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"openmediator/d2m"
	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/reflect/memstore"
)

// A device that never reads delays nobody, is over after 60 s, and loses nothing.
func TestB21_NeverReads(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		a, _ := s.login(id, 1, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](a.device)
		b, _ := s.login(id, 2, d2m.SlotNew)
		stuck := s.loginWire(id, 3, d2m.SlotNew)
		started := time.Now()
		const messages = 50
		for i := range messages {
			a.reflect(d2m.ReflectID(i), make([]byte, 10_000))
			expect[d2m.Reflected](b.device)
		}
		if took := time.Since(started); took != 0 {
			t.Fatalf("the others were delayed by %v", took)
		}
		a.listen()
		b.listen()
		time.Sleep(59 * time.Second)
		if s.Connections() != 3 {
			t.Error("ended before its time")
		}
		time.Sleep(6 * time.Second)
		if s.Connections() != 2 {
			t.Error("not ended after 65 s")
		}
		io.Copy(io.Discard, stuck) // what the pipe still held, up to its end
		_, queue := s.login(id, 3, d2m.SlotExisting)
		if len(queue) != messages {
			t.Errorf("%d of %d messages came when it was back", len(queue), messages)
		}
	})
}

// "Takes" is bytes: one in half a minute is life.
func TestB21_ReadsAByteAtATime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		s.fillQueue(id, 1, 20, 60_000)
		w := s.dialWire(id)
		w.message(id.hello(t, expectOn[d2m.ServerHello](w), 1, d2m.SlotExisting))
		one := make([]byte, 1)
		for range 120 {
			time.Sleep(30 * time.Second)
			if _, err := w.Conn.Read(one); err != nil {
				t.Fatalf("ended: %v", err)
			}
		}
		if s.Connections() != 1 {
			t.Error("the connection is gone")
		}
	})
}

// An app that works through a backlog may not read for long while its acks come in (B21). Without them it is over.
func TestB21_SendsWithoutReading(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		s.fillQueue(id, 1, 20, 60_000)
		w := s.dialWire(id)
		w.message(id.hello(t, expectOn[d2m.ServerHello](w), 1, d2m.SlotExisting))
		for range 20 {
			time.Sleep(50 * time.Second)
			w.message(d2m.ReflectedAck{ID: 1})
		}
		if s.Connections() != 1 {
			t.Fatal("the connection is gone")
		}
		last := time.Now()
		for s.Connections() != 0 {
			time.Sleep(time.Second)
		}
		if took := time.Since(last); took < 59*time.Second || took > 65*time.Second {
			t.Errorf("over after %v", took)
		}
	})
}

// push sends a frame again and again until the connection ends, and then closes ended. taken counts the bytes that the
// server took.
func (w *wire) push(frame []byte) (taken *atomic.Int64, ended chan struct{}) {
	taken, ended = new(atomic.Int64), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			n, err := w.Write(frame)
			taken.Add(int64(n))
			if err != nil {
				return
			}
		}
	}()
	return taken, ended
}

// A device that asks and does not read the answers is not read while more than 64 KiB of them wait; then all come.
func TestB21_AnswersAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		w := s.dialWire(id)
		hello := id.hello(t, expectOn[d2m.ServerHello](w), 1, d2m.SlotNew)
		hello.DeviceInfo = make([]byte, 4000)
		w.message(hello)
		expectOn[d2m.ServerInfo](w)
		expectOn[d2m.ReflectionQueueDry](w)
		expectOn[d2m.RolePromotedToLeader](w)
		question := appendMessages(nil, d2m.GetDevicesInfo{})
		taken, _ := w.push(question)
		synctest.Wait()
		questions := int(taken.Load()) / len(question)
		// 64 KiB that wait, what the writer is stuck with, and a question or two that were read ahead.
		if answers := questions * 4000; answers < 64<<10 || answers > 192<<10 {
			t.Errorf("%d questions were taken", questions)
		}
		for range questions {
			expectOn[d2m.DevicesInfo](w)
		}
		synctest.Wait()
		if int(taken.Load())/len(question) < questions+10 {
			t.Error("the device is not read again after it has read")
		}
	})
}

// A device that is not read because it does not read is over like any other.
func TestB21_BlockedForEver(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		w := s.loginWire(newIdentity(t), 1, d2m.SlotNew)
		expectOn[d2m.RolePromotedToLeader](w)
		started := time.Now()
		_, ended := w.push(appendMessages(nil, d2m.GetDevicesInfo{}))
		<-ended
		if took := time.Since(started); took < time.Minute || took > 65*time.Second {
			t.Errorf("ended after %v", took)
		}
		time.Sleep(2 * time.Second)
		if s.Connections() != 0 || s.GroupsInUse() != 0 {
			t.Errorf("%d connections, %d groups in use", s.Connections(), s.GroupsInUse())
		}
	})
}

// What all groups together hold in memory of what is stored is bounded: the rest is read when it is needed.
func TestB21_MemoryOfAllGroups(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		config := mediator.DefaultConfig()
		config.TailBytes = 100_000
		s := startServer(t, listen.NewPipe(), memstore.New(), config)
		var slow []*registered
		for range 3 {
			id := newIdentity(t)
			sender, _ := s.login(id, 1, d2m.SlotNew)
			expect[d2m.RolePromotedToLeader](sender.device)
			d, _ := s.login(id, 2, d2m.SlotNew)
			slow = append(slow, d)
			most := int64(0)
			for i := range 30 {
				sender.reflect(d2m.ReflectID(i), make([]byte, 10_000))
				most = max(most, s.BytesHeld())
			}
			if most == 0 || most > 110_000 {
				t.Errorf("at most %d bytes were held", most)
			}
		}
		for _, d := range slow {
			for range 30 {
				expect[d2m.Reflected](d.device)
			}
			d.barrier()
			d.ws.CloseNow()
		}
		s.Shutdown(t.Context())
		if n := s.BytesHeld(); n != 0 {
			t.Errorf("%d bytes are held for nobody", n)
		}
	})
}

// A device that reflects faster than the store stores is not read while more than 1 MiB waits.
func TestB21_UnstoredIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		peer, _ := s.login(id, 1, d2m.SlotNew)
		got := peer.listen()
		w := s.loginWire(id, 2, d2m.SlotNew)
		w.listen()
		resume := s.holdCommits()
		frame := appendMessages(nil, d2m.Reflect{Envelope: make([]byte, 1000)})
		taken, _ := w.push(frame)
		synctest.Wait()
		if n := taken.Load(); n < 500<<10 || n > 2<<20 {
			t.Errorf("%d bytes were taken", n)
		}
		w.SetWriteDeadline(time.Now())
		synctest.Wait()
		sent := int(taken.Load()) / len(frame)
		resume()
		synctest.Wait()
		reflected := 0
		for _, m := range got.take() {
			if _, ok := m.(d2m.Reflected); ok {
				reflected++
			}
		}
		if reflected != sent {
			t.Errorf("%d of %d came", reflected, sent)
		}
	})
}

// A device that is too far behind loses ephemerals beyond 256 KiB, which is counted, and nothing else.
func TestB21_EphemeralsAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var log logBuffer
		config := mediator.DefaultConfig()
		config.Log = zerolog.New(&log)
		s := startServer(t, listen.NewPipe(), memstore.New(), config)
		id := newIdentity(t)
		sender, _ := s.login(id, 1, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](sender.device)
		behind, _ := s.login(id, 2, d2m.SlotNew)
		const rounds = 100
		for i := range rounds {
			sender.send(d2m.Reflect{Flags: d2m.FlagEphemeral, Envelope: make([]byte, 10_000)})
			sender.reflect(d2m.ReflectID(i), []byte("durable"))
		}
		ephemerals, durables := 0, 0
		for durables < rounds {
			if r := expect[d2m.Reflected](behind.device); r.Ephemeral() {
				ephemerals++
			} else {
				durables++
			}
		}
		// Beside what waits for its place: what a flush or two had taken before.
		if ephemerals < 26 || ephemerals > 45 {
			t.Errorf("%d of %d ephemerals came", ephemerals, rounds)
		}
		sender.leave()
		behind.leave()
		synctest.Wait()
		time.Sleep(time.Second) // of fake time, in which the store takes what could wait, and the group is given up
		lines, told := log.lines("ephemeral messages lost"), 0
		for _, line := range lines {
			var of struct{ Lost int }
			if err := json.Unmarshal([]byte(line), &of); err != nil {
				t.Error(err)
			}
			told += of.Lost
		}
		if told != rounds-ephemerals || len(lines) > 2 {
			t.Errorf("%d ephemerals were lost, the log tells of %d in %d lines", rounds-ephemerals, told, len(lines))
		}
	})
}

func TestB20_Ephemerals(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		a, _ := s.login(id, 1, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](a.device)
		b, _ := s.login(id, 2, d2m.SlotNew)
		away, _ := s.login(id, 3, d2m.SlotNew)
		away.leave()
		const pairs = 20
		for i := range pairs {
			a.send(d2m.Reflect{Flags: d2m.FlagEphemeral | 0x8000, ID: 7, Envelope: []byte("typing, secretly")})
			a.send(d2m.Reflect{ID: d2m.ReflectID(i), Envelope: []byte("durable")})
		}
		for i := range pairs {
			if ack := expect[d2m.ReflectAck](a.device); ack.ID != d2m.ReflectID(i) {
				t.Fatalf("ack for %d", ack.ID)
			}
		}
		var last d2m.ReflectedID
		for i := range 2 * pairs {
			r := expect[d2m.Reflected](b.device)
			ephemeral := i%2 == 0
			if r.Ephemeral() != ephemeral || r.Flags&^d2m.FlagEphemeral != 0 || i > 0 && r.ID <= last {
				t.Fatalf("message %d is %+v after %d", i, r, last)
			}
			last = r.ID
			b.send(d2m.ReflectedAck{ID: r.ID}) // apps do so for ephemerals too
		}
		b.barrier()
		if _, queue := s.login(id, 3, d2m.SlotExisting); len(queue) != pairs {
			t.Errorf("%d messages waited for the device that was away", len(queue))
		}
		if used, _, _ := s.memory().Clone().Usage(); used > 5000 {
			t.Errorf("%d bytes are stored", used)
		}
	})
}

// limited is a store of which a test says how full it is.
type limited struct {
	*memstore.Store
	used atomic.Int64
}

func (l *limited) Usage() (used, limit int64, err error) { return l.used.Load(), 800, nil }

// At the limit of the whole store a Reflect is refused and nobody is dropped; somewhat below, no new group registers.
func TestB22_StoreLimit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var log logBuffer
		config := mediator.DefaultConfig()
		config.Log = zerolog.New(&log)
		store := &limited{Store: memstore.New()}
		s := startServer(t, listen.NewPipe(), store, config)
		id := newIdentity(t)
		fill := func(used int64) {
			store.used.Store(used)
			time.Sleep(5 * time.Second)
			synctest.Wait()
		}
		a, _ := s.login(id, 1, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](a.device)
		peer, _ := s.login(id, 2, d2m.SlotNew)
		in := peer.listen()

		fill(699)
		s.login(newIdentity(t), 1, d2m.SlotNew)
		fill(700)
		s.refused(newIdentity(t), 1, d2m.SlotNew, d2m.CloseInternal)
		a.reflect(1, []byte("there is room"))
		s.login(id, 3, d2m.SlotNew)
		fill(800)
		a.send(d2m.Reflect{ID: 2, Envelope: []byte("there is none")})
		a.expectCloseAtOnce(d2m.CloseInternal)
		a, _ = s.login(id, 1, d2m.SlotExisting)
		a.barrier()
		if over, code, _ := in.ended(); over {
			t.Errorf("another device was closed with %d", code)
		}
		fill(100)
		a.reflect(3, []byte("there is room again"))
		s.login(newIdentity(t), 1, d2m.SlotNew)
		for _, line := range []string{"storage limit reached", "storage has room again"} {
			if !bytes.Contains(log.bytes(), []byte(line)) {
				t.Errorf("the log does not say: %s", line)
			}
		}
	})
}

// The device whose queue exceeds a limit loses its slot, and nobody else notices.
func TestB22_QueueLimit(t *testing.T) {
	for name, set := range map[string]func(*mediator.Config){
		"messages": func(c *mediator.Config) { c.Group.QueueMessages = 10 },
		"bytes":    func(c *mediator.Config) { c.Group.QueueBytes = 10 * 30_000 },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var log logBuffer
				config := mediator.DefaultConfig()
				config.Log = zerolog.New(&log)
				set(&config)
				s := startServer(t, listen.NewPipe(), memstore.New(), config)
				id := newIdentity(t)
				sender, _ := s.login(id, 1, d2m.SlotNew)
				expect[d2m.RolePromotedToLeader](sender.device)
				away, _ := s.login(id, 2, d2m.SlotNew)
				away.leave()
				lazy, _ := s.login(id, 3, d2m.SlotNew) // reads, but acknowledges nothing
				in := lazy.listen()
				good, _ := s.login(id, 4, d2m.SlotNew)
				for i := range 11 {
					if half := bytes.Contains(log.bytes(), []byte("half full")); half != (i > 5) {
						t.Errorf("after %d messages the log says half full: %t", i, half)
					}
					sender.reflect(d2m.ReflectID(i), make([]byte, 30_000))
					good.send(d2m.ReflectedAck{ID: expect[d2m.Reflected](good.device).ID})
					good.barrier()
				}
				synctest.Wait()
				if _, code, _ := in.ended(); code != d2m.CloseQueueLimit {
					t.Errorf("the connected device was closed with %d", code)
				}
				s.refused(id, 2, d2m.SlotExisting, d2m.CloseSlotState)
				s.refused(id, 3, d2m.SlotExisting, d2m.CloseSlotState)
				good.barrier()
				sender.reflect(99, []byte("goes on"))
				if !bytes.Contains(log.bytes(), []byte("reached the limit")) {
					t.Error("the log does not say that a device was dropped")
				}
			})
		})
	}
}

// What exceeds the limit of a group is not taken; the sender tries again, and can when the others have caught up.
func TestB22_GroupLimit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		config := mediator.DefaultConfig()
		config.Group.QueueBytes, config.Group.GroupBytes = 100_000, 100_000
		s := startServer(t, listen.NewPipe(), memstore.New(), config)
		id := newIdentity(t)
		peer, _ := s.login(id, 2, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](peer.device)
		sender, _ := s.login(id, 1, d2m.SlotNew)
		sender.reflect(1, make([]byte, 60_000))
		first := expect[d2m.Reflected](peer.device)
		sender.send(d2m.Reflect{ID: 2, Envelope: make([]byte, 60_000)})
		sender.expectCloseAtOnce(d2m.CloseInternal)
		peer.send(d2m.ReflectedAck{ID: first.ID})
		peer.barrier()
		sender, _ = s.login(id, 1, d2m.SlotExisting)
		sender.reflect(2, make([]byte, 60_000))
	})
}
