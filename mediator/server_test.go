package mediator_test

import (
	"context"
	"net"
	"sync"
	"testing"

	"openmediator/d2m"
	"openmediator/mediator"
	"openmediator/reflect"
	"openmediator/reflect/memstore"
)

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
	s := startServer(t, newTCPListener(t), memstore.New(), mediator.DefaultConfig())
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
