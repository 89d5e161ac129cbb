//go:build integration

package integration

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
)

// comeBack is how long devices wait when their connection is lost, without jitter, and between two attempts (d2m.md, 25).
const comeBack = 5 * time.Second

// fleet is many devices.
type fleet []*sailor

// sailor is a device that notes what it notices of a restart.
type sailor struct {
	// fixed
	device *client.Device
	group  []*sailor
	number int                  // within the group
	known  *client.MemoryNonces // of messages

	mu       sync.Mutex
	lost     time.Time // when the connection was; zero while there is one
	due      time.Time // when the last attempt began
	refused  int       // attempts in vain
	outages  []outage
	sent     int            // messages that were acked
	slowest  time.Duration  // from sending a message to its ack
	received map[string]int // by message
	again    int            // messages that came once more on the wire, and were known
}

// outage is a time without connection.
type outage struct {
	took  time.Duration
	login time.Duration // of it, from the last attempt on
	due   time.Time     // when that attempt began
}

// launch connects devices, as many in each group.
func launch(t *testing.T, address string, groups, devices int) (all fleet) {
	t.Helper()
	var connecting sync.WaitGroup
	for range groups {
		keys := newKeys(t)
		group := make([]*sailor, devices)
		for i := range group {
			group[i] = &sailor{group: group, number: i, received: make(map[string]int), known: client.NewMemoryNonces(client.DefaultNonces)}
		}
		for _, s := range group {
			connecting.Go(func() {
				if err := s.connect(t.Context(), address, keys); err != nil {
					t.Error(err)
				}
			})
		}
		all = append(all, group...)
	}
	connecting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	t.Cleanup(func() {
		var closing sync.WaitGroup
		for _, s := range all {
			closing.Go(s.device.Close)
		}
		closing.Wait()
	})
	return all
}

func newKeys(t *testing.T) *devicekeys.Keys {
	t.Helper()
	var key [32]byte
	rand.Read(key[:])
	keys, err := devicekeys.FromGroupKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func (s *sailor) connect(ctx context.Context, address string, keys *devicekeys.Keys) (err error) {
	s.device, err = client.Connect(ctx, client.Config{
		URL: address, Keys: keys, DeviceID: d2m.DeviceID(s.number),
		OnRegistered:   func() error { return nil },
		Receive:        s.receive,
		Nonces:         s,
		OnConnected:    func(d2m.ServerInfo) { s.connected(time.Now()) },
		OnDisconnected: func(_ error, retry time.Duration) { s.disconnected(time.Now(), retry) },
		ReconnectMin:   comeBack, ReconnectMax: comeBack,
	})
	return err
}

func (s *sailor) connected(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost.IsZero() {
		return // for the first time
	}
	s.outages = append(s.outages, outage{now.Sub(s.lost), now.Sub(s.due), s.due})
	s.lost = time.Time{}
}

func (s *sailor) disconnected(now time.Time, retry time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.due = now.Add(retry)
	if s.lost.IsZero() {
		s.lost = now
	} else {
		s.refused++
	}
}

// Contains implements client.NonceStore, to see what comes once more.
func (s *sailor) Contains(nonce [24]byte) (bool, error) {
	known, err := s.known.Contains(nonce)
	if known {
		s.mu.Lock()
		s.again++
		s.mu.Unlock()
	}
	return known, err
}

// Add implements client.NonceStore.
func (s *sailor) Add(nonce [24]byte) error { return s.known.Add(nonce) }

func (s *sailor) receive(_ context.Context, m client.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received[m.Envelope.Text]++
	return nil
}

// message is the text of the n-th message of a device.
func (s *sailor) message(n int) string { return fmt.Sprintf("message %d of device %d", n, s.number) }

// reflectAll reflects a message at each interval until stop is closed, the next one when the last is acked, as apps do. One
// whose fate is not known is reflected again.
func (s *sailor) reflectAll(ctx context.Context, interval time.Duration, stop <-chan struct{}) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return nil
		case <-ticker.C:
		}
		began := time.Now()
		_, err := s.device.Reflect(ctx, devicekeys.Envelope{Text: s.message(n)})
		for unknown := new(client.UnknownError); errors.As(err, &unknown); {
			_, err = s.device.ReflectSealed(ctx, unknown.Sealed)
		}
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.sent++
		s.slowest = max(s.slowest, time.Since(began))
		s.mu.Unlock()
	}
}

// judge returns how many messages were acked and have not come to this device, and how many came to it twice.
func (s *sailor) judge() (lost, doubled int) {
	for _, peer := range s.group {
		if peer == s {
			continue
		}
		peer.mu.Lock()
		sent := peer.sent
		peer.mu.Unlock()
		s.mu.Lock()
		for n := range sent {
			switch times := s.received[peer.message(n)]; {
			case times == 0:
				lost++
			case times > 1:
				doubled++
			}
		}
		s.mu.Unlock()
	}
	return lost, doubled
}

// isBack says whether the device has lost its connection and has one again.
func (s *sailor) isBack() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.outages) > 0 && s.lost.IsZero()
}

// await waits until it is so for all devices.
func (f fleet) await(ctx context.Context, t *testing.T, what func(*sailor) bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		if !slices.ContainsFunc(f, func(s *sailor) bool { return !what(s) }) {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatal("devices: it is not so with all of them in time")
		}
	}
}

// notices is what all devices of a fleet have noticed.
type notices struct {
	devices, sent, lost, doubled, again int

	refused int             // attempts in vain
	without []time.Duration // without connection, rising
	logins  []time.Duration // from an attempt until the device was registered, rising
	acks    []time.Duration // each device's slowest, rising
	dues    []time.Time     // when the attempts began that succeeded, rising
}

func (f fleet) notices() (n notices) {
	n.devices = len(f)
	for _, s := range f {
		lost, doubled := s.judge()
		n.lost, n.doubled = n.lost+lost, n.doubled+doubled
		s.mu.Lock()
		n.sent, n.again, n.refused = n.sent+s.sent, n.again+s.again, n.refused+s.refused
		n.acks = append(n.acks, s.slowest)
		for _, o := range s.outages {
			n.without, n.logins, n.dues = append(n.without, o.took), append(n.logins, o.login), append(n.dues, o.due)
		}
		s.mu.Unlock()
	}
	slices.Sort(n.without)
	slices.Sort(n.logins)
	slices.Sort(n.acks)
	slices.SortFunc(n.dues, time.Time.Compare)
	return n
}

// busiest returns how many devices came, at most, within any time so long.
func (n *notices) busiest(within time.Duration) (most int) {
	first := 0
	for i, at := range n.dues {
		for at.Sub(n.dues[first]) >= within {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// spread writes the smallest, the middle and the largest of some times.
func spread(sorted []time.Duration) string {
	if len(sorted) == 0 {
		return "none"
	}
	of := func(i int) time.Duration { return sorted[i].Round(time.Millisecond) }
	return fmt.Sprintf("%v, %v, %v", of(0), of(len(sorted)/2), of(len(sorted)-1))
}
