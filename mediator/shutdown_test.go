package mediator_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/d2m"
	"openmediator/internal/listen"
	"openmediator/mediator"
)

// Every device is told 1001, registered or not, and new ones are refused.
func TestB41_Shutdown(t *testing.T) {
	s := start(t)
	id, other := newIdentity(t), newIdentity(t)
	var devices []*device
	for i := range 3 {
		d, _ := s.login(id, d2m.DeviceID(i), d2m.SlotNew)
		devices = append(devices, d.device)
	}
	d, _ := s.login(other, 1, d2m.SlotNew)
	silent := s.dial(other)
	expect[d2m.ServerHello](silent)
	devices = append(devices, d.device, silent)

	stopped := make(chan error)
	go func() { stopped <- s.Shutdown(context.Background()) }()
	for _, d := range devices {
		d.expectClose(d2m.CloseGoingAway)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if s.Connections() != 0 || s.GroupsInUse() != 0 {
		t.Errorf("%d connections, %d groups in use", s.Connections(), s.GroupsInUse())
	}
	if c, err := s.listener.Dial(); err == nil {
		c.Close()
		t.Error("the listener still takes connections")
	}
}

// What comes through another listener of the operator's is refused, too.
func TestB41_NothingIsUpgradedAfterShutdown(t *testing.T) {
	s := start(t)
	s.Shutdown(context.Background())
	recorder := httptest.NewRecorder()
	s.ServeHTTP(recorder, upgradeOf(newIdentity(t)))
	if recorder.Code != http.StatusServiceUnavailable {
		t.Errorf("answered with %d", recorder.Code)
	}
	if err := s.Serve(listen.TCP(t)); err != nil {
		t.Error(err)
	}
}

// What was acked before the end is there when the next server starts, and what was acknowledged does not come again.
func TestB41_NothingAckedIsLost(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		receiver, _ := s.login(id, 2, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](receiver.device)
		w := s.loginWire(id, 1, d2m.SlotNew)
		in := w.listen()
		go func() {
			for i := range 1_000_000 {
				if _, err := w.Write(appendMessages(nil, d2m.Reflect{ID: d2m.ReflectID(i), Envelope: []byte{1, 2, 3, 4}})); err != nil {
					return
				}
			}
		}()
		for range 100 {
			receiver.send(d2m.ReflectedAck{ID: expect[d2m.Reflected](receiver.device).ID})
		}
		receiver.listen()
		s.Shutdown(t.Context())
		acked := 0
		for _, m := range in.take() {
			if _, ok := m.(d2m.ReflectAck); ok {
				acked++
			}
		}
		next := startServer(t, listen.NewPipe(), s.memory().Clone(), mediator.DefaultConfig())
		_, queue := next.login(id, 2, d2m.SlotExisting)
		if acked < 100 || len(queue) < acked-100 || len(queue) > acked {
			t.Errorf("%d acked, 100 acknowledged, %d in the queue", acked, len(queue))
		}
	})
}

// A device that reads nothing cannot hold the server up for longer than the operator is ready to wait.
func TestB41_StuckDevice(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		s.overtaken(id)
		w := s.dialWire(newIdentity(t)) // does not even read ServerHello
		other, _ := s.login(id, 7, d2m.SlotNew)
		in := other.listen()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		started := time.Now()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown returns %v", err)
		}
		if took := time.Since(started); took != 10*time.Second {
			t.Errorf("it took %v", took)
		}
		if _, code, at := in.ended(); code != d2m.CloseGoingAway || at.Sub(started) > time.Second {
			t.Errorf("the other device was closed with %d at %v", code, at)
		}
		io.Copy(io.Discard, w)
		if s.Connections() != 0 || s.GroupsInUse() != 0 {
			t.Errorf("%d connections, %d groups in use", s.Connections(), s.GroupsInUse())
		}
	})
}

// Devices that come while the server stops get 1001, or nothing, and never a lost slot.
func TestB41_LoginsMeanwhile(t *testing.T) {
	s := start(t)
	id := newIdentity(t)
	began := make(chan struct{}, 100)
	ends := make(chan d2m.CloseCode, 100)
	for i := range 20 {
		go func() {
			ends <- s.churn(id, d2m.DeviceID(i%8), began)
		}()
	}
	for range 40 {
		<-began
	}
	s.Shutdown(context.Background())
	for range 20 {
		switch code := <-ends; code {
		case 0, d2m.CloseGoingAway:
		default:
			t.Errorf("closed with %d", code)
		}
	}
}

// churn logs a device in again and again until it is told to stop or cannot connect.
func (s *testServer) churn(id identity, device d2m.DeviceID, began chan<- struct{}) d2m.CloseCode {
	state := d2m.SlotNew
	for {
		d, err := s.tryDial(id)
		if err != nil {
			return 0
		}
		code := d.tryLogin(device, state)
		select {
		case began <- struct{}{}:
		default:
		}
		switch code {
		case d2m.CloseSlotState: // another goroutine has made, or not yet made, the slot
			state ^= d2m.SlotNew ^ d2m.SlotExisting
		case 0, d2m.CloseReplaced:
		default:
			return code
		}
	}
}

// lateHijacker is a request that is upgraded while something else happens.
type lateHijacker struct {
	*httptest.ResponseRecorder
	hijack func() net.Conn
}

func (l lateHijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c := l.hijack()
	return c, bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c)), nil
}

// A connection that is being upgraded when the server begins to stop is told so, and waited for.
func TestB41_UpgradeMeanwhile(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		near, far := net.Pipe()
		stopped := make(chan error, 1)
		s.ServeHTTP(lateHijacker{httptest.NewRecorder(), func() net.Conn {
			go func() { stopped <- s.Shutdown(context.Background()) }()
			synctest.Wait()
			return far
		}}, upgradeOf(newIdentity(t)))
		if len(stopped) != 0 {
			t.Fatal("Shutdown did not wait")
		}
		w := &wire{t, near, bufio.NewReader(near)}
		w.expectClose(d2m.CloseGoingAway)
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}
