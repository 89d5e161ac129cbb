package mediator_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/d2m"
)

// unmasked is a frame as only a server may send it.
func unmasked(first byte, payload []byte) []byte {
	return append([]byte{first, byte(len(payload))}, payload...)
}

// violations of RFC 6455, after which nothing can be understood any more.
func violations() map[string][]byte {
	frame := d2m.GetDevicesInfo{}.Append(nil)
	v := map[string][]byte{
		"unmasked frame":                unmasked(fin|opBinary, frame),
		"unmasked ping":                 unmasked(fin|opPing, nil),
		"ping in fragments":             appendFrame(nil, opPing, []byte("half")),
		"close in fragments":            appendFrame(nil, opClose, []byte{3, 232}),
		"ping of 126 bytes":             appendFrame(nil, fin|opPing, make([]byte, 126)),
		"pong of 70,000 bytes":          appendFrame(nil, fin|opPong, make([]byte, 70_000)),
		"continuation of nothing":       appendFrame(nil, opContinuation, frame),
		"last continuation of nothing":  appendFrame(nil, fin|opContinuation, frame),
		"message inside a message":      append(appendFrame(nil, opBinary, frame), appendFrame(nil, fin|opBinary, frame)...),
		"close payload of one byte":     appendFrame(nil, fin|opClose, []byte{3}),
		"length with the highest bit":   {fin | opBinary, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0},
		"reserved bits in continuation": append(appendFrame(nil, opBinary, frame), appendFrame(nil, 0x40|fin|opContinuation, frame)...),
	}
	for bit := byte(0x10); bit <= 0x40; bit <<= 1 {
		v[fmt.Sprintf("reserved bit %#x", bit)] = appendFrame(nil, fin|bit|opBinary, frame)
	}
	for _, opcode := range []byte{0x3, 0x4, 0x5, 0x6, 0x7, 0xb, 0xc, 0xd, 0xe, 0xf} {
		v[fmt.Sprintf("opcode %#x", opcode)] = appendFrame(nil, fin|opcode, frame)
	}
	for _, code := range []uint16{0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535} {
		v[fmt.Sprintf("close with %d", code)] = appendFrame(nil, fin|opClose, binary.BigEndian.AppendUint16(nil, code))
	}
	return v
}

func TestB40_ViolationsOfRFC6455(t *testing.T) {
	n := newNeighbours(t)
	for name, violation := range violations() {
		t.Run(name, func(t *testing.T) {
			n.s.t = t
			before := n.s.dialWire(n.id)
			before.write(violation)
			before.expectClose(d2m.CloseProtocolViolation)

			w := n.s.loginWire(n.id, 1, d2m.SlotExisting)
			w.write(violation)
			w.expectClose(d2m.CloseProtocolViolation)
			n.areWell()
		})
	}
}

// What comes behind a violation cannot be read, but it must not eat the Close frame by a reset (B45).
func TestB40_ViolationWithMuchBehindIt(t *testing.T) {
	n := newNeighbours(t)
	for name, violation := range violations() {
		t.Run(name, func(t *testing.T) {
			n.s.t = t
			w := n.s.loginWire(n.id, 1, d2m.SlotExisting)
			w.write(append(violation, bytes.Repeat([]byte{0xff}, 1<<20)...))
			w.expectCloseFrame(d2m.CloseProtocolViolation)
			w.frame(fin|opClose, []byte{3, 234})
			w.CloseWrite()
			w.expectEnd()
		})
	}
}

// CloseWrite says that nothing more will be sent.
func (w *wire) CloseWrite() {
	w.t.Helper()
	if err := w.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		w.t.Fatal(err)
	}
}

