package mediator_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"openmediator/d2m"
	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/reflect"
	"openmediator/reflect/memstore"
)

// After its Close frame the server reads on and discards, until the device's Close or 5 s.
func TestB45_ClosingReadsOn(t *testing.T) {
	for name, answers := range map[string]bool{"and is answered": true, "and gives up": false} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := startInBubble(t)
				id := newIdentity(t)
				w := s.loginWire(id, 1, d2m.SlotNew)
				expectOn[d2m.RolePromotedToLeader](w)
				w.message(d2m.DropDevice{DeviceID: 1})
				expectOn[d2m.DropDeviceAck](w)
				w.expectCloseFrame(d2m.CloseDropped)
				started := time.Now()
				for range 3 { // its Reflects were on their way; each write returns when it has been read
					time.Sleep(time.Second)
					w.message(d2m.Reflect{Envelope: make([]byte, 60_000)})
				}
				want := 5 * time.Second
				if answers {
					w.frame(fin|opClose, []byte{3, 232})
					want = 3 * time.Second
				}
				w.expectEnd()
				if took := time.Since(started); took != want {
					t.Errorf("ended %v after the Close frame, want %v", took, want)
				}
				synctest.Wait()
				if s.Connections() != 0 {
					t.Error("the connection is still counted")
				}
			})
		})
	}
}

// A Close frame that is not taken is not waited for any longer.
func TestB45_CloseFrameIsNotTaken(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		expectOn[d2m.ServerHello](s.dialWire(newIdentity(t)))
		time.Sleep(19 * time.Second)
		if s.Connections() != 1 {
			t.Error("ended before 5 s were over")
		}
		time.Sleep(3 * time.Second)
		if s.Connections() != 0 {
			t.Error("the connection is still there")
		}
	})
}

// However the server closes and whatever arrives meanwhile: the code can be read and TCP ends without a reset.
func TestB45_NoReset(t *testing.T) {
	much := appendMessages(nil, d2m.Reflect{Envelope: make([]byte, 60_000)})
	for name, test := range map[string]struct {
		last []byte
		code d2m.CloseCode
	}{
		"dropped":          {appendMessages(nil, d2m.DropDevice{DeviceID: 1}), d2m.CloseDropped},
		"unknown type":     {appendFrame(nil, fin|opBinary, []byte{0x7f, 0, 0, 0}), d2m.CloseProtocolError},
		"text":             {appendFrame(nil, fin|opText, []byte("hello")), d2m.CloseProtocolError},
		"long text":        {appendFrame(nil, fin|opText, make([]byte, 1<<20)), d2m.CloseProtocolError},
		"too long":         {appendFrame(nil, fin|opBinary, make([]byte, 1<<20)), d2m.CloseProtocolError},
		"too long, in two": {append(appendFrame(nil, opBinary, make([]byte, 1<<17)), appendFrame(nil, fin|opContinuation, nil)...), d2m.CloseProtocolError},
		"unknown ack":      {appendMessages(nil, d2m.ReflectedAck{ID: 1 << 20}), d2m.CloseUnknownMessageAcked},
		"proxy":            {appendMessages(nil, d2m.Proxy{Data: []byte{1}}), d2m.CloseChatServerUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			w := s.loginWire(newIdentity(t), 1, d2m.SlotNew)
			sent := make(chan error, 1)
			go func() {
				_, err := w.Write(append(test.last, bytes.Repeat(much, 20)...))
				sent <- err
			}()
			w.expectCloseFrame(test.code)
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			w.frame(fin|opClose, binary.BigEndian.AppendUint16(nil, uint16(test.code)))
			w.expectEnd()
		})
	}
}

// A Close from the device is answered at once with its own code, whatever it is (d2m.md, 21, 24).
func TestB45_DeviceCloses(t *testing.T) {
	s := start(t)
	id := newIdentity(t)
	state := d2m.SlotNew
	for _, code := range []uint16{1000, 1001, 1011, 3000, 4000, 4010, 4013, 4110, 4113, 4115, 4999} {
		payload := append(binary.BigEndian.AppendUint16(nil, code), "goodbye"...)
		before := s.dialWire(id)
		before.frame(fin|opClose, payload)
		before.expectAnswer(code)

		w := s.loginWire(id, 1, state)
		state = d2m.SlotExisting
		w.frame(fin|opClose, payload)
		w.expectAnswer(code)
	}
	w := s.loginWire(id, 1, state)
	w.frame(fin|opClose, nil)
	w.expectAnswer(1005)
}

// expectAnswer reads up to the answer to a Close frame and on to the end.
func (w *wire) expectAnswer(code uint16) {
	w.t.Helper()
	w.expectCloseFrame(d2m.CloseCode(code))
	w.expectEnd()
}

