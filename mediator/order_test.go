package mediator_test

import (
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"openmediator/d2m"
	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/reflect/memstore"
)

// place is the number that fillQueue puts into an envelope.
func place(r d2m.Reflected) int { return int(binary.LittleEndian.Uint32(r.Envelope)) }

// The stored queue comes between ServerInfo and ReflectionQueueDry, what arrives meanwhile included, and the role after it.
func TestB10_OrderOfALogin(t *testing.T) {
	for name, size := range map[string]int{"small": 30, "large": 9000} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := startInBubble(t)
				id := newIdentity(t)
				const stored, meanwhile = 200, 20
				s.fillQueue(id, 1, stored, size)

				d := s.dial(id).register(1, d2m.SlotExisting)
				if d.info.ReflectionQueueLength != stored || d.info.SlotState != d2m.SlotExisting {
					t.Fatalf("server info is %+v", d.info)
				}
				synctest.Wait() // the writer is stuck with the first piece of the queue
				peer := s.dial(id).register(1000, d2m.SlotExisting)
				answers := peer.listen()
				for i := range meanwhile {
					envelope := binary.LittleEndian.AppendUint32(nil, uint32(stored+i))
					peer.send(d2m.Reflect{Envelope: envelope})
				}
				synctest.Wait()
				if n := len(answers.take()); n != meanwhile+2 { // dry, role
					t.Fatalf("the sender got %d messages", n)
				}
				queue := d.readQueue()
				if len(queue) != stored+meanwhile {
					t.Fatalf("%d messages came before ReflectionQueueDry", len(queue))
				}
				for i, r := range queue {
					if place(r) != i || i > 0 && r.ID <= queue[i-1].ID || i > 0 && r.Timestamp < queue[i-1].Timestamp {
						t.Fatalf("message %d is %d, reflected id %d", i, place(r), r.ID)
					}
				}
				peer.ws.CloseNow()
				expect[d2m.RolePromotedToLeader](d.device)
			})
		})
	}
}

func TestB10_NothingStored(t *testing.T) {
	s := start(t)
	d := s.dial(newIdentity(t)).register(1, d2m.SlotNew)
	if d.info.ReflectionQueueLength != 0 || d.info.SlotState != d2m.SlotNew || d.info.MaxDeviceSlots != 10 {
		t.Errorf("server info is %+v", d.info)
	}
	if age := time.Since(time.UnixMilli(int64(d.info.CurrentTime))); age < -time.Second || age > time.Minute {
		t.Errorf("the server's time is off by %v", age)
	}
	expect[d2m.ReflectionQueueDry](d.device)
	expect[d2m.RolePromotedToLeader](d.device)
}

// Everything that a device may send it may send before the queue is dry, and it is answered then.
func TestB10_BeforeTheQueueIsDry(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		s.fillQueue(id, 1, 200, 10_000)
		d := s.dial(id).register(1, d2m.SlotExisting)
		synctest.Wait()
		d.send(d2m.Reflect{ID: 77, Envelope: []byte("early")})
		d.send(d2m.GetDevicesInfo{})
		d.send(d2m.SetSharedDeviceData{Data: []byte("shared")})
		d.send(d2m.DropDevice{DeviceID: 1000})
		answers := make(map[d2m.Type]int)
		for {
			m, code := d.receive()
			if m == nil {
				t.Fatalf("closed with %d", code)
			}
			if m.Type() == d2m.TypeReflectionQueueDry {
				break
			}
			answers[m.Type()]++
		}
		if answers[d2m.TypeReflectAck] != 1 || answers[d2m.TypeDevicesInfo] != 1 || answers[d2m.TypeDropDeviceAck] != 1 {
			t.Errorf("answers before ReflectionQueueDry: %v", answers)
		}
	})
}

// Any message more than 5 s after ServerInfo was written shows that the device has seen it; before, it may come as NEW again.
func TestB7_ConfirmedByAMessage(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		early, _ := s.login(id, 1, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](early.device)
		time.Sleep(4 * time.Second)
		early.barrier()
		again, _ := s.login(id, 1, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](again.device)
		if again.info.SlotState != d2m.SlotNew {
			t.Errorf("server info is %+v", again.info)
		}
		time.Sleep(6 * time.Second)
		again.barrier()
		s.refused(id, 1, d2m.SlotNew, d2m.CloseSlotState)
		again.barrier()
	})
}

func TestB9_TheSameDeviceAgain(t *testing.T) {
	s := start(t)
	id := newIdentity(t)
	older, _ := s.login(id, 1, d2m.SlotNew)
	expect[d2m.RolePromotedToLeader](older.device)
	other, _ := s.login(id, 2, d2m.SlotNew)
	older.send(d2m.ReflectedAck{ID: 0})

	newer := s.dial(id).register(1, d2m.SlotExisting)
	if newer.info.SlotState != d2m.SlotExisting {
		t.Errorf("server info is %+v", newer.info)
	}
	expect[d2m.RolePromotedToLeader](other.device) // leadership went with the older connection
	older.expectCloseAtOnce(d2m.CloseReplaced)
	newer.readQueue()
	newer.barrier()
	other.reflect(1, []byte("to the newer one"))
	if got := expect[d2m.Reflected](newer.device); string(got.Envelope) != "to the newer one" {
		t.Errorf("got %q", got.Envelope)
	}
}

