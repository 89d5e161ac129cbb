package mediator_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"openmediator/d2m"
	"openmediator/mediator"
	"openmediator/reflect"
	"openmediator/reflect/memstore"
)

// Every test ends all that it started (B44).
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testServer is a running mediator.
type testServer struct {
	t testing.TB
	*mediator.Server
	store    reflect.Store
	listener dialListener
}

// dialListener is a listener that tests connect to.
type dialListener interface {
	net.Listener
	Dial() (net.Conn, error)
}

// startServer runs a server on a listener until the end of the test.
func startServer(t testing.TB, l dialListener, store reflect.Store, config mediator.Config) *testServer {
	t.Helper()
	server, err := mediator.New(store, config)
	if err != nil {
		t.Fatal(err)
	}
	s := &testServer{t: t, Server: server, store: store, listener: l}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Shutdown(context.Background())
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s
}

// start runs a server on loopback, with the defaults and an empty store.
func start(t testing.TB) *testServer {
	t.Helper()
	return startServer(t, newTCPListener(t), memstore.New(), mediator.DefaultConfig())
}

// inBubble runs a test in fake time.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// startInBubble runs a server over pipes, with the defaults and an empty store.
func startInBubble(t testing.TB) *testServer {
	t.Helper()
	return startServer(t, newPipeListener(), memstore.New(), mediator.DefaultConfig())
}

// memory returns the store of a server that was started with one in memory.
func (s *testServer) memory() *memstore.Store { return s.store.(*memstore.Store) }

// storedGroups returns the groups that the store knows.
func (s *testServer) storedGroups() (ids []d2m.GroupID) {
	s.t.Helper()
	err := s.store.Groups(func(id d2m.GroupID, _ []byte) error {
		ids = append(ids, id)
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return ids
}

// tcpListener listens on loopback.
type tcpListener struct{ net.Listener }

func newTCPListener(t testing.TB) tcpListener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return tcpListener{l}
}

func (l tcpListener) Dial() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }

// pipeListener connects by net.Pipe, for tests in fake time.
type pipeListener struct {
	conns chan net.Conn
	ended chan struct{}
	once  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), ended: make(chan struct{})}
}

func (l *pipeListener) Dial() (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.ended:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.ended:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.ended) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

func TestReflectionEndToEnd(t *testing.T) {
	s := start(t)
	id := newIdentity(t)
	first, _ := s.login(id, 1, d2m.SlotNew)
	expect[d2m.RolePromotedToLeader](first.device)
	second, _ := s.login(id, 2, d2m.SlotNew)

	second.send(d2m.Reflect{ID: 7, Envelope: []byte("hello")})
	ack := expect[d2m.ReflectAck](second.device)
	reflected := expect[d2m.Reflected](first.device)
	if string(reflected.Envelope) != "hello" || reflected.Timestamp != ack.Timestamp || ack.ID != 7 {
		t.Fatalf("got %+v for %+v", reflected, ack)
	}
	first.send(d2m.ReflectedAck{ID: reflected.ID})
	first.send(d2m.GetDevicesInfo{})
	if info := expect[d2m.DevicesInfo](first.device); len(info.Devices) != 2 {
		t.Fatalf("got %+v", info)
	}
	first.send(d2m.DropDevice{DeviceID: 1})
	expect[d2m.DropDeviceAck](first.device)
	first.expectClose(d2m.CloseDropped)
	expect[d2m.RolePromotedToLeader](second.device)
}
