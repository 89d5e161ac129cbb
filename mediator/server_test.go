package mediator_test

import (
	"context"
	"log"
	"os"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"openmediator/d2m"
	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/reflect"
	"openmediator/reflect/memstore"
)

// Every test ends all that it started (B44).
func TestMain(m *testing.M) {
	if proxy := os.Getenv(runAsProxy); proxy != "" {
		if err := runProxy(proxy); err != nil {
			log.Fatal("proxy: ", err)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// testServer is a running mediator.
type testServer struct {
	t testing.TB
	*mediator.Server
	store    reflect.Store
	listener listen.Listener
}

// startServer runs a server on a listener until the end of the test.
func startServer(t testing.TB, l listen.Listener, store reflect.Store, config mediator.Config) *testServer {
	t.Helper()
	server, err := mediator.New(store, config)
	if err != nil {
		t.Fatal(err)
	}
	if isOverTLS(t) {
		l = listen.NewSecure(t, l)
	}
	s := &testServer{t: t, Server: server, store: store, listener: l}
	served := make(chan error, 1)
	go func() { served <- listen.Serve(server, l) }()
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
	return startServer(t, listen.TCP(t), memstore.New(), mediator.DefaultConfig())
}

// inBubble runs a test in fake time.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// startInBubble runs a server over pipes, with the defaults and an empty store.
func startInBubble(t testing.TB) *testServer {
	t.Helper()
	return startServer(t, listen.NewPipe(), memstore.New(), mediator.DefaultConfig())
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
