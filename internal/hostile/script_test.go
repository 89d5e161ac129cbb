package hostile

import (
	"bytes"
	"encoding/binary"
	"flag"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/d2m"
	"openmediator/internal/listen"
)

// A script is where a device begins, in one byte, and then what it does: each time a byte that says what, and its
// arguments. What is missing at its end counts as zero, and numbers that are too large begin anew, so that every sequence
// of bytes is a script.

// Where a script begins.
const (
	atNothing   = iota // connected
	inRequest          // in the midst of the header lines
	asStranger         // upgraded
	asPending          // ClientHello is on its way
	asMember           // registered
	asHolder           // holds the lock
	inFragments        // registered, with a message begun
	inClosing          // has said something wrong
	beginnings
)

// What it does.
const (
	doBytes     = iota // length, bytes: as they are
	doFrame            // first byte, bits of the length, length, payload
	doHeader           // first byte, 8 bytes of length: announces only
	doMessage          // which
	doMutated          // which, place, XOR: a message with a byte changed
	doFragments        // which, place: a message in two
	doRepeat           // times: what was sent last
	doWait             // tenths of a second
	doRequest          // asks for the upgrade
	doHello            // place, XOR: answers ServerHello, if that has come
	doAck              // difference: acknowledges a message near the last one
	deeds
)

const (
	maxScript = 1024
	maxSent   = 1 << 20 // bytes that a script sends at most
)

// player does what a script says.
type player struct {
	t      *testing.T
	target *target
	id     identity
	stream *stream
	peers  *honest // of the same group: one, and at the end another
	others *honest // of another one

	script []byte
	sent   int
	half   int    // how much had been sent when a message was begun and nothing after it; 0: never
	latest []byte // what was sent last

	// of whoever watches
	ended chan struct{}
	hello atomic.Pointer[d2m.ServerHello]
	info  atomic.Pointer[d2m.ServerInfo]
	last  atomic.Uint32 // reflected-id
}

func newPlayer(t *testing.T, script []byte) *player {
	m := newTarget(t, listen.NewPipe())
	p := &player{
		t: t, target: m, id: newIdentity(t), script: script, ended: make(chan struct{}),
	}
	p.peers = &honest{t: t}
	p.peers.wires[0] = m.wire(t, p.id, honestDevice)
	p.others = newHonest(t, m, newIdentity(t))
	p.stream = m.connect(t)
	p.stream.SetDeadline(time.Time{})
	go p.watch()
	return p
}

// messages are what a device may say when it is registered.
var messages = []d2m.Message{
	d2m.Reflect{ID: 1, Envelope: []byte("envelope")}, d2m.Reflect{ID: 2}, d2m.Reflect{Flags: d2m.FlagEphemeral, Envelope: []byte("typing")},
	d2m.Reflect{ID: 3, Envelope: counting(2000)}, d2m.GetDevicesInfo{}, d2m.SetSharedDeviceData{Data: []byte("shared")},
	d2m.DropDevice{DeviceID: 7}, d2m.DropDevice{DeviceID: attacker}, d2m.Proxy{}, d2m.Proxy{Data: []byte("chat")},
	d2m.BeginTransaction{Scope: []byte("scope"), TTL: 1}, d2m.BeginTransaction{}, d2m.CommitTransaction{},
	d2m.ReflectedAck{ID: 1}, d2m.ReflectedAck{ID: 1 << 31}, d2m.ServerHello{}, d2m.ClientHello{},
}

// begin brings the connection to where the script begins.
func (p *player) begin() {
	place := p.number() % beginnings
	request := p.id.request()
	switch place {
	case atNothing:
		return
	case inRequest:
		p.write([]byte(request[:len(request)-2]))
		return
	}
	p.write([]byte(request))
	synctest.Wait()
	if place == asStranger {
		return
	}
	p.sayHello(0, 0)
	if place == asPending {
		return
	}
	synctest.Wait()
	switch place {
	case asHolder:
		p.write(wsFrame(fin|opBinary, d2m.BeginTransaction{}.Append(nil)))
	case inFragments:
		p.write(wsFrame(opBinary, messages[3].Append(nil)[:1000]))
		p.half = p.sent
	case inClosing:
		p.write(wsFrame(fin|opBinary, []byte{0x7f, 0, 0, 0}))
	}
}

// step does the next thing. It reports false at the end.
func (p *player) step() bool {
	if len(p.script) == 0 || p.sent > maxSent || p.hasEnded() {
		return false
	}
	switch p.number() % deeds {
	case doBytes:
		p.write(p.bytes(int(p.number())))
	case doFrame:
		first, bits := p.number(), []lengthBits{0, 7, 16, 64}[p.number()%4]
		payload := p.bytes(int(p.number()))
		if bits < shortestLength(len(payload)) {
			bits = shortestLength(len(payload))
		}
		p.write(wsFrameIn(bits, first, payload))
	case doHeader:
		p.write(wsHeader(p.number(), 64, binary.BigEndian.Uint64(append(p.bytes(8), make([]byte, 8)...))))
	case doMessage:
		p.write(wsFrame(fin|opBinary, p.message()))
	case doMutated:
		m := p.message()
		m[int(p.number())%len(m)] ^= p.number()
		p.write(wsFrame(fin|opBinary, m))
	case doFragments:
		m := p.message()
		p.write(slices.Concat(fragments(m, int(p.number())%len(m))...))
	case doRepeat:
		p.write(bytes.Repeat(p.latest, min(int(p.number()), maxSent/max(1, len(p.latest)))))
	case doWait:
		p.wait(time.Duration(p.number()) * 100 * time.Millisecond)
	case doRequest:
		p.write([]byte(p.id.request()))
	case doHello:
		p.sayHello(p.number(), p.number())
	case doAck:
		p.write(wsFrame(fin|opBinary, d2m.ReflectedAck{ID: d2m.ReflectedID(p.last.Load() + uint32(int8(p.number())))}.Append(nil)))
	}
	return true
}

