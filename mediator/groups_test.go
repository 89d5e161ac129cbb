package mediator_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/d2m"
	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/reflect"
	"openmediator/reflect/memstore"
)

// A group is held in memory only while somebody is connected or something is left to be stored.
func TestB44_IdleGroupsAreGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &releases{Store: memstore.New()}
		s := startServer(t, listen.NewPipe(), store, mediator.DefaultConfig())
		var devices []*registered
		for range 20 {
			id := newIdentity(t)
			for device := range d2m.DeviceID(3) {
				d, _ := s.login(id, device, d2m.SlotNew)
				devices = append(devices, d)
			}
		}
		if n := s.GroupsInUse(); n != 20 {
			t.Fatalf("%d groups are in use", n)
		}
		for i, d := range devices {
			if i%2 == 0 {
				d.leaveAtOnce()
			} else {
				d.ws.CloseNow()
			}
		}
		time.Sleep(2 * time.Second)
		if s.GroupsInUse() != 0 || s.Connections() != 0 {
			t.Errorf("%d groups in use, %d connections", s.GroupsInUse(), s.Connections())
		}
		if n := store.count.Load(); n != 20 {
			t.Errorf("%d claims were given back to the store", n)
		}
	})
}

// releases counts the claims that are given back.
type releases struct {
	reflect.Store
	count atomic.Int64
}

func (r *releases) Release(group d2m.GroupID, epoch reflect.Epoch) {
	r.count.Add(1)
	r.Store.Release(group, epoch)
}

// leaveAtOnce reads to the end what is on its way, after a Close frame.
func (d *device) leaveAtOnce() {
	in := d.listen()
	d.ws.Close(1000, "")
	<-in.done
}

// A group whose lazy writes ride along with an urgent one is given up like any other, and its later ones are written.
func TestB44_LazyAndUrgentInOneCommit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id, busy := newIdentity(t), newIdentity(t)
		a, _ := s.login(id, 1, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](a.device)
		b, _ := s.login(id, 2, d2m.SlotNew)
		other, _ := s.login(busy, 1, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](other.device)
		time.Sleep(10 * time.Second)

		gate := make(chan struct{})
		s.memory().Fail(func(op memstore.Op, of d2m.GroupID) error {
			if op == memstore.OpCommit && of == busy.group {
				<-gate
			}
			return nil
		})
		other.send(d2m.SetSharedDeviceData{Data: []byte("holds the committer up")})
		a.send(d2m.Reflect{Flags: d2m.FlagEphemeral, Envelope: []byte("lazy")})
		time.Sleep(time.Second)
		a.send(d2m.Reflect{Envelope: []byte("urgent")})
		synctest.Wait()
		close(gate)
		expect[d2m.ReflectAck](a.device)
		for {
			if r := expect[d2m.Reflected](b.device); !r.Ephemeral() {
				b.send(d2m.ReflectedAck{ID: r.ID})
				break
			}
		}
		time.Sleep(2 * time.Second)
		next := startServer(t, listen.NewPipe(), s.memory().Clone(), mediator.DefaultConfig())
		if _, queue := next.login(id, 2, d2m.SlotExisting); len(queue) != 0 {
			t.Errorf("what was acknowledged 2 s ago comes again: %d messages", len(queue))
		}
		a.leave()
		b.leaveAtOnce()
		other.leave()
		time.Sleep(2 * time.Second)
		if s.GroupsInUse() != 0 {
			t.Errorf("%d groups are in use", s.GroupsInUse())
		}
	})
}

// What is given up is not forgotten: it is claimed anew, with what was acknowledged last.
func TestB44_GroupsComeBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		s.fillQueue(id, 1, 10, 100)
		for left := 10; left > 0; left-- {
			time.Sleep(time.Minute)
			if s.GroupsInUse() != 0 {
				t.Fatal("the group is still in use")
			}
			d, queue := s.login(id, 1, d2m.SlotExisting)
			if len(queue) != left || d.info.ReflectionQueueLength != uint32(left) {
				t.Fatalf("%d messages, server info %+v; want %d", len(queue), d.info, left)
			}
			d.send(d2m.ReflectedAck{ID: queue[0].ID})
			expect[d2m.RolePromotedToLeader](d.device)
			d.leave()
		}
	})
}

// Who connects and asks for nothing, or asks and stays, is not waited for.
func TestB44_PlainHTTPIsBounded(t *testing.T) {
	for name, request := range map[string]string{
		"nothing":              "",
		"half a line":          "GET / HT",
		"headers without end":  "GET / HTTP/1.1\r\nHost: server\r\n",
		"a body without end":   "POST / HTTP/1.1\r\nHost: server\r\nContent-Length: 1000\r\n\r\nabc",
		"chunks without end":   "POST / HTTP/1.1\r\nHost: server\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
		"stays after a GET":    plainRequest("GET", "/"),
		"stays after a HEAD":   plainRequest("HEAD", "/"),
		"stays after an error": upgradeRequest("GET", "/zz"),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := startInBubble(t)
				w := s.dialTCP()
				started := time.Now()
				if request != "" {
					w.writeString(request)
				}
				for {
					if _, err := w.r.ReadByte(); err != nil {
						break
					}
				}
				if took := time.Since(started); took > 15*time.Second {
					t.Errorf("the server let go after %v", took)
				}
			})
		})
	}
}

func TestB44_LargeHeadersAreRefused(t *testing.T) {
	s := start(t)
	a := s.ask(upgradeRequest("GET", newIdentity(t).path(), "X-Large: "+strings.Repeat("x", 40<<10)))
	a.expect(t, http.StatusRequestHeaderFieldsTooLarge)
}

func TestConfigIsChecked(t *testing.T) {
	for name, spoil := range map[string]func(*mediator.Config){
		"handshake timeout": func(c *mediator.Config) { c.HandshakeTimeout = 0 },
		"ping interval":     func(c *mediator.Config) { c.PingInterval = 2 * time.Hour },
		"stall timeout":     func(c *mediator.Config) { c.StallTimeout = time.Millisecond },
		"connections":       func(c *mediator.Config) { c.MaxConnections = 0 },
		"bytes in memory":   func(c *mediator.Config) { c.TailBytes = -1 },
		"device slots":      func(c *mediator.Config) { c.Group.MaxSlots = 17 },
	} {
		config := mediator.DefaultConfig()
		spoil(&config)
		if s, err := mediator.New(memstore.New(), config); err == nil {
			s.Shutdown(t.Context())
			t.Errorf("%s: a bad value is taken", name)
		}
	}
}
