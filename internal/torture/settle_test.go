package main

import (
	"math/rand/v2"
	"testing"
	"time"

	"openmediator/client"
	"openmediator/d2m"
)

// A device that takes what is left for it does not give up soon, as others do at random.
func TestSettlingDevicesHavePatience(t *testing.T) {
	for seed := range uint64(100) {
		g := &group{run: &run{tally: new(tally)}}
		d := &device{group: g, settling: true, random: rand.New(rand.NewPCG(seed, 0))}
		c := newConnection(&attempt{device: d}, nil, d2m.ServerInfo{})
		if left := time.Until(c.enough); left < settleLimit {
			t.Fatalf("seed %d: it has had enough in %v", seed, left)
		}
	}
}

// The server closes the connection of a device that drops itself, so what it gave it before may be left unacknowledged. Its
// ack has come all the same.
func TestWhatHasComeBeforeTheEndCounts(t *testing.T) {
	over := make(chan struct{})
	close(over)
	c := &connection{
		device: &device{group: &group{run: &run{hopeless: t.Context()}}}, wire: new(client.Wire), enough: time.Now(), // nothing can be sent
		habit: atOnce, unread: []d2m.ReflectedID{1}, over: over, awake: make(chan struct{}),
		dropAcks: []d2m.DeviceID{1},
	}
	if !c.until(t.Context(), func() bool { return len(c.dropAcks) > 0 }) {
		t.Error("the ack has been missed")
	}
}

// A device that knows that its slot is gone does not come back for another one: its group would begin anew.
func TestWhoseSlotIsGoneHasLeft(t *testing.T) {
	for name, test := range map[string]struct{ registered, gone, left bool }{
		"it has its slot":        {true, false, false},
		"it was told of the end": {true, true, true},
		"it was refused":         {false, false, true},
	} {
		d := &device{group: new(group), registered: test.registered, gone: test.gone}
		if left := d.hasLeft(); left != test.left || d.out != left {
			t.Errorf("%s: left %v, out %v", name, left, d.out)
		}
	}
}
