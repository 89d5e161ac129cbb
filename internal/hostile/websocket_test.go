package hostile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"testing"

	"openmediator/d2m"
	"openmediator/internal/listen"
)

// state is how far a hostile connection has come when it sends what it should not.
type state int

const (
	stranger   state = iota // upgraded; ServerHello is read
	pending                 // ClientHello is sent; the store keeps ServerInfo back
	registered              // ServerInfo is read
	refused                 // closed by the server with 4010, the Close not yet answered: nobody reads messages any more
	dropped                 // closed by the server with 4113, the Close not yet answered: messages are read and ignored
	crossing                // the server is about to close with 4010, while the rest is on its way
	lastState  = crossing
)

var states = map[state]string{
	stranger: "before ClientHello", pending: "before ServerInfo", registered: "registered",
	refused: "closing with 4010", dropped: "closing with 4113", crossing: "crossing a Close with 4010",
}

func (s state) closing() bool { return s == refused || s == dropped }

// message is a valid one of a size. Before ClientHello that is Proxy, which is held back; later it is Reflect.
func (s state) message(size int) []byte {
	const container, header = 4, 8
	if s == stranger {
		return d2m.Proxy{Data: counting(max(0, size-container))}.Append(nil)
	}
	m := d2m.Reflect{Envelope: counting(max(0, size-container-header))}.Append(nil)
	if len(m) > 100 { // a header that is longer than today's makes the longest message possible
		m[container] = 28
	}
	return m
}

// counting are bytes that are nowhere the same for long.
func counting(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>8)
	}
	return b
}

// rfcCase is something that a device sends, and what comes of it.
type rfcCase struct {
	section string // of RFC 6455
	name    string
	send    func(s state) []byte
	want    func(s state) outcome // but while closing: then nothing comes of anything
}

// outcome is what the server sends, and what comes of what it was sent.
type outcome struct {
	pongs    []string
	messages int    // that were taken: acknowledged, if they are Reflects
	code     uint16 // of its Close frame; 0: the connection goes on
	echo     bool   // that answers the device's Close frame; not compared
}

// noCode is how a Close frame without a code is noted, as everywhere (RFC 6455, 7.1.5).
const noCode = 1005

func (o outcome) String() string {
	return fmt.Sprintf("%d messages taken, pongs %.80q, code %d", o.messages, o.pongs, o.code)
}

func (o outcome) equal(other outcome) bool {
	return slices.Equal(o.pongs, other.pongs) && o.messages == other.messages && o.code == other.code
}

// What most cases end with.
var (
	violation     = outcome{code: uint16(d2m.CloseProtocolViolation)}
	protocolError = outcome{code: uint16(d2m.CloseProtocolError)}
)

// refusal is something after which the server reads no further message.
var refusal = wsFrame(fin|opText, []byte("text"))

// always sends the same in every state.
func always(b ...[]byte) func(state) []byte {
	return func(state) []byte { return slices.Concat(b...) }
}

func ends(o outcome) func(state) outcome        { return func(state) outcome { return o } }
func closes(code uint16) func(state) outcome    { return ends(outcome{code: code, echo: true}) }
func taken(messages int) func(state) outcome    { return ends(outcome{messages: messages}) }
func pongs(pongs ...string) func(state) outcome { return ends(outcome{pongs: pongs}) }

// arena is a server, the group that is attacked, and who of it is honest.
type arena struct {
	t      testing.TB
	target *target
	id     identity
	honest *honest
	slot   d2m.SlotState // of the attacker
	logins int
}

// attacker is the device id of hostile connections.
const attacker d2m.DeviceID = 1

func newArena(t testing.TB, l listen.Listener) *arena {
	a := &arena{t: t, target: newTarget(t, l), id: newIdentity(t), slot: d2m.SlotNew}
	a.honest = newHonest(t, a.target, a.id)
	return a
}

// hello is a ClientHello that makes the store work.
func (a *arena) hello(s *stream) []byte {
	a.t.Helper()
	a.logins++
	hello := a.id.answer(a.t, s.expectHello(), attacker, a.slot, fmt.Sprint(a.logins))
	a.slot = d2m.SlotExisting
	return wsFrame(fin|opBinary, hello.Append(nil))
}

