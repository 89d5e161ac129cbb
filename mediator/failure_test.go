package mediator_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"openmediator/d2m"
	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/reflect"
	"openmediator/reflect/memstore"
)

// failNext makes the next operation of a kind fail, for one group, and says whether it has come.
func (s *testServer) failNext(op memstore.Op, group d2m.GroupID, failure func() error) (came func() bool) {
	done := make(chan struct{}, 1)
	done <- struct{}{}
	s.memory().Fail(func(asked memstore.Op, of d2m.GroupID) error {
		if asked != op || of != group {
			return nil
		}
		select {
		case <-done:
			return failure()
		default:
			return nil
		}
	})
	return func() bool { return len(done) == 0 }
}

// failure is what a store may answer, and how the connections of the group end.
type failure struct {
	err    error
	code   d2m.CloseCode
	stored bool // whether what was to be written may appear
}

func (f failure) now() error { return f.err }

var failures = map[string]failure{
	"unavailable":             {reflect.ErrUnavailable, d2m.CloseInternal, false},
	"unavailable, yet stored": {memstore.ErrUnavailableStored, d2m.CloseInternal, true},
	"fenced":                  {reflect.ErrFenced, d2m.CloseGoingAway, false},
}

// patient is a group with two devices that listen, beside a group that has nothing to do with it.
type patient struct {
	s        *testServer
	log      *logBuffer
	id       identity
	a, b     *registered
	inA, inB *inbox
	other    *inbox
}

func newPatient(t *testing.T) *patient {
	t.Helper()
	p := &patient{log: new(logBuffer), id: newIdentity(t)}
	config := mediator.DefaultConfig()
	config.Log = zerolog.New(p.log)
	p.s = startServer(t, listen.NewPipe(), memstore.New(), config)
	p.a, _ = p.s.login(p.id, 1, d2m.SlotNew)
	p.b, _ = p.s.login(p.id, 2, d2m.SlotNew)
	other, _ := p.s.login(newIdentity(t), 1, d2m.SlotNew)
	p.inA, p.inB, p.other = p.a.listen(), p.b.listen(), other.listen()
	p.a.send(d2m.ReflectedAck{})
	time.Sleep(10 * time.Second)
	p.b.send(d2m.GetDevicesInfo{}) // late enough to confirm both slots (B7)
	p.a.send(d2m.GetDevicesInfo{})
	time.Sleep(10 * time.Second)
	p.inA.take()
	p.inB.take()
	return p
}

// expectEnds fails unless both devices were closed with this code and the other group has felt nothing.
func (p *patient) expectEnds(t *testing.T, code d2m.CloseCode) {
	t.Helper()
	for name, in := range map[string]*inbox{"sender": p.inA, "peer": p.inB} {
		if _, got, _ := in.ended(); got != code {
			t.Errorf("the %s was closed with %d, want %d", name, got, code)
		}
	}
	if over, got, _ := p.other.ended(); over {
		t.Errorf("a device of another group was closed with %d", got)
	}
	if n := len(p.log.lines("storage failed")); n != 1 {
		t.Errorf("the log says %d times that the store has failed", n)
	}
}

// recovers fails unless the group works as if nothing had been.
func (p *patient) recovers(t *testing.T) (queue []d2m.Reflected) {
	t.Helper()
	b, queue := p.s.login(p.id, 2, d2m.SlotExisting)
	expect[d2m.RolePromotedToLeader](b.device)
	a, _ := p.s.login(p.id, 1, d2m.SlotExisting)
	a.reflect(9, []byte("works again"))
	if got := expect[d2m.Reflected](b.device); string(got.Envelope) != "works again" {
		t.Errorf("got %q", got.Envelope)
	}
	if len(p.log.lines("storage works again")) != 1 {
		t.Error("the log does not say that the store works again")
	}
	return queue
}

// Nothing in flight is acked; everybody in the group is closed; an un-acked message may appear, an acked one must.
func TestB43_ReflectIsNotStored(t *testing.T) {
	for name, failure := range failures {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				p := newPatient(t)
				p.a.send(d2m.Reflect{ID: 1, Envelope: []byte("acked")})
				synctest.Wait()
				if acks := p.inA.take(); len(acks) != 1 {
					t.Fatalf("got %d messages", len(acks))
				}
				p.inB.take()
				gate := make(chan struct{})
				came := p.s.failNext(memstore.OpCommit, p.id.group, func() error { <-gate; return failure.err })
				for i := range d2m.ReflectID(5) {
					p.a.send(d2m.Reflect{ID: 2 + i, Envelope: []byte("in flight")})
				}
				close(gate)
				synctest.Wait()
				if got := p.inA.take(); len(got) != 0 {
					t.Errorf("%T was sent for what is not stored", got[0])
				}
				if got := p.inB.take(); len(got) != 0 {
					t.Errorf("the peer got %T", got[0])
				}
				if !came() {
					t.Fatal("nothing has failed")
				}
				p.expectEnds(t, failure.code)
				queue := p.recovers(t)
				if len(queue) < 1 || string(queue[0].Envelope) != "acked" {
					t.Errorf("the queue is %v", queue)
				}
				if appeared := len(queue) > 1; appeared != failure.stored {
					t.Errorf("%d messages are in the queue", len(queue))
				}
			})
		})
	}
}

