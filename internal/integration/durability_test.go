//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
	"openmediator/internal/serverprocess"
)

// syncDelay is by how much each sync of the store's file is made longer. Nothing that depends on a sync may show within it.
const syncDelay = 150 * time.Millisecond

// TestB15_NoAckBeforeTheSync shows that an ack, and the delivery to others, waits until what makes the message durable has
// been done: its page is written and synced, then the meta page, which makes it count. It shows besides that a server that
// does not sync would be found out.
func TestB15_NoAckBeforeTheSync(t *testing.T) {
	dir := t.TempDir()
	binary, err := serverprocess.Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := acksWaitForSync(t, binary); err != nil {
		t.Error(err)
	}

	t.Run("a server without sync is found out", func(t *testing.T) {
		unsynced := filepath.Join(dir, "unsynced")
		if err := serverprocess.BuildPackage(unsynced, "openmediator/internal/integration/unsynced", "-tags", "integration"); err != nil {
			t.Fatal(err)
		}
		err := acksWaitForSync(t, unsynced)
		if err == nil {
			t.Fatal("a server that syncs nothing passes for one that does")
		}
		t.Log(err)
	})
}

// reflection is when a message was seen.
type reflection struct {
	text                   string // the envelope
	sent, acked, delivered time.Time
}

// acksWaitForSync runs a server with slow syncs and compares when messages are acked and delivered with what the server
// has done to the store's file by then.
func acksWaitForSync(t *testing.T, binary string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	log := filepath.Join(t.TempDir(), "trace")
	server, err := serverprocess.Start(serverprocess.AnyPort, t.TempDir(), append(tracer(log, syncDelay), binary)...)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Kill()
	address, err := server.AwaitReady(ctx)
	if err != nil {
		t.Fatal(err)
	}
	sender, receiver := login(ctx, t, address, 1), login(ctx, t, address, 2)
	var seen []reflection
	for _, count := range []int{1, 1, 1, 20} {
		seen = append(seen, reflectAll(ctx, t, sender, receiver, len(seen), count)...)
	}
	sender.Close(d2m.CloseNormal, "")
	receiver.Close(d2m.CloseNormal, "")
	if err := server.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	calls, err := readTrace(log)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range seen {
		if err := r.check(calls); err != nil {
			return err
		}
	}
	return nil
}

// login connects a device and takes what comes before its queue is dry.
func login(ctx context.Context, t *testing.T, address string, id d2m.DeviceID) *client.Wire {
	t.Helper()
	keys, err := devicekeys.FromGroupKey([32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	url, err := client.URL(address, keys.GroupID(), "0")
	if err != nil {
		t.Fatal(err)
	}
	wire, err := client.Dialer{}.Dial(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(wire.CloseNow)
	if _, err := wire.Login(ctx, keys, d2m.ClientHello{DeviceID: id, Expiration: d2m.Persistent}); err != nil {
		t.Fatal(err)
	}
	if _, err := receive[d2m.ReflectionQueueDry](ctx, wire); err != nil {
		t.Fatal(err)
	}
	return wire
}

// reflectAll sends some messages at once, and notes when they are acked and delivered.
func reflectAll(ctx context.Context, t *testing.T, sender, receiver *client.Wire, first, count int) []reflection {
	t.Helper()
	seen := make([]reflection, count)
	for i := range seen {
		seen[i] = reflection{text: fmt.Sprintf("message %d of the test of durability", first+i), sent: time.Now()}
		if err := sender.Send(ctx, d2m.Reflect{ID: d2m.ReflectID(i), Envelope: []byte(seen[i].text)}); err != nil {
			t.Fatal(err)
		}
	}
	delivered := make(chan error, 1)
	go func() {
		delivered <- each(ctx, receiver, seen, func(r *reflection, _ d2m.Reflected) { r.delivered = time.Now() })
	}()
	err := each(ctx, sender, seen, func(r *reflection, _ d2m.ReflectAck) { r.acked = time.Now() })
	if err := errors.Join(err, <-delivered); err != nil {
		t.Fatal(err)
	}
	return seen
}

// each takes a message of one type for each of what was sent.
func each[M d2m.Message](ctx context.Context, wire *client.Wire, seen []reflection, note func(*reflection, M)) error {
	for i := range seen {
		m, err := receive[M](ctx, wire)
		if err != nil {
			return err
		}
		note(&seen[i], m)
	}
	return nil
}

// receive takes messages until one of a type comes.
func receive[M d2m.Message](ctx context.Context, wire *client.Wire) (m M, err error) {
	for {
		message, err := wire.Receive(ctx)
		if err != nil {
			return m, err
		}
		if m, ok := message.(M); ok {
			return m, nil
		}
	}
}

// check looks for the two syncs after the page of the message was written. Each took syncDelay at least.
func (r *reflection) check(calls []call) error {
	written := false
	var syncs []time.Time
	for _, c := range calls {
		switch {
		case c.name == "pwrite64":
			written = written || strings.Contains(c.text, r.text)
		case written && len(syncs) < 2:
			syncs = append(syncs, c.began.Add(syncDelay))
		}
	}
	switch {
	case !written:
		return fmt.Errorf("%q: the trace does not show that it was written", r.text)
	case len(syncs) < 2:
		return fmt.Errorf("%q: was acked %v after it was sent, and synced %d times in all", r.text, r.acked.Sub(r.sent), len(syncs))
	case r.acked.Before(syncs[1]):
		return fmt.Errorf("%q: was acked %v before it was synced", r.text, syncs[1].Sub(r.acked))
	case r.delivered.Before(syncs[1]):
		return fmt.Errorf("%q: was delivered %v before it was synced", r.text, syncs[1].Sub(r.delivered))
	}
	return nil
}