// enter brings a new connection into a state.
func (a *arena) enter(st state) *stream {
	a.t.Helper()
	s := a.target.upgrade(a.t, a.id)
	if st == stranger {
		s.expectHello()
		return s
	}
	hello := a.hello(s)
	if st == pending {
		a.target.store.close()
		s.write(append(hello, wsFrame(fin|opPing, nil)...))
		s.observe(func(o outcome) bool { return len(o.pongs) > 0 })
		return s
	}
	s.write(hello)
	s.awaitMessage(d2m.TypeReflectionQueueDry)
	switch st {
	case refused:
		s.write(refusal)
		s.awaitClose(d2m.CloseProtocolError)
	case dropped:
		s.write(wsFrame(fin|opBinary, d2m.DropDevice{DeviceID: attacker}.Append(nil)))
		s.awaitClose(d2m.CloseDropped)
		a.slot = d2m.SlotNew
	}
	return s
}

// awaitMessage reads up to a message of a type, and acknowledges what is in the queue.
func (s *stream) awaitMessage(want d2m.Type) {
	s.t.Helper()
	for {
		first, payload, err := s.read()
		if err != nil || first != fin|opBinary {
			s.t.Fatalf("got %#x %x, %v; want %v", first, payload, err, want)
		}
		m, err := d2m.Parse(payload)
		if err != nil {
			s.t.Fatal(err)
		}
		if r, ok := m.(d2m.Reflected); ok {
			s.write(wsFrame(fin|opBinary, d2m.ReflectedAck{ID: r.ID}.Append(nil)))
		}
		if m.Type() == want {
			return
		}
	}
}

func (s *stream) awaitClose(want d2m.CloseCode) {
	s.t.Helper()
	if got := s.observe(nil); got.code != uint16(want) {
		s.t.Fatalf("closed with %d, want %d", got.code, want)
	}
}

// observe reads until the server closes, or until enough says that there is nothing more to come.
func (s *stream) observe(enough func(outcome) bool) (got outcome) {
	s.t.Helper()
	for enough == nil || !enough(got) {
		first, payload, err := s.read()
		if err != nil {
			s.t.Fatalf("%v, after %v", err, got)
		}
		switch first {
		case fin | opPong:
			got.pongs = append(got.pongs, string(payload))
		case fin | opClose:
			got.code = noCode
			if len(payload) >= 2 {
				got.code = binary.BigEndian.Uint16(payload)
			}
			return got
		case fin | opBinary:
			m, err := d2m.Parse(payload)
			if err != nil || !m.Type().FromServer() {
				s.t.Fatalf("got %v, %v", m, err)
			}
			if m.Type() == d2m.TypeReflectAck {
				got.messages++
			}
		case fin | opPing:
		default:
			s.t.Fatalf("got %#x %x", first, payload)
		}
	}
	return got
}

// leave closes the connection as a device should.
func (s *stream) leave() {
	s.t.Helper()
	s.write(wsFrame(fin|opClose, closePayload(1000, "")))
	s.awaitClose(1000)
	s.expectEnd()
}

// check runs a case in a state and fails unless what comes of it is what the case says.
func (a *arena) check(c *rfcCase, st state) {
	a.t.Helper()
	defer a.target.store.open()
	s := a.enter(st)
	sent := c.send(st)
	want := c.want(st)
	switch {
	case st.closing():
		if !want.echo {
			sent = append(sent, wsFrame(fin|opClose, closePayload(1000, ""))...)
		}
		a.checkClosing(s, sent)
		want = outcome{}
	case st == crossing:
		want = outcome{code: protocolError.code, echo: want.echo}
		a.checkEnd(s, append(bytes.Clone(refusal), sent...), want)
	case want.code != 0:
		a.checkEnd(s, sent, want)
	default:
		a.checkLife(s, st, sent, want)
	}
	if st == stranger {
		want.messages = 0 // they were not for the group
	}
	a.honest.areWell(delivered(sent, want.messages)...)
}

// delivered are the envelopes that the group gets of what was sent.
func delivered(sent []byte, messages int) (envelopes [][]byte) {
	for _, message := range messagesIn(sent) {
		if r, err := d2m.Parse(message); err == nil && len(envelopes) < messages {
			if r, ok := r.(d2m.Reflect); ok {
				envelopes = append(envelopes, bytes.Clone(r.Envelope))
			}
		}
	}
	return envelopes
}

