package hostile

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/d2m"
)

// FuzzServer has a device do what a script says (script_test.go). Whatever that is:
//
//   - the server sends nothing but what it may, and nothing behind its Close frame;
//   - it goes on reading or ends the connection; and when the device falls silent before it has registered, or in the
//     midst of a message, the connection ends within the limits (B44);
//   - others of the group are acknowledged what they reflect, and a group of its own is served as before;
//   - neither a connection nor a goroutine is left when all is over: a bubble of fake time fails if it is not empty.
func FuzzServer(f *testing.F) {
	for _, script := range someSeeds() {
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > maxScript {
			return
		}
		synctest.Test(t, func(t *testing.T) { play(t, script) })
	})
}

const (
	// maxSilence is how long a connection lasts at most when nothing more comes from it and it may not rest: 60 s for the
	// rest of a message and 5 s for closing are the most there is.
	maxSilence = 70 * time.Second
	// maxWait is how long the server may leave a device that is heard from unread: that of a chat server, none here.
	maxWait = 10 * time.Second
)

// play runs a script against a server of its own.
func play(t *testing.T, script []byte) {
	p := newPlayer(t, script)
	p.begin()
	for p.step() {
	}
	p.wait(maxSilence)
	synctest.Wait()
	if !p.hasEnded() && !p.mayRest() {
		t.Error("a connection that has not registered, or is in the midst of a message, does not end")
	}
	p.stream.Close()
	<-p.ended
	p.peers.wires[1] = p.target.wire(t, p.id, honestDevice+1)
	p.peers.exchange()
	p.others.areWell()
	time.Sleep(time.Second) // net/http rests for half of one behind an answer
	synctest.Wait()
	if open := p.target.Connections(); open != len(p.peers.wires)+len(p.others.wires) {
		t.Errorf("%d connections are counted", open)
	}
}

// isAcked has one device reflect something and wait for the ack, which comes even if another device holds the lock (B26).
func (h *honest) isAcked() {
	h.t.Helper()
	h.reflect(0, nil)
	for {
		m, err := h.wires[0].Receive(h.t.Context())
		if err != nil {
			h.t.Fatalf("a device of the group: %v", err)
		}
		if r, ok := m.(d2m.Reflected); ok {
			if err := h.wires[0].Send(h.t.Context(), d2m.ReflectedAck{ID: r.ID}); err != nil {
				h.t.Fatalf("a device of the group: %v", err)
			}
		}
		if m.Type() == d2m.TypeReflectAck {
			return
		}
	}
}

// watch reads all that the server sends, until the connection ends.
func (p *player) watch() {
	defer close(p.ended)
	err := p.expectAnswer()
	for closed := false; err == nil; {
		var first byte
		var payload []byte
		if first, payload, err = p.stream.read(); err == nil {
			err = p.take(first, payload, closed)
			closed = closed || first == fin|opClose
		}
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.ErrClosedPipe) {
		p.t.Error(err)
	}
}

// expectAnswer reads the answer to a request. Without an upgrade nothing may follow.
func (p *player) expectAnswer() error {
	response, err := http.ReadResponse(p.stream.r, nil)
	if err != nil {
		return err
	}
	if response.StatusCode == http.StatusSwitchingProtocols {
		return nil
	}
	if response.StatusCode < 400 || response.StatusCode == http.StatusInternalServerError {
		p.t.Errorf("answered with %s", response.Status)
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if b, err := p.stream.r.ReadByte(); err == nil {
		p.t.Errorf("byte %#x comes behind the answer", b)
	}
	return io.EOF
}

// take looks at a frame of the server.
func (p *player) take(first byte, payload []byte, closed bool) error {
	if closed && first != fin|opPong {
		return errors.New("a frame comes behind the Close frame")
	}
	switch first {
	case fin | opBinary:
		return p.takeMessage(payload)
	case fin | opClose:
		if len(payload) == 1 || len(payload) > 125 {
			return errors.New("the Close frame is malformed")
		}
	case fin | opPing, fin | opPong:
		if len(payload) > 125 {
			return errors.New("a control frame is too long")
		}
	default:
		return errors.New("a frame is of no kind that the server may send")
	}
	return nil
}

// takeMessage looks at a message of the server, and remembers what scripts need.
func (p *player) takeMessage(payload []byte) error {
	m, err := d2m.Parse(payload)
	if err != nil {
		return err
	}
	if !m.Type().FromServer() {
		return errors.New("a message is one of devices")
	}
	switch m := m.(type) {
	case d2m.ServerHello:
		if p.hello.Swap(&m) != nil {
			return errors.New("ServerHello comes twice")
		}
	case d2m.ServerInfo:
		if p.info.Swap(&m) != nil {
			return errors.New("ServerInfo comes twice")
		}
	case d2m.Reflected:
		if p.info.Load() == nil {
			return errors.New("Reflected comes before ServerInfo")
		}
		p.last.Store(uint32(m.ID))
	}
	return nil
}

// The seeds begin everywhere.
func TestSeedsBeginEverywhere(t *testing.T) {
	var places []byte
	for _, script := range someSeeds() {
		places = append(places, script[0])
	}
	slices.Sort(places)
	if places = slices.Compact(places); len(places) != beginnings {
		t.Errorf("the seeds begin in %d places, there are %d", len(places), beginnings)
	}
}