// It is answered, too, while much waits to be sent to the device: what was begun goes out before, then nothing more.
func TestB45_DeviceClosesWithAQueue(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		s.fillQueue(id, 1, 100, 10_000)
		w := s.dialWire(id)
		w.message(id.hello(t, expectOn[d2m.ServerHello](w), 1, d2m.SlotExisting))
		synctest.Wait() // the writer is stuck
		w.frame(fin|opClose, []byte{0x10, 0x11})
		started := time.Now()
		w.expectAnswer(0x1011)
		if took := time.Since(started); took != 0 {
			t.Errorf("the answer took %v", took)
		}
	})
}

// fillQueue makes a device whose queue holds messages, and goes away. Device 1000 of the group reflects them.
func (s *testServer) fillQueue(id identity, device d2m.DeviceID, messages, size int) {
	s.t.Helper()
	d, _ := s.login(id, device, d2m.SlotNew)
	d.leave()
	sender, _ := s.login(id, 1000, d2m.SlotNew)
	expect[d2m.RolePromotedToLeader](sender.device)
	for i := range messages {
		envelope := make([]byte, size)
		binary.LittleEndian.PutUint32(envelope, uint32(i))
		sender.reflect(d2m.ReflectID(i), envelope)
	}
	sender.leave()
}

// Both sides close at the same moment: each gets the other's Close.
func TestB45_BothSidesClose(t *testing.T) {
	s := start(t)
	id := newIdentity(t)
	state := d2m.SlotNew
	for range 100 {
		d := s.dial(id).register(1, state)
		state = d2m.SlotExisting
		d.readQueue()
		newer := s.dial(id)
		newer.send(newer.hello(expect[d2m.ServerHello](newer), 1, d2m.SlotExisting))
		if err := d.ws.Close(websocket.StatusCode(4010), "own code"); err != nil && websocket.CloseStatus(err) != 4112 {
			t.Fatal(err)
		}
		expect[d2m.ServerInfo](newer)
		newer.leave()
	}
}

// What a code announces is stored before it is sent; if it cannot be, 1011 is sent instead.
func TestB45_WhatACodeAnnouncesIsStored(t *testing.T) {
	for name, test := range map[string]struct {
		failure error
		code    d2m.CloseCode
	}{
		"stored":      {nil, d2m.CloseDropped},
		"unavailable": {reflect.ErrUnavailable, d2m.CloseInternal},
		"fenced":      {reflect.ErrFenced, d2m.CloseGoingAway},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := startInBubble(t)
				id := newIdentity(t)
				victim, _ := s.login(id, 1, d2m.SlotNew)
				asker, _ := s.login(id, 2, d2m.SlotNew)
				got, answers := victim.listen(), asker.listen()
				synctest.Wait()
				got.take()

				gate := make(chan struct{})
				s.memory().Fail(func(op memstore.Op, _ d2m.GroupID) error {
					if op != memstore.OpCommit {
						return nil
					}
					<-gate
					return test.failure
				})
				asker.send(d2m.DropDevice{DeviceID: 1})
				time.Sleep(time.Minute)
				if over, code, _ := got.ended(); over || len(answers.take()) != 0 {
					t.Fatalf("ended with %d before the drop was stored", code)
				}
				close(gate)
				synctest.Wait()
				if _, code, _ := got.ended(); code != test.code {
					t.Errorf("closed with %d, want %d", code, test.code)
				}
				acked := len(answers.take()) != 0
				if acked != (test.failure == nil) {
					t.Errorf("acked: %t", acked)
				}
				s.memory().Fail(nil)
			})
		})
	}
}

// A closing connection counts until TCP has ended.
func TestB45_ClosingConnectionsCount(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		config := mediator.DefaultConfig()
		config.MaxConnections = 2
		s := startServer(t, listen.NewPipe(), memstore.New(), config)
		id := newIdentity(t)
		s.dialWire(id)
		w := s.dialWire(id)
		a := s.ask(upgradeRequest("GET", id.path()))
		a.expect(t, 429)
		if a.header.Get("Retry-After") == "" {
			t.Error("refusal does not say when to try again")
		}
		w.frame(fin|opText, nil)
		w.expectCloseFrame(d2m.CloseProtocolError)
		s.ask(upgradeRequest("GET", id.path())).expect(t, 429)
		w.frame(fin|opClose, []byte{0xf, 0xaa})
		w.expectEnd()
		synctest.Wait()
		s.ask(upgradeRequest("GET", id.path())).expect(t, 101)
	})
}

// A peer that goes on sending after the server's Close frame is read on, but not as fast as it can send.
func TestB45_FloodAfterTheClose(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		w := s.dialWire(newIdentity(t))
		expectOn[d2m.ServerHello](w)
		w.frame(fin|opText, []byte("violation"))
		w.expectCloseFrame(d2m.CloseProtocolError)
		taken := 0
		for flood := appendMessages(nil, d2m.Proxy{Data: make([]byte, 8000)}); ; taken += len(flood) {
			if _, err := w.Write(flood); err != nil {
				break
			}
		}
		if taken < 1<<20 || taken > 3<<20 {
			t.Errorf("server took %d bytes", taken)
		}
	})
}