// checkEnd expects the server to close.
func (a *arena) checkEnd(s *stream, sent []byte, want outcome) {
	a.t.Helper()
	s.write(sent)
	a.target.store.open()
	if got := s.observe(nil); !got.equal(want) {
		a.t.Errorf("%v, want %v", got, want)
	}
	if !want.echo {
		s.write(wsFrame(fin|opClose, closePayload(want.code, "")))
	}
	s.endWriting()
	s.expectEnd()
}

// checkLife expects the connection to go on.
func (a *arena) checkLife(s *stream, st state, sent []byte, want outcome) {
	a.t.Helper()
	const barrier = "and still here"
	s.write(append(sent, wsFrame(fin|opPing, []byte(barrier))...))
	want.pongs = append(slices.Clone(want.pongs), barrier)
	answered := func(o outcome) bool { return slices.Contains(o.pongs, barrier) }
	if st == stranger {
		want.messages = 0 // held back, not answered
	}
	got := outcome{}
	if st == pending {
		got = s.observe(answered)
		if got.messages > 0 {
			a.t.Error("a message was answered before it could be stored")
		}
		a.target.store.open()
	}
	rest := s.observe(func(o outcome) bool {
		return (st == pending || answered(o)) && o.messages >= want.messages
	})
	got.messages, got.pongs, got.code = got.messages+rest.messages, append(got.pongs, rest.pongs...), rest.code
	if !got.equal(want) {
		a.t.Errorf("%v, want %v", got, want)
	}
	s.leave()
}

// checkClosing expects nothing but the end, in order: neither a second Close frame nor a message nor a reset, which would
// eat the Close frame before (B45).
func (a *arena) checkClosing(s *stream, sent []byte) {
	a.t.Helper()
	if _, err := s.Write(sent); err != nil {
		a.t.Errorf("the server did not read on: %v", err)
	}
	s.endWriting()
	for {
		first, payload, err := s.read()
		if err == io.EOF {
			return
		}
		if err != nil || first != fin|opPong {
			a.t.Fatalf("got %#x %.40x, %v behind the Close frame", first, payload, err)
		}
	}
}

// messagesIn are the messages in a stream of masked frames, as far as it keeps to the rules.
func messagesIn(b []byte) (messages [][]byte) {
	var message []byte
	for len(b) >= 6 {
		first, size, head := b[0], uint64(b[1]&0x7f), 2
		switch {
		case size == 126:
			size, head = uint64(binary.BigEndian.Uint16(b[2:])), 4
		case size == 127 && len(b) >= 14:
			size, head = binary.BigEndian.Uint64(b[2:]), 10
		}
		if head += len(maskingKey); head > len(b) || size > uint64(len(b)-head) {
			break
		}
		payload := maskedWith(b[head-len(maskingKey):head], b[head:head+int(size)])
		b = b[head+int(size):]
		switch first {
		case opBinary, opContinuation:
			message = append(message, payload...)
		case fin | opBinary, fin | opContinuation:
			messages = append(messages, append(message, payload...))
			message = nil
		}
	}
	return messages
}

// run checks a table of cases in every state that is due.
func run(t *testing.T, cases []rfcCase) {
	a := newArena(t, listen.TCP(t))
	for st := stranger; st <= lastState; st++ {
		for i := range cases {
			if !isDue(i, len(cases), st) {
				continue
			}
			c := &cases[i]
			t.Run(fmt.Sprintf("%s, %s %s", states[st], c.section, c.name), func(t *testing.T) {
				a.in(t).check(c, st)
			})
		}
	}
}

// isDue says whether a case of so many is tried in a state. Where the whole would take long, it is when registered, and in
// one state more.
func isDue(i, cases int, st state) bool {
	const few = 10
	other := state(i % int(lastState))
	if other >= registered {
		other++
	}
	return whole || cases <= few || st == registered || st == other
}

// in has the arena report to a subtest.
func (a *arena) in(t *testing.T) *arena {
	a.t, a.honest.t = t, t
	return a
}