// The same whatever it is that cannot be written.
func TestB43_EveryKindOfWrite(t *testing.T) {
	for what, write := range map[string]func(*patient){
		"shared data": func(p *patient) { p.a.send(d2m.SetSharedDeviceData{Data: []byte("shared")}) },
		"drop":        func(p *patient) { p.a.send(d2m.DropDevice{DeviceID: 77}); p.a.send(d2m.DropDevice{DeviceID: 3}) },
		"lazy write":  func(p *patient) { p.a.send(d2m.Reflect{Flags: d2m.FlagEphemeral}); time.Sleep(time.Second) },
		"device info": func(p *patient) {
			d := p.s.dial(p.id)
			hello := d.hello(expect[d2m.ServerHello](d), 3, d2m.SlotExisting)
			hello.DeviceInfo = []byte("other info")
			d.send(hello)
			d.listen()
		},
		"new slot": func(p *patient) {
			d := p.s.dial(p.id)
			d.send(d.hello(expect[d2m.ServerHello](d), 4, d2m.SlotNew))
			d.listen()
		},
		"end of a connection": func(p *patient) {
			d, _ := p.s.login(p.id, 3, d2m.SlotExisting)
			d.ws.CloseNow()
		},
	} {
		for name, failure := range failures {
			t.Run(what+" "+name, func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					p := newPatient(t)
					third, _ := p.s.login(p.id, 3, d2m.SlotNew)
					third.send(d2m.ReflectedAck{})
					p.a.send(d2m.Reflect{Envelope: []byte("x")})
					third.send(d2m.ReflectedAck{ID: expect[d2m.Reflected](third.device).ID})
					third.leave()
					time.Sleep(10 * time.Second)
					came := p.s.failNext(memstore.OpCommit, p.id.group, failure.now)
					write(p)
					synctest.Wait()
					if !came() {
						t.Fatal("nothing has failed")
					}
					p.expectEnds(t, failure.code)
					p.recovers(t)
				})
			})
		}
	}
}

// A login that cannot read its group is told 1011, never 4115, and the next one works (B7).
func TestB43_ClaimFails(t *testing.T) {
	for name, failure := range failures {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var log logBuffer
				config := mediator.DefaultConfig()
				config.Log = zerolog.New(&log)
				s := startServer(t, listen.NewPipe(), memstore.New(), config)
				id := newIdentity(t)
				d, _ := s.login(id, 1, d2m.SlotNew)
				d.leave()
				time.Sleep(time.Minute)
				if s.GroupsInUse() != 0 {
					t.Fatal("the group is still in use")
				}
				came := s.failNext(memstore.OpClaim, id.group, failure.now)
				s.refused(id, 1, d2m.SlotExisting, d2m.CloseInternal)
				if !came() {
					t.Fatal("nothing has failed")
				}
				if len(log.lines("storage failed")) != 1 {
					t.Error("the log does not say so")
				}
				s.login(id, 1, d2m.SlotExisting)
			})
		})
	}
}

// A queue that cannot be read ends the group's connections, and is there again when the store is.
func TestB43_QueueCannotBeRead(t *testing.T) {
	for name, failure := range failures {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := startInBubble(t)
				id := newIdentity(t)
				s.fillQueue(id, 1, 50, 1000)
				time.Sleep(time.Minute) // the group leaves memory
				peer, _ := s.login(id, 1000, d2m.SlotExisting)
				in := peer.listen()
				came := s.failNext(memstore.OpRead, id.group, failure.now)
				d := s.dial(id).register(1, d2m.SlotExisting)
				d.expectCloseAtOnce(failure.code)
				synctest.Wait()
				if _, code, _ := in.ended(); code != failure.code || !came() {
					t.Errorf("the peer was closed with %d", code)
				}
				if _, queue := s.login(id, 1, d2m.SlotExisting); len(queue) != 50 {
					t.Errorf("%d messages came", len(queue))
				}
			})
		})
	}
}

