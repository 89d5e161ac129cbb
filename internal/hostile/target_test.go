package hostile

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/reflect"
	"openmediator/reflect/memstore"
)

// Whatever was done to a server, it has ended all that it started (B44).
func TestMain(m *testing.M) {
	// Package http waits for half a second when it has refused a request, and cannot be asked to end that.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// target is a mediator in this process.
type target struct {
	*mediator.Server
	listener listen.Listener
	store    *gate
}

// newTarget runs a mediator with the defaults and an empty store until the end of the test.
func newTarget(t testing.TB, l listen.Listener) *target {
	t.Helper()
	store, config := &gate{Store: memstore.New()}, mediator.DefaultConfig()
	switch {
	case strings.HasPrefix(t.Name(), "TestOverTLS"):
		l = listen.NewSecure(t, l)
	case strings.HasPrefix(t.Name(), "TestAnnounced"):
		l = newAnnounced(t, l, &config)
	case strings.HasPrefix(t.Name(), "TestInvited"):
		config.Access = inviteOnly(t)
	}
	server, err := mediator.New(store, config)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- listen.Serve(server, l) }()
	t.Cleanup(func() {
		store.open()
		server.Shutdown(context.Background())
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return &target{server, l, store}
}

// connect connects and says nothing.
func (m *target) connect(t testing.TB) *stream {
	t.Helper()
	c, err := m.listener.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return newStream(t, c)
}

// upgrade makes a WebSocket connection by hand.
func (m *target) upgrade(t testing.TB, id identity) *stream {
	t.Helper()
	s := m.connect(t)
	s.write([]byte(id.request()))
	s.expectUpgrade()
	return s
}

// expectUpgrade reads the answer to a request, which has to be granted.
func (s *stream) expectUpgrade() {
	s.t.Helper()
	response, err := http.ReadResponse(s.r, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		s.t.Fatalf("upgrade was answered with %s", response.Status)
	}
}

// expectHello reads ServerHello, which is the first message (B2).
func (s *stream) expectHello() d2m.ServerHello {
	s.t.Helper()
	first, payload, err := s.read()
	if err != nil || first != fin|opBinary {
		s.t.Fatalf("got %#x, %v; want ServerHello", first, err)
	}
	m, err := d2m.Parse(payload)
	hello, ok := m.(d2m.ServerHello)
	if !ok {
		s.t.Fatalf("got %T, %v; want ServerHello", m, err)
	}
	return hello
}

// wire logs a device in that keeps to the rules.
func (m *target) wire(t testing.TB, id identity, device d2m.DeviceID) *client.Wire {
	t.Helper()
	dialer := client.Dialer{DialContext: func(context.Context, string, string) (net.Conn, error) { return m.listener.Dial() }}
	w, err := dialer.Dial(t.Context(), "ws://server"+id.path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.CloseNow)
	if _, err := w.Login(t.Context(), id.Keys, d2m.ClientHello{DeviceID: device, Expiration: d2m.Persistent}); err != nil {
		t.Fatal(err)
	}
	return w
}

// identity is what a device needs to belong to a group.
type identity struct {
	*devicekeys.Keys
	base string // of the path
}

func newIdentity(t testing.TB) identity {
	t.Helper()
	var key [32]byte
	rand.Read(key[:])
	keys, err := devicekeys.FromGroupKey(key)
	if err != nil {
		t.Fatal(err)
	}
	id := identity{Keys: keys, base: "/"}
	if strings.HasPrefix(t.Name(), "TestInvited") {
		id.base = newInvitation(t)
	}
	return id
}

func (id identity) path() string {
	return id.base + d2m.ClientURLInfo{GroupID: id.GroupID(), ServerGroup: "0"}.Segment()
}

// request is an upgrade as a device asks for it, with additional header lines.
func (id identity) request(lines ...string) string { return upgradeRequest(id.path(), lines...) }

func upgradeRequest(path string, lines ...string) string {
	request := "GET " + path + " HTTP/1.1\r\nHost: server\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	for _, line := range lines {
		request += line + "\r\n"
	}
	return request + "\r\n"
}

// answer is the ClientHello that answers a ServerHello. A device info that differs has to be stored.
func (id identity) answer(t testing.TB, to d2m.ServerHello, device d2m.DeviceID, state d2m.SlotState, info string) d2m.ClientHello {
	t.Helper()
	var nonce [24]byte
	rand.Read(nonce[:])
	response, err := d2m.Respond(id.PathKey(), to.ESK, to.Challenge, nonce)
	if err != nil {
		t.Fatal(err)
	}
	return d2m.ClientHello{
		Response: response, DeviceID: device, Expected: state, Expiration: d2m.Persistent, DeviceInfo: []byte(info),
	}
}

// gate is a store that can be made to wait before it stores anything.
type gate struct {
	reflect.Store
	mu     sync.Mutex
	closed chan struct{}
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed == nil {
		g.closed = make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed != nil {
		close(g.closed)
		g.closed = nil
	}
}

func (g *gate) Commit(batches []*reflect.Batch) []error {
	g.mu.Lock()
	closed := g.closed
	g.mu.Unlock()
	if closed != nil {
		<-closed
	}
	return g.Store.Commit(batches)
}

// honest are two devices of a group that keep to the rules. What others do must not be felt by them.
type honest struct {
	t       testing.TB
	wires   [2]*client.Wire
	counted int
}

// honestDevice is the device id of the first, the next one that of the other. No script hits on them to drop them.
const honestDevice d2m.DeviceID = 0xa1b2c3d4e5f60001

func newHonest(t testing.TB, m *target, id identity) *honest {
	t.Helper()
	return &honest{t: t, wires: [2]*client.Wire{m.wire(t, id, honestDevice), m.wire(t, id, honestDevice+1)}}
}

// areWell has each reflect to the other, and fails unless both have first received what was delivered, and nothing else.
func (h *honest) areWell(delivered ...[]byte) {
	h.t.Helper()
	for i, envelopes := range h.exchange() {
		if !equalEach(envelopes, delivered) {
			h.t.Errorf("device %d received %d envelopes, or others, %d were delivered", i, len(envelopes), len(delivered))
		}
	}
}

// exchange has each reflect to the other, and returns what both have received before.
func (h *honest) exchange() [2][][]byte {
	h.t.Helper()
	h.counted++
	first, second := fmt.Appendf(nil, "how are you, %d", h.counted), fmt.Appendf(nil, "fine, %d", h.counted)
	h.reflect(0, first)
	one := h.receive(1, first)
	h.reflect(1, second)
	return [2][][]byte{h.receive(0, second), one}
}

func (h *honest) reflect(i int, envelope []byte) {
	h.t.Helper()
	if err := h.wires[i].Send(h.t.Context(), d2m.Reflect{ID: d2m.ReflectID(h.counted), Envelope: envelope}); err != nil {
		h.t.Fatalf("an honest device: %v", err)
	}
}

func equalEach(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

// maxKept is of how many envelopes an honest device remembers that they came: more than it is ever sent by right.
const maxKept = 10

// receive returns the envelopes up to the last, and acknowledges them.
func (h *honest) receive(i int, last []byte) (envelopes [][]byte) {
	h.t.Helper()
	for {
		m, err := h.wires[i].Receive(h.t.Context())
		if err != nil {
			h.t.Fatalf("an honest device: %v", err)
		}
		r, ok := m.(d2m.Reflected)
		if !ok {
			continue
		}
		if err := h.wires[i].Send(h.t.Context(), d2m.ReflectedAck{ID: r.ID}); err != nil {
			h.t.Fatalf("an honest device: %v", err)
		}
		if bytes.Equal(r.Envelope, last) {
			return envelopes
		}
		if len(envelopes) < maxKept {
			envelopes = append(envelopes, r.Envelope)
		}
	}
}
