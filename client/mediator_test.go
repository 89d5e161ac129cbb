package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
	"openmediator/mediator"
	"openmediator/reflect/memstore"
)

// realServer is a mediator on loopback that can be stopped and started again.
type realServer struct {
	t      *testing.T
	store  *memstore.Store
	config mediator.Config
	url    string
	stop   func()
}

func startMediator(t *testing.T) *realServer {
	t.Helper()
	s := &realServer{t: t, store: memstore.New(), config: mediator.DefaultConfig()}
	s.start("127.0.0.1:0")
	t.Cleanup(func() { s.stop() })
	return s
}

func (s *realServer) start(address string) {
	s.t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		s.t.Fatal(err)
	}
	server, err := mediator.New(s.store, s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	served := goDo(func() error { return server.Serve(l) })
	s.url = "ws://" + l.Addr().String()
	s.stop = func() {
		server.Shutdown(context.Background())
		if err := <-served; err != nil {
			s.t.Error(err)
		}
	}
}

func (s *realServer) restart() {
	s.t.Helper()
	s.stop()
	s.start(s.url[len("ws://"):])
}

// member is a device of a test group.
type member struct {
	*client.Device
	t        *testing.T
	messages chan client.Message
	events   chan string
}

// join connects a device; its Receive hands over to messages and its events are
// named in events.
func (s *realServer) join(config client.Config) *member {
	s.t.Helper()
	m := &member{t: s.t, messages: make(chan client.Message, 1000), events: make(chan string, 10_000)}
	config.URL = s.url
	if config.Keys == nil {
		config.Keys = testKeys
	}
	config.Receive = func(_ context.Context, message client.Message) error { m.messages <- message; return nil }
	config.OnQueueDry = func() { m.events <- "dry" }
	config.OnLeader = func() { m.events <- "leader" }
	config.OnDisconnected = func(error, time.Duration) { m.events <- "disconnected" }
	config.ReconnectMin, config.ReconnectMax = time.Millisecond, 100*time.Millisecond
	d, err := client.Connect(s.t.Context(), config)
	if err != nil {
		s.t.Fatal(err)
	}
	m.Device = d
	s.t.Cleanup(d.Close)
	m.await("dry")
	return m
}

// patience is how long a test waits for what should happen at once.
const patience = 20 * time.Second

// await waits for an event, whatever comes before it.
func (m *member) await(event string) {
	m.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case got := <-m.events:
			if got == event {
				return
			}
		case <-deadline:
			m.t.Fatalf("%q has not happened", event)
		}
	}
}

func (m *member) receive() client.Message {
	m.t.Helper()
	select {
	case message := <-m.messages:
		return message
	case <-time.After(patience):
		m.t.Fatal("no message has come")
		return client.Message{}
	}
}

func (m *member) awaitEnd() error {
	m.t.Helper()
	select {
	case <-m.Done():
		return m.Err()
	case <-time.After(patience):
		m.t.Fatal("the device has not ended")
		return nil
	}
}