// One app acknowledges on the new connection what it got on the old one (d2m.md, 16): it may be deleted while it is about
// to be read. Nobody is closed for that (B19).
func TestB19_AcknowledgedWhileItIsRead(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		const messages = 50
		s.fillQueue(id, 1, messages, 10_000)
		d, queue := s.login(id, 1, d2m.SlotExisting)
		d.leave()
		time.Sleep(time.Minute) // the group leaves memory
		peer, _ := s.login(id, 1000, d2m.SlotExisting)
		in := peer.listen()

		gate := make(chan struct{})
		reading := make(chan struct{}, 1)
		s.memory().Fail(func(op memstore.Op, _ d2m.GroupID) error {
			if op == memstore.OpRead {
				select {
				case reading <- struct{}{}:
					<-gate
				default:
				}
			}
			return nil
		})
		again := s.dial(id)
		again.send(again.hello(expect[d2m.ServerHello](again), 1, d2m.SlotExisting))
		<-reading
		for _, r := range queue[1:] { // all but the first
			again.send(d2m.ReflectedAck{ID: r.ID})
		}
		peer.send(d2m.SetSharedDeviceData{Data: []byte("something to be stored")})
		time.Sleep(2 * time.Second)
		close(gate)
		expect[d2m.ServerInfo](again)
		rest := (&registered{device: again}).readQueue()
		if len(rest) == 0 || place(rest[0]) != 0 {
			t.Errorf("the queue does not begin with the first message: %d came", len(rest))
		}
		if over, code, _ := in.ended(); over {
			t.Errorf("the peer was closed with %d", code)
		}
	})
}

// While the disk fails the server stays up and refuses; when it works again, so does the server.
func TestB43_LongFailure(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := newPatient(t)
		p.s.memory().Fail(func(memstore.Op, d2m.GroupID) error { return reflect.ErrUnavailable })
		p.a.send(d2m.Reflect{Envelope: []byte("x")})
		synctest.Wait()
		p.expectEnds(t, d2m.CloseInternal)
		for range 10 {
			time.Sleep(time.Minute)
			p.s.refused(p.id, 1, d2m.SlotExisting, d2m.CloseInternal)
			p.s.refused(newIdentity(t), 1, d2m.SlotNew, d2m.CloseInternal)
		}
		if n := len(p.log.lines("storage failed")); n != 1 {
			t.Errorf("the log says %d times that the store fails", n)
		}
		p.s.memory().Fail(nil)
		p.recovers(t)
	})
}

// What fails in one group's name is said without naming it, and says why (B42).
func TestB43_LogSaysWhy(t *testing.T) {
	for name, failure := range failures {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				p := newPatient(t)
				p.s.failNext(memstore.OpCommit, p.id.group, failure.now)
				p.a.send(d2m.SetSharedDeviceData{})
				synctest.Wait()
				want := "unavailable"
				if failure.code == d2m.CloseGoingAway {
					want = "claimed by another writer"
				}
				if lines := p.log.lines("storage failed"); len(lines) != 1 || !bytes.Contains([]byte(lines[0]), []byte(want)) {
					t.Errorf("the log says %q", lines)
				}
			})
		})
	}
}

// The operator is told what the system says of the disk, and no path.
func TestB43_LogNamesTheDisk(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := newPatient(t)
		p.s.failNext(memstore.OpCommit, p.id.group, func() error {
			return fmt.Errorf("%w: %w", reflect.ErrUnavailable, &fs.PathError{Op: "write", Path: "/secret", Err: syscall.ENOSPC})
		})
		p.a.send(d2m.SetSharedDeviceData{})
		synctest.Wait()
		lines := p.log.lines("storage failed")
		if len(lines) != 1 || !strings.Contains(lines[0], `"unavailable: no space left on device"`) || strings.Contains(lines[0], "secret") {
			t.Errorf("the log says %q", lines)
		}
	})
}

// What is stored of one group makes no sense: the server starts, says so, and refuses the devices of that group alone. Its
// store has not failed, so it stays ready.
func TestB43_UnreadableGroup(t *testing.T) {
	state := reflect.State{Slots: []reflect.SlotState{{Device: 1}}}
	for what, damaged := range map[string]reflect.Batch{
		"state": {State: []byte("no state")},
		"chunk": {State: state.Append(nil), Chunk: []byte{0}},
	} {
		t.Run(what, func(t *testing.T) {
			store, id := memstore.New(), newIdentity(t)
			snapshot, err := store.Claim(id.group)
			if err != nil {
				t.Fatal(err)
			}
			damaged.Group, damaged.Epoch = id.group, snapshot.Epoch
			if damaged.Chunk != nil {
				damaged.Chunk = append(id.group[:], damaged.Chunk...)
			}
			if err := store.Commit([]*reflect.Batch{&damaged})[0]; err != nil {
				t.Fatal(err)
			}
			log, config := new(logBuffer), mediator.DefaultConfig()
			config.Log = zerolog.New(log)
			s := startServer(t, listen.TCP(t), store, config)
			if n := len(log.lines("cannot be read")); what == "state" && n != 1 {
				t.Errorf("the log says %d times at the start that a group cannot be read", n)
			}
			s.refused(id, 1, d2m.SlotExisting, d2m.CloseInternal)
			if s.Condition().StoreFailing || s.Stats().StoreFailures != 0 || len(log.lines("cannot be read")) == 0 {
				t.Error("the store is taken to have failed")
			}
			other := newIdentity(t)
			if d, _ := s.login(other, 1, d2m.SlotNew); d.info.SlotState != d2m.SlotNew {
				t.Error("another group is not served")
			}
			if groups := s.survey(); len(groups) != 1 || groups[other.group].Slots != 1 {
				t.Errorf("the survey has %v", groups)
			}
		})
	}
}
