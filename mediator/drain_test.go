package mediator_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/d2m"
	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/reflect/memstore"
)

// step is between two devices that are told to go, unless there are very many.
const step = 10 * time.Millisecond

// crowd is devices of several groups that listen.
type crowd struct{ leaders, followers []*inbox }

func (c *crowd) all() []*inbox {
	return append(c.followers[:len(c.followers):len(c.followers)], c.leaders...)
}

// crowd logs groups of three in.
func (s *testServer) crowd(groups int) *crowd {
	c := new(crowd)
	for range groups {
		id := newIdentity(s.t)
		leader, _ := s.login(id, 1, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](leader.device)
		c.leaders = append(c.leaders, leader.listen())
		for i := range 2 {
			follower, _ := s.login(id, d2m.DeviceID(2+i), d2m.SlotNew)
			c.followers = append(c.followers, follower.listen())
		}
	}
	return c
}

// expectGone fails unless all were told 1001, the last one so long after the first.
func expectGone(t *testing.T, all []*inbox, began time.Time, within time.Duration) {
	t.Helper()
	synctest.Wait()
	var last time.Duration
	for i, in := range all {
		over, code, at := in.ended()
		if !over || code != d2m.CloseGoingAway {
			t.Errorf("device %d: over %t, code %d", i, over, code)
		}
		last = max(last, at.Sub(began))
	}
	if last != within {
		t.Errorf("the last one was told after %v, want %v", last, within)
	}
}

// Devices are told one after the other, leaders last, and nobody is made leader for the time that is left.
func TestB41_DevicesGoOneAfterTheOther(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		c := s.crowd(10)
		began := time.Now()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		turns := make(map[time.Duration]int)
		for _, in := range c.all() {
			_, _, at := in.ended()
			turns[at.Sub(began)]++
			for _, m := range in.take() {
				if _, promoted := m.(d2m.RolePromotedToLeader); promoted {
					t.Error("a device was made leader")
				}
			}
		}
		for i := range 30 {
			if n := turns[time.Duration(i)*step]; n != 1 {
				t.Errorf("after %v %d devices were told", time.Duration(i)*step, n)
			}
		}
		expectGone(t, c.followers, began, 19*step)
		expectGone(t, c.leaders, began, 29*step)
	})
}

// With more devices than have room in DrainTime at that pace it is faster; 0 is all at once.
func TestB41_DrainTime(t *testing.T) {
	for within, last := range map[time.Duration]time.Duration{
		0:                      0,
		150 * time.Millisecond: 145 * time.Millisecond,
		4 * time.Second:        290 * time.Millisecond,
	} {
		inBubble(t, func(t *testing.T) {
			config := mediator.DefaultConfig()
			config.DrainTime = within
			s := startServer(t, listen.NewPipe(), memstore.New(), config)
			if got := s.DrainTime(); got != within {
				t.Errorf("DrainTime is %v", got)
			}
			c := s.crowd(10)
			began := time.Now()
			s.Shutdown(context.Background())
			expectGone(t, c.all(), began, last)
		})
	}
}

// Half of the time that there is at all is enough for telling; and when there is none any more, the rest is told at once.
func TestB41_DrainWithinContext(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		c := s.crowd(10)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		began := time.Now()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		expectGone(t, c.all(), began, 145*time.Millisecond)
	})
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		c := s.crowd(10)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(step*9/2, cancel)
		began := time.Now()
		s.Shutdown(ctx)
		synctest.Wait()
		for _, in := range c.all() {
			if over, _, at := in.ended(); !over || at.Sub(began) > step*9/2 {
				t.Errorf("over %t after %v", over, at.Sub(began))
			}
		}
	})
}

// When all have left by themselves there is nothing to wait for.
func TestB41_DevicesLeaveMeanwhile(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		var devices []*registered
		for i := range 10 {
			d, _ := s.login(id, d2m.DeviceID(i), d2m.SlotNew)
			devices = append(devices, d)
		}
		began := time.Now()
		time.AfterFunc(step/2, func() {
			for _, d := range devices {
				d.ws.CloseNow()
			}
		})
		s.Shutdown(context.Background())
		if took := time.Since(began); took != step/2 {
			t.Errorf("it took %v", took)
		}
	})
}

// A device that has vanished does not answer the Close, for which it is waited 5 s: its turn is the first one, so that this
// time is not added to that of the others. Who was silent for so long does not count as leader.
func TestB41_VanishedDevicesGoFirst(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		c := s.crowd(10)
		vanished := s.loginWire(newIdentity(t), 1, d2m.SlotNew)
		go io.Copy(io.Discard, vanished) // it takes what comes, and answers nothing
		time.Sleep(40 * time.Second)     // the others answer pings
		began := time.Now()
		s.Shutdown(context.Background())
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("it took %v", took)
		}
		expectGone(t, c.all(), began, 30*step)
	})
}

