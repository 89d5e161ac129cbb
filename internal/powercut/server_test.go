//go:build integration

package powercut

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
	"openmediator/internal/serverprocess"
	"openmediator/reflect"
	"openmediator/reflect/boltstore"
)

// served is a recording of the real server with one group, a device of which stays away, so that everything is kept.
type served struct {
	keys    *devicekeys.Keys
	root    string
	log     string
	address string
	process *serverprocess.Process
	*Recording

	known  map[d2m.DeviceID]bool // who has logged in before
	sent   int
	acked  map[string]d2m.ReflectAck // by envelope
	places map[string]int            // line on which the ack was written
}

const (
	sender = d2m.DeviceID(iota + 1)
	listener
	absent
)

func serve(t *testing.T, binary string, inject ...string) *served {
	t.Helper()
	keys, err := devicekeys.FromGroupKey([32]byte{7})
	if err != nil {
		t.Fatal(err)
	}
	root := folder(t)
	s := &served{
		keys: keys, root: root, log: filepath.Join(t.TempDir(), "trace"), Recording: NewRecording(root),
		known: make(map[d2m.DeviceID]bool),
		acked: make(map[string]d2m.ReflectAck), places: make(map[string]int),
	}
	// With -D the server has the process id that is known here, and strace lives until it has ended.
	command := append([]string{"strace", "-D"}, Strace(s.log, inject...)[1:]...)
	s.process, err = serverprocess.Start(serverprocess.AnyPort, filepath.Join(root, DataName), append(command, binary)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.process.Kill)
	if s.address, err = s.process.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// login connects a device and takes what comes until its queue is dry.
func (s *served) login(ctx context.Context, id d2m.DeviceID, take func(d2m.Reflected)) (*client.Wire, error) {
	url, err := client.URL(s.address, s.keys.GroupID(), "0")
	if err != nil {
		return nil, err
	}
	wire, err := client.Dialer{}.Dial(ctx, url)
	if err != nil {
		return nil, err
	}
	hello := d2m.ClientHello{DeviceID: id, Expiration: d2m.Persistent}
	if s.known[id] {
		hello.Expected = d2m.SlotExisting // else an unconfirmed slot would start afresh (B7)
	}
	if _, err := wire.Login(ctx, s.keys, hello); err != nil {
		wire.CloseNow()
		return nil, err
	}
	for {
		message, err := wire.Receive(ctx)
		if err != nil {
			wire.CloseNow()
			return nil, err
		}
		switch m := message.(type) {
		case d2m.Reflected:
			take(m)
		case d2m.ReflectionQueueDry:
			s.known[id] = true
			return wire, nil
		}
	}
}

// persist logs in until it succeeds. An end of a connection other than by a store that does not work is an error.
func (s *served) persist(ctx context.Context, id d2m.DeviceID, take func(d2m.Reflected)) (*client.Wire, error) {
	for {
		wire, err := s.login(ctx, id, take)
		if err == nil || !refused(err) {
			return wire, err
		}
		select {
		case <-time.After(50 * time.Millisecond): // a store that has failed is tried again once a second
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// refused says whether the server has closed a connection since its store does not work.
func refused(err error) bool {
	var end *client.CloseError
	return errors.As(err, &end) && end.Code == d2m.CloseInternal
}

// reflectSome sends messages at once and waits for their acks.
func (s *served) reflectSome(ctx context.Context, wire *client.Wire, count int) error {
	texts := make(map[d2m.ReflectID]string)
	for range count {
		s.sent++
		id := d2m.ReflectID(s.sent)
		texts[id] = fmt.Sprintf("message %d %s", s.sent, bytes.Repeat([]byte("x"), s.sent*37%3000))
		if err := wire.Send(ctx, d2m.Reflect{ID: id, Envelope: []byte(texts[id])}); err != nil {
			_, received := wire.Receive(ctx)
			return errors.Join(received, err)
		}
	}
	for len(texts) > 0 {
		message, err := wire.Receive(ctx)
		if err != nil {
			return err
		}
		if ack, ok := message.(d2m.ReflectAck); ok {
			s.acked[texts[ack.ID]] = ack
			delete(texts, ack.ID)
		}
	}
	return nil
}

// stop ends the server and reads the trace.
func (s *served) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.process.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.AddFile(s.log, func(o Output) bool { return o.Descriptor > 2 }); err != nil {
		t.Fatal(err)
	}
	if err := s.Complete(); err != nil {
		t.Fatal(err)
	}
	for text, ack := range s.acked {
		frame := ack.Append(nil)
		i := slices.IndexFunc(s.Outputs, func(o Output) bool { return bytes.Contains(o.Data, frame) })
		if i < 0 {
			t.Fatalf("the trace does not show that ack %d was sent", ack.ID)
		}
		s.places[text] = s.Outputs[i].Line
	}
}

// verdict looks for all that was acknowledged before a cut.
func (s *served) verdict(root string, line int) error {
	store, err := boltstore.Open(filepath.Join(root, DataName), boltstore.Options{})
	if err != nil {
		return err
	}
	found, err := s.stored(store)
	if err := errors.Join(err, store.Close()); err != nil {
		return err
	}
	for text, place := range s.places {
		if place <= line && !found[text] {
			return fmt.Errorf("%.12q is gone, whose ack was sent on line %d", text, place)
		}
	}
	return nil
}

func (s *served) stored(store reflect.Store) (map[string]bool, error) {
	snapshot, err := store.Claim(s.keys.GroupID())
	if err != nil {
		return nil, err
	}
	if _, err := reflect.ParseState(snapshot.State); err != nil {
		return nil, err
	}
	at := make([]reflect.Location, len(snapshot.Messages))
	for i, m := range snapshot.Messages {
		at[i] = m.At
	}
	found := make(map[string]bool)
	err = store.Read(s.keys.GroupID(), snapshot.Epoch, at, func(i int, record []byte) error {
		m, err := reflect.ParseRecord(record)
		if err == nil && found[string(m.Envelope)] {
			err = fmt.Errorf("%.12q is there twice", m.Envelope)
		}
		found[string(m.Envelope)] = true
		return err
	})
	return found, err
}

func (s *served) replay(t *testing.T) error {
	t.Helper()
	start := time.Now()
	options := replayOptions(t, drawnSeed())
	options.Selections *= 10 // there are few syncs, and a verdict is quick
	result, err := s.Replay(t.Context(), options, s.verdict)
	t.Logf("seed %d: %d messages acked, %v, in %v", drawnSeed(), len(s.acked), result, time.Since(start).Round(time.Millisecond))
	return err
}

// TestPowerCut_Server cuts the power of the real server, from the creation of its data directory to the end, and shows that
// one which syncs nothing does not pass.
func TestPowerCut_Server(t *testing.T) {
	dir := t.TempDir()
	binary, err := serverprocess.Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := cutServer(t, binary); err != nil {
		t.Error(err)
	}
	t.Run("one without sync is found out", func(t *testing.T) {
		unsynced := filepath.Join(dir, "unsynced")
		if err := serverprocess.BuildPackage(unsynced, "openmediator/internal/integration/unsynced", "-tags", "integration"); err != nil {
			t.Fatal(err)
		}
		err := cutServer(t, unsynced)
		if err == nil {
			t.Fatal("a server that syncs nothing passes")
		}
		t.Logf("%.300v", err)
	})
}

// cutServer has a server work for some devices, and cuts its power.
func cutServer(t *testing.T, binary string) error {
	t.Helper()
	s := serve(t, binary)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	wires := make(map[d2m.DeviceID]*client.Wire)
	for _, id := range []d2m.DeviceID{absent, listener, sender} {
		wire, err := s.login(ctx, id, func(d2m.Reflected) {})
		if err != nil {
			t.Fatal(err)
		}
		defer wire.CloseNow()
		wires[id] = wire
	}
	wires[absent].CloseNow()
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		for {
			message, err := wires[listener].Receive(ctx)
			if err != nil {
				return
			}
			if m, ok := message.(d2m.Reflected); ok && m.ID%3 > 0 {
				_ = wires[listener].Send(ctx, d2m.ReflectedAck{ID: m.ID})
			}
		}
	}()
	for _, count := range []int{1, 1, 1, 8, 1, 30, 2, 2, 1, 16} {
		if err := s.reflectSome(ctx, wires[sender], count); err != nil {
			t.Fatal(err)
		}
	}
	wires[sender].CloseNow()
	wires[listener].CloseNow()
	<-listening
	s.stop(t)
	return s.replay(t)
}
