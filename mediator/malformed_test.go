package mediator_test

import (
	"context"
	"testing"

	"github.com/coder/websocket"

	"openmediator/d2m"
)

// neighbours are two devices of one group and one of another: what the first does must not be felt by the others.
type neighbours struct {
	s              *testServer
	id             identity
	peer, stranger *registered
	sent           d2m.ReflectID
}

func newNeighbours(t *testing.T) *neighbours {
	t.Helper()
	s := start(t)
	n := &neighbours{s: s, id: newIdentity(t)}
	n.peer, _ = s.login(n.id, 2, d2m.SlotNew)
	expect[d2m.RolePromotedToLeader](n.peer.device)
	s.login(n.id, 1, d2m.SlotNew)
	n.stranger, _ = s.login(newIdentity(t), 1, d2m.SlotNew)
	expect[d2m.RolePromotedToLeader](n.stranger.device)
	return n
}

// areWell fails if one of the others has noticed something.
func (n *neighbours) areWell() {
	n.s.t.Helper()
	n.sent++
	n.peer.reflect(n.sent, []byte("still here"))
	n.stranger.reflect(n.sent, []byte("here too"))
}

func TestB40_InvalidFrames(t *testing.T) {
	n := newNeighbours(t)
	for _, v := range readVectors(t).Invalid {
		t.Run(v.Name, func(t *testing.T) {
			n.s.t = t
			before := n.s.dial(n.id)
			expect[d2m.ServerHello](before)
			if v.Name != "a second client hello" {
				before.sendFrame(v.Frame)
				before.expectCloseAtOnce(d2m.CloseProtocolError)
			}
			d, _ := n.s.login(n.id, 1, d2m.SlotExisting)
			d.sendFrame(v.Frame)
			d.expectCloseAtOnce(d2m.CloseProtocolError)
			n.areWell()
		})
	}
}

func TestB40_OversizedMessages(t *testing.T) {
	n := newNeighbours(t)
	for name, frame := range map[string][]byte{
		"65,537 bytes":                 d2m.Proxy{Data: make([]byte, d2m.MaxProxyDataSize+1)}.Append(nil),
		"envelope of 65,517 bytes":     d2m.Reflect{Envelope: make([]byte, d2m.MaxEnvelopeSize+1)}.Append(nil),
		"reflect of 65,536 bytes":      d2m.Reflect{Envelope: make([]byte, d2m.MaxMessageSize-12)}.Append(nil),
		"a megabyte":                   make([]byte, 1<<20),
		"shared data of 8,193 bytes":   d2m.SetSharedDeviceData{Data: make([]byte, 8193)}.Append(nil),
		"65,537 bytes of nothing":      make([]byte, d2m.MaxMessageSize+1),
		"drop device with a long tail": append(d2m.DropDevice{DeviceID: 9}.Append(nil), make([]byte, 1<<16)...),
	} {
		t.Run(name, func(t *testing.T) {
			n.s.t = t
			d, _ := n.s.login(n.id, 1, d2m.SlotExisting)
			d.sendFrame(frame)
			d.expectCloseAtOnce(d2m.CloseProtocolError)
			n.areWell()
		})
	}
	t.Run("as fragments without an end", func(t *testing.T) {
		n.s.t = t
		w := n.s.loginWire(n.id, 1, d2m.SlotExisting)
		w.frame(opBinary, d2m.Reflect{Envelope: make([]byte, 1000)}.Append(nil))
		for range 65 {
			w.frame(opContinuation, make([]byte, 1000))
		}
		w.expectClose(d2m.CloseProtocolError)
		n.areWell()
	})
	t.Run("the largest envelope is delivered", func(t *testing.T) {
		n.s.t = t
		queue := await[d2m.ReflectionQueueDry]
		d := n.s.dial(n.id).register(1, d2m.SlotExisting)
		queue(d.device)
		envelope := make([]byte, d2m.MaxEnvelopeSize)
		envelope[0], envelope[len(envelope)-1] = 1, 2
		ack := d.reflect(1, envelope)
		got := expect[d2m.Reflected](n.peer.device)
		if string(got.Envelope) != string(envelope) || got.Timestamp != ack.Timestamp {
			t.Errorf("%d bytes came, %d were sent", len(got.Envelope), len(envelope))
		}
	})
}

func TestB40_TextMessages(t *testing.T) {
	n := newNeighbours(t)
	frame := d2m.GetDevicesInfo{}.Append(nil)
	for name, text := range map[string][]byte{"a word": []byte("hello"), "empty": nil, "a valid frame": frame, "long": make([]byte, 1<<20)} {
		t.Run(name, func(t *testing.T) {
			n.s.t = t
			before := n.s.dial(n.id)
			expect[d2m.ServerHello](before)
			d, _ := n.s.login(n.id, 1, d2m.SlotExisting)
			for _, d := range []*device{before, d.device} {
				if err := d.ws.Write(context.Background(), websocket.MessageText, text); err != nil {
					t.Fatal(err)
				}
				d.expectCloseAtOnce(d2m.CloseProtocolError)
			}
			n.areWell()
		})
	}
}

// A reason is for whoever writes an app. It fits into a Close frame and tells nothing of anybody (B42).
func TestB40_ReasonsAreShort(t *testing.T) {
	n := newNeighbours(t)
	for _, v := range readVectors(t).Invalid {
		w := n.s.loginWire(n.id, 1, d2m.SlotExisting)
		w.frame(fin|opBinary, v.Frame)
		for {
			first, payload, err := w.read()
			if err != nil {
				t.Fatalf("%s: %v", v.Name, err)
			}
			if first != fin|opClose {
				continue
			}
			if reason := payload[2:]; len(reason) < 10 || len(reason) > d2m.MaxCloseReasonSize {
				t.Errorf("%s: reason is %q", v.Name, reason)
			}
			break
		}
	}
}