func TestDevicesReflectToEachOther(t *testing.T) {
	s := startMediator(t)
	one, two, three := s.join(client.Config{DeviceID: 1}), s.join(client.Config{DeviceID: 2}), s.join(client.Config{DeviceID: 3})
	one.await("leader")
	if !one.IsLeader() || two.IsLeader() || three.IsLeader() {
		t.Error("the first device is not the only leader")
	}
	var want []time.Time
	for i := range 50 {
		at, err := one.Reflect(t.Context(), text(fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, at)
	}
	for _, m := range []*member{two, three} {
		for i, at := range want {
			got := m.receive()
			if got.Envelope.Text != fmt.Sprint(i) || got.Envelope.Device != 1 || !got.Timestamp.Equal(at) || got.Ephemeral {
				t.Fatalf("message %d: %+v, want timestamp %v", i, got, at)
			}
		}
	}
	if err := two.ReflectEphemeral(t.Context(), text("typing")); err != nil {
		t.Fatal(err)
	}
	if got := one.receive(); got.Envelope.Text != "typing" || !got.Ephemeral {
		t.Errorf("received %+v", got)
	}
	one.Close()
	two.await("leader")
}

func TestDeviceReturnsToItsQueueAfterRestart(t *testing.T) {
	s := startMediator(t)
	registered := false
	config := client.Config{DeviceID: 2, OnRegistered: func() error { registered = true; return nil }}
	one, two := s.join(client.Config{DeviceID: 1}), s.join(config)
	two.Close()
	for i := range 20 {
		if _, err := one.Reflect(t.Context(), text(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	s.restart()
	one.await("disconnected")

	config.Registered = registered
	two = s.join(config)
	for i := range 20 {
		if got := two.receive(); got.Envelope.Text != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, got.Envelope.Text)
		}
	}
	// The other one has come back by itself.
	if _, err := one.Reflect(t.Context(), text("again")); err != nil {
		t.Fatal(err)
	}
	if got := two.receive(); got.Envelope.Text != "again" {
		t.Errorf("received %q", got.Envelope.Text)
	}
}

func TestDevicesOfOtherGroupReceiveNothing(t *testing.T) {
	s := startMediator(t)
	original, err := devicekeys.FromIdentityKey([32]byte{5})
	if err != nil {
		t.Fatal(err)
	}
	one, stranger := s.join(client.Config{DeviceID: 1}), s.join(client.Config{DeviceID: 2, Keys: original})
	peer := s.join(client.Config{DeviceID: 3, Keys: original})
	if _, err := one.Reflect(t.Context(), text("for nobody")); err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Reflect(t.Context(), text("for the peer")); err != nil {
		t.Fatal(err)
	}
	if got := peer.receive(); got.Envelope.Text != "for the peer" {
		t.Errorf("received %q", got.Envelope.Text)
	}
	if slots, err := stranger.Devices(t.Context()); err != nil || len(slots) != 2 {
		t.Errorf("devices %+v, %v", slots, err)
	}
}

func TestB7_ServerRefusesDeviceThatErrsAboutItsSlot(t *testing.T) {
	s := startMediator(t)
	two := s.join(client.Config{DeviceID: 2})
	one := s.join(client.Config{DeviceID: 1})
	if _, err := two.Reflect(t.Context(), text("confirms the slot of 1 by its ack")); err != nil {
		t.Fatal(err)
	}
	one.receive()
	one.Close() // behind its ack
	for _, config := range []client.Config{{DeviceID: 1}, {DeviceID: 3, Registered: true}} {
		config.URL, config.Keys = s.url, testKeys
		_, err := client.Connect(t.Context(), config)
		var closed *client.CloseError
		if !errors.As(err, &closed) || closed.Code != d2m.CloseSlotState {
			t.Errorf("device %d: %v", config.DeviceID, err)
		}
	}
}

func TestB9_SameDeviceTwice(t *testing.T) {
	s := startMediator(t)
	older := s.join(client.Config{DeviceID: 1})
	s.join(client.Config{DeviceID: 1, Registered: true})
	var closed *client.CloseError
	if err := older.awaitEnd(); !errors.As(err, &closed) || closed.Code != d2m.CloseReplaced {
		t.Errorf("the older one ended with %v", err)
	}
}

func TestB32_DropThroughServer(t *testing.T) {
	s := startMediator(t)
	one, two := s.join(client.Config{DeviceID: 1}), s.join(client.Config{DeviceID: 2, Info: devicekeys.DeviceInfo{Label: "two"}})
	slots, err := one.Devices(t.Context())
	if err != nil || len(slots) != 2 || !slots[1].Connected || slots[1].Info.Label != "two" {
		t.Fatalf("devices: %+v, %v", slots, err)
	}
	for _, id := range []d2m.DeviceID{2, 99, 1} {
		if err := one.Drop(t.Context(), id); err != nil {
			t.Errorf("drop of %d: %v", id, err)
		}
	}
	for _, m := range []*member{one, two} {
		var closed *client.CloseError
		if err := m.awaitEnd(); !errors.As(err, &closed) || closed.Code != d2m.CloseDropped {
			t.Errorf("ended with %v", err)
		}
	}
}

func TestB33_SharedDataThroughServer(t *testing.T) {
	s := startMediator(t)
	one := s.join(client.Config{DeviceID: 1})
	if err := one.SetSharedData(t.Context(), []byte("ours")); err != nil {
		t.Fatal(err)
	}
	two := s.join(client.Config{DeviceID: 2})
	if got, err := two.SharedData(); string(got) != "ours" || err != nil {
		t.Errorf("SharedData: %q, %v", got, err)
	}
}

// Many devices reflect at once: all see all messages, in one order.
func TestB14_OneOrderForAll(t *testing.T) {
	s := startMediator(t)
	const senders, each = 3, 100
	watcher1, watcher2 := s.join(client.Config{DeviceID: 10}), s.join(client.Config{DeviceID: 11})
	var sent []chan error
	for id := range senders {
		m := s.join(client.Config{DeviceID: d2m.DeviceID(id)})
		sent = append(sent, goDo(func() error { return submitAll(t.Context(), m.Device, each) }))
	}
	for _, err := range sent {
		if err := <-err; err != nil {
			t.Fatal(err)
		}
	}
	var orders [2][]string
	for i, m := range []*member{watcher1, watcher2} {
		for range senders * each {
			got := m.receive()
			orders[i] = append(orders[i], fmt.Sprint(got.Envelope.Device, " ", got.Envelope.Text))
		}
	}
	if !slices.Equal(orders[0], orders[1]) {
		t.Errorf("two devices see two orders:\n%v\n%v", orders[0], orders[1])
	}
	for id := range senders {
		next := 0
		for _, got := range orders[0] {
			if got == fmt.Sprint(id, " ", next) {
				next++
			}
		}
		if next != each {
			t.Errorf("messages of device %d are out of order", id)
		}
	}
}

func submitAll(ctx context.Context, d *client.Device, count int) error {
	var receipts []*client.Receipt
	for i := range count {
		receipt, err := d.Submit(ctx, text(fmt.Sprint(i)))
		if err != nil {
			return err
		}
		receipts = append(receipts, receipt)
	}
	var last time.Time
	for _, receipt := range receipts {
		at, err := receipt.Wait(ctx)
		if err != nil {
			return err
		}
		if at.Before(last) {
			return errors.New("timestamps go back")
		}
		last = at
	}
	return nil
}