// What is reflected while the others have gone is acknowledged, and there when they come back.
func TestB41_ReflectingMeanwhile(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		s.crowd(10)
		id := newIdentity(t)
		leader, _ := s.login(id, 1, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](leader.device)
		follower, _ := s.login(id, 2, d2m.SlotNew)
		gone, in := follower.listen(), leader.listen()
		go func() {
			<-gone.done
			leader.send(d2m.Reflect{ID: 5, Envelope: []byte("while they go")})
		}()
		s.Shutdown(context.Background())
		synctest.Wait()
		acked := false
		for _, m := range in.take() {
			ack, ok := m.(d2m.ReflectAck)
			acked = acked || ok && ack.ID == 5
		}
		next := startServer(t, listen.NewPipe(), s.memory().Clone(), mediator.DefaultConfig())
		_, queue := next.login(id, 2, d2m.SlotExisting)
		if !acked || len(queue) != 1 || string(queue[0].Envelope) != "while they go" {
			t.Errorf("acked %t, queue %v", acked, queue)
		}
	})
}

// Drain is for an operator who has no signal to send: it ends Serve, whose caller then does all else, and lets nobody in.
func TestB41_Drain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		server, err := mediator.New(memstore.New(), mediator.DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		l := listen.NewPipe()
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()
		s := &testServer{t: t, Server: server, listener: l}
		id := newIdentity(t)
		d, _ := s.login(id, 1, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](d.device)
		if s.Draining() {
			t.Error("Draining before Drain")
		}
		s.Drain()
		s.Drain()
		if err := <-served; err != nil || !s.Draining() {
			t.Errorf("Serve returns %v, Draining %t", err, s.Draining())
		}
		if err := s.Reconfigure(mediator.DefaultConfig()); err == nil {
			t.Error("it may be reconfigured")
		}
		recorder := httptest.NewRecorder()
		s.ServeHTTP(recorder, upgradeOf(id))
		if recorder.Code != http.StatusServiceUnavailable || recorder.Header().Get("Retry-After") != "5" {
			t.Errorf("answered with %d, Retry-After %q", recorder.Code, recorder.Header().Get("Retry-After"))
		}
		d.send(d2m.Reflect{ID: 3})
		if ack := expect[d2m.ReflectAck](d.device); ack.ID != 3 {
			t.Errorf("got %+v", ack)
		}
		in := d.listen()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if _, code, _ := in.ended(); code != d2m.CloseGoingAway {
			t.Errorf("closed with %d", code)
		}
	})
}

// upgradeOf is a request as it comes through a listener of somebody else's.
func upgradeOf(id identity) *http.Request {
	request := httptest.NewRequest("GET", id.path(), nil)
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", "websocket")
	request.Header.Set("Sec-WebSocket-Version", "13")
	request.Header.Set("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")
	return request
}

// A commit that hangs in the disk holds nobody up but the devices of its group, and the end of the server for 5 s.
func TestB44_ShutdownWhileTheStoreHangs(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		sender, _ := s.login(id, 1, d2m.SlotNew)
		peer, _ := s.login(id, 2, d2m.SlotNew)
		other, _ := s.login(newIdentity(t), 1, d2m.SlotNew)
		inSender, inPeer, inOther := sender.listen(), peer.listen(), other.listen()
		time.Sleep(time.Minute)
		gate := make(chan struct{})
		defer close(gate)
		s.memory().Fail(func(op memstore.Op, _ d2m.GroupID) error {
			if op == memstore.OpCommit {
				<-gate
			}
			return nil
		})
		sender.send(d2m.Reflect{ID: 9, Envelope: []byte("hangs")})
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		if err := s.Shutdown(ctx); !errors.Is(err, mediator.ErrStoreHangs) {
			t.Errorf("Shutdown returns %v", err)
		}
		if took := time.Since(began); took != 15*time.Second {
			t.Errorf("it took %v", took)
		}
		synctest.Wait()
		if _, code, at := inOther.ended(); code != d2m.CloseGoingAway || at.Sub(began) > 2*step {
			t.Errorf("the other group's device: code %d after %v", code, at.Sub(began))
		}
		for _, in := range []*inbox{inSender, inPeer} {
			if over, code, at := in.ended(); !over || code != 0 || at.Sub(began) != 10*time.Second {
				t.Errorf("over %t, code %d after %v", over, code, at.Sub(began))
			}
			for _, m := range in.take() {
				if _, acked := m.(d2m.ReflectAck); acked {
					t.Error("acked what is not stored")
				}
			}
		}
	})
}