// Nobody waits for the older socket, be it stuck or full.
func TestB9_TheOlderSocketIsStuck(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		s.fillQueue(id, 1, 200, 10_000)
		started := time.Now()
		s.dial(id).register(1, d2m.SlotExisting)
		synctest.Wait() // it reads nothing any more
		newer, queue := s.login(id, 1, d2m.SlotExisting)
		if took := time.Since(started); took != 0 || len(queue) != 200 {
			t.Errorf("the newer connection got %d messages after %v", len(queue), took)
		}
		expect[d2m.RolePromotedToLeader](newer.device)
	})
}

// Many connections of one device at once: each but the last is told that it was replaced, and nobody hangs.
func TestB9_Stampede(t *testing.T) {
	s := start(t)
	id := newIdentity(t)
	first, _ := s.login(id, 1, d2m.SlotNew)
	ends := make(chan d2m.CloseCode)
	const devices = 20
	for range devices {
		d := s.dial(id)
		d.send(d.hello(expect[d2m.ServerHello](d), 1, d2m.SlotExisting))
		go func() {
			for {
				m, code, err := d.next()
				if m == nil || err != nil {
					ends <- code
					return
				}
			}
		}()
	}
	first.expectClose(d2m.CloseReplaced)
	for range devices - 1 {
		if code := <-ends; code != d2m.CloseReplaced {
			t.Errorf("closed with %d", code)
		}
	}
	last, _ := s.login(id, 1, d2m.SlotExisting)
	<-ends
	expect[d2m.RolePromotedToLeader](last.device)
}

const overtakenQueue = 150 // messages

// overtaken logs a device in that has a long queue and reads nothing of it.
func (s *testServer) overtaken(id identity) *registered {
	s.t.Helper()
	s.fillQueue(id, 1, overtakenQueue, 10_000)
	d := s.dial(id).register(1, d2m.SlotExisting)
	synctest.Wait()
	return d
}

// Answers do not wait behind Reflected that are still to be sent, whether these are in memory or in the store.
func TestB38_AnswersOvertakeTheQueue(t *testing.T) {
	for name, tail := range map[string]int{"in memory": 64 << 20, "in the store": 0} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				config := mediator.DefaultConfig()
				config.TailBytes, config.Group.TailBytes = tail, tail
				s := startServer(t, listen.NewPipe(), memstore.New(), config)
				d := s.overtaken(newIdentity(t))
				d.send(d2m.GetDevicesInfo{})
				d.send(d2m.Reflect{ID: 1, Envelope: []byte("x")})
				d.send(d2m.DropDevice{DeviceID: 99})
				synctest.Wait()
				bytes := 0
				for _, want := range []d2m.Type{d2m.TypeDevicesInfo, d2m.TypeReflectAck, d2m.TypeDropDeviceAck} {
					for {
						m, code := d.receive()
						if m == nil {
							t.Fatalf("closed with %d", code)
						}
						if r, ok := m.(d2m.Reflected); ok {
							bytes += len(r.Envelope)
							continue
						}
						if m.Type() != want {
							t.Fatalf("got %v, want %v", m.Type(), want)
						}
						break
					}
				}
				if bytes > 150_000 {
					t.Errorf("%d bytes of the queue came before the answers", bytes)
				}
			})
		})
	}
}

// Answers that never end do not keep the queue from being sent: they take turns.
func TestB38_AnswersDoNotStarveTheQueue(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		d := s.overtaken(newIdentity(t))
		d.send(d2m.GetDevicesInfo{}) // one at least, before anything is read
		go func() {
			for d.ws.Write(t.Context(), websocket.MessageBinary, d2m.GetDevicesInfo{}.Append(nil)) == nil {
			}
		}()
		answers, reflected := 0, 0
		for reflected < overtakenQueue {
			m, code := d.receive()
			switch m.(type) {
			case d2m.DevicesInfo:
				answers++
			case d2m.Reflected:
				reflected++
			case nil:
				t.Fatalf("closed with %d", code)
			}
			if answers > 1000*overtakenQueue {
				t.Fatalf("%d answers came, and %d of the queue", answers, reflected)
			}
		}
		if answers == 0 {
			t.Error("no answer came: the test looks at nothing")
		}
		d.ws.CloseNow()
	})
}

// The queue of one device does not delay what others send and get.
func TestB38_OneQueueDoesNotDelayOthers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		s.overtaken(id)
		started := time.Now()
		a, _ := s.login(id, 1000, d2m.SlotExisting)
		expect[d2m.RolePromotedToLeader](a.device)
		b, _ := s.login(id, 3, d2m.SlotNew)
		for i := range 100 {
			a.reflect(d2m.ReflectID(i), []byte("message"))
			expect[d2m.Reflected](b.device)
		}
		if took := time.Since(started); took != 0 {
			t.Errorf("100 messages took %v", took)
		}
	})
}