// wait lets time pass. The honest devices are heard from, so that they are not taken for dead (B13).
func (p *player) wait(d time.Duration) {
	p.t.Helper()
	const step = 10 * time.Second
	for ; d > 0; d -= step {
		time.Sleep(min(d, step))
		p.peers.isAcked()
		p.others.areWell()
	}
}

// number takes a byte of the script.
func (p *player) number() byte { return append(p.bytes(1), 0)[0] }

// bytes takes n of them, or as many as there are.
func (p *player) bytes(n int) []byte {
	n = min(n, len(p.script))
	taken := p.script[:n:n]
	p.script = p.script[n:]
	return taken
}

func (p *player) message() []byte { return messages[int(p.number())%len(messages)].Append(nil) }

// write fails if the server neither reads on nor ends the connection.
func (p *player) write(b []byte) {
	p.latest = b
	p.sent += len(b)
	p.stream.SetWriteDeadline(time.Now().Add(maxWait))
	if n, err := p.stream.Write(b); err != nil && !p.isOver() {
		p.t.Errorf("%d of %d bytes were read: %v", n, len(b), err)
	}
}

// isOver says whether the server has ended the connection.
func (p *player) isOver() bool {
	synctest.Wait()
	return p.hasEnded()
}

// sayHello answers ServerHello, if that has come, with a byte changed.
func (p *player) sayHello(place, change byte) {
	synctest.Wait()
	hello := p.hello.Load()
	if hello == nil {
		return
	}
	m := p.id.answer(p.t, *hello, attacker, d2m.SlotNew, "info").Append(nil)
	m[int(place)%len(m)] ^= change
	p.write(wsFrame(fin|opBinary, m))
}

func (p *player) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// mayRest says whether the connection may stay when nothing more comes.
func (p *player) mayRest() bool { return p.info.Load() != nil && p.sent != p.half }

// someSeeds are one of five, which begin everywhere and do each thing as well; or all of them, if the whole is tried or they
// are what fuzzing begins with.
func someSeeds() (scripts [][]byte) {
	fuzzing := flag.Lookup("test.fuzz").Value.String() != ""
	for i, script := range seeds() {
		if whole || fuzzing || i%5 == 0 {
			scripts = append(scripts, script)
		}
	}
	return scripts
}

// seeds are scripts that begin everywhere and do each thing.
func seeds() (scripts [][]byte) {
	deedsOf := [][]byte{
		{},
		append([]byte{doBytes, 40}, counting(40)...),
		{doFrame, fin | opBinary, 0, 4, 0x30, 0, 0, 0, doFrame, fin | opPing, 0, 4, 'p', 'i', 'n', 'g', doRepeat, 200},
		{doFrame, fin | opPing, 2, 4, 'p', 'i', 'n', 'g', doFrame, fin | opClose, 0, 2, 3, 0xe8, doRepeat, 3},
		{doFrame, opBinary, 0, 1, 0x80, doFrame, opContinuation, 0, 0, doRepeat, 250, doWait, 20, doFrame, fin | opContinuation, 0, 0},
		{doFrame, 0xf3, 3, 2, 1, 2, doFrame, fin | opText, 0, 2, 'h', 'i'},
		{doHeader, fin | opBinary, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, doBytes, 3, 1, 2, 3},
		{doHeader, fin | opBinary, 0x80},
		{doMessage, 0, doMessage, 2, doMessage, 4, doMessage, 5, doMessage, 6, doMessage, 8, doMessage, 13},
		{doMessage, 11, doMessage, 0, doMessage, 2, doMessage, 12, doMessage, 10, doWait, 30},
		{doMutated, 0, 4, 0xff, doMutated, 10, 5, 1, doMutated, 6, 0, 0x80},
		{doFragments, 3, 200, doRepeat, 20, doFragments, 4, 0},
		{doMessage, 9, doMessage, 7, doMessage, 0, doRepeat, 100},
		{doRequest, doWait, 1, doHello, 0, 0, doWait, 1, doMessage, 0, doAck, 0, doAck, 1, doAck, 100},
		{doRequest, doHello, 30, 1, doWait, 255, doMessage, 9},
		{doHello, 0, 0, doHello, 0, 0},
		{doBytes, 2, '\r', '\n', doWait, 1, doHello, 0, 0, doMessage, 0},
		{doMessage, 3, doRepeat, 250, doWait, 250, doMessage, 14},
	}
	for place := range byte(beginnings) {
		for _, deeds := range deedsOf {
			scripts = append(scripts, append([]byte{place}, deeds...))
		}
	}
	return scripts
}
