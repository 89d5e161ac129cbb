package chatflow

import (
	"math/rand/v2"
	"sync"
	"testing"
)

// Between two cuts, so many messages are sent.
const (
	cutAfter = 30
	cutUntil = 90
)

// victim is what is cut next.
type victim uint8

const (
	leader victim = iota
	follower
	upstream
	victims
)

// killer cuts connections, by the number of messages that were sent.
type killer struct {
	// fixed
	devices []*device
	tap     *tap

	mu     sync.Mutex
	random *rand.Rand
	sent   int
	due    int // the count of sent messages at which the next cut is made
	victim victim
	cuts   [victims]int
}

func newKiller(seed uint64, devices []*device, tap *tap) *killer {
	k := &killer{devices: devices, tap: tap, random: rand.New(rand.NewPCG(seed, 0))}
	k.plan()
	return k
}

// plan draws when the next cut is made, and what it hits: three of five times the device that leads.
func (k *killer) plan() {
	k.due = k.sent + cutAfter + k.random.IntN(cutUntil-cutAfter+1)
	k.victim = [...]victim{leader, leader, leader, follower, upstream}[k.random.IntN(5)]
}

// messageSent is called for each message that the chat server has acknowledged.
func (k *killer) messageSent() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sent++
	if k.sent < k.due || !k.cut() {
		return // if there was nobody to cut off, there is with one of the next messages
	}
	k.cuts[k.victim]++
	k.plan()
}

// cut reports false if there is no such victim at the moment.
func (k *killer) cut() bool {
	if k.victim == upstream {
		links := k.tap.open()
		if len(links) > 0 {
			links[k.random.IntN(len(links))].cut()
		}
		return len(links) > 0
	}
	for _, i := range k.random.Perm(len(k.devices)) {
		if d := k.devices[i]; d.Connected() && d.IsLeader() == (k.victim == leader) {
			d.kill()
			return true
		}
	}
	return false
}

// check fails if what was cut has made no difference: then the test has shown nothing.
func (k *killer) check(t *testing.T) {
	t.Helper()
	var repeated, led int64
	leaders := make(map[*user]int)
	for _, d := range k.devices {
		repeated += d.nonces.repeated.Load()
		led += d.led.Load()
		if d.led.Load() > 0 {
			leaders[d.user]++
		}
	}
	t.Logf("cut off: %d leaders, %d other devices, %d connections to the chat server", k.cuts[leader], k.cuts[follower], k.cuts[upstream])
	t.Logf("%d times a device became leader; %d messages came again and were discarded", led, repeated)
	for user, n := range leaders {
		if n < 2 {
			t.Errorf("%s's devices: %d have led", user.name, n)
		}
	}
	if repeated == 0 {
		t.Error("no message came again: nothing was on its way when connections were cut")
	}
}