func TestB40_FragmentsAreAccepted(t *testing.T) {
	s := start(t)
	id := newIdentity(t)
	peer, _ := s.login(id, 2, d2m.SlotNew)
	expect[d2m.RolePromotedToLeader](peer.device)
	w := s.dialWire(id)
	hello := id.hello(t, expectOn[d2m.ServerHello](w), 1, d2m.SlotNew).Append(nil)
	for i, b := range hello { // byte by byte, with empty ones between
		first := byte(opContinuation)
		if i == 0 {
			first = opBinary
		}
		w.frame(first, []byte{b})
		w.frame(opContinuation, nil)
	}
	w.frame(fin|opContinuation, nil)
	expectOn[d2m.ServerInfo](w)
	expectOn[d2m.ReflectionQueueDry](w)

	envelope := bytes.Repeat([]byte("0123456789abcdef"), 4000)
	frame := d2m.Reflect{ID: 5, Envelope: envelope}.Append(nil)
	w.frame(opBinary, nil)
	w.frame(opContinuation, frame[:7])
	w.frame(fin|opPing, []byte("between"))
	w.frame(opContinuation, frame[7:40_000])
	w.frame(fin|opContinuation, frame[40_000:])
	first, payload, err := w.read()
	if err != nil || first != fin|opPong || string(payload) != "between" {
		t.Fatalf("got %#x %q, %v; want the pong", first, payload, err)
	}
	expectOn[d2m.ReflectAck](w)
	if got := expect[d2m.Reflected](peer.device); !bytes.Equal(got.Envelope, envelope) {
		t.Error("the envelope is not what was sent")
	}
}

func TestB40_EmptyMessage(t *testing.T) {
	n := newNeighbours(t)
	for name, frames := range map[string][]byte{
		"whole":        appendFrame(nil, fin|opBinary, nil),
		"in fragments": append(appendFrame(nil, opBinary, nil), appendFrame(nil, fin|opContinuation, nil)...),
		"many":         bytes.Repeat(appendFrame(nil, fin|opBinary, nil), 10_000),
	} {
		t.Run(name, func(t *testing.T) {
			n.s.t = t
			w := n.s.loginWire(n.id, 1, d2m.SlotExisting)
			w.write(frames)
			w.expectClose(d2m.CloseProtocolError)
			n.areWell()
		})
	}
}

// Each ping gets its pong, with its payload, in order, beside what else is sent.
func TestB40_Pings(t *testing.T) {
	s := start(t)
	w := s.loginWire(newIdentity(t), 1, d2m.SlotNew)
	expectOn[d2m.RolePromotedToLeader](w)
	const pings = 2000
	var flood []byte
	for i := range pings {
		flood = appendFrame(flood, fin|opPing, fmt.Appendf(nil, "%120d", i))
		if i%100 == 0 {
			flood = appendMessages(flood, d2m.GetDevicesInfo{})
		}
	}
	go w.Write(flood)
	pongs, answers := 0, 0
	for pongs < pings || answers < pings/100 {
		first, payload, err := w.read()
		if err != nil {
			t.Fatal(err)
		}
		switch first {
		case fin | opPong:
			if want := fmt.Sprintf("%120d", pongs); string(payload) != want {
				t.Fatalf("pong %q, want %q", payload, want)
			}
			pongs++
		case fin | opBinary:
			answers++
		default:
			t.Fatalf("got %#x %q", first, payload)
		}
	}
}

// A flood of pings that nobody reads the pongs of is not taken for long, and ends like any other stuck reader (B21).
func TestB44_PingsWithoutReading(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		w := s.loginWire(newIdentity(t), 1, d2m.SlotNew)
		started := time.Now()
		taken, ended := w.push(appendFrame(nil, fin|opPing, make([]byte, 125)))
		synctest.Wait()
		if n := taken.Load(); n > 512<<10 {
			t.Errorf("%d bytes were taken of a device that reads nothing", n)
		}
		<-ended
		if took := time.Since(started); took < time.Minute || took > 65*time.Second {
			t.Errorf("ended after %v", took)
		}
		synctest.Wait()
		if s.Connections() != 0 || s.GroupsInUse() != 0 {
			t.Errorf("%d connections, %d groups in use", s.Connections(), s.GroupsInUse())
		}
	})
}
