package mediator

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Leaders come last, and among the others as among them those first that were silent for longest, in whatever order the
// connections are found.
func TestB12_OrderOfLeaving(t *testing.T) {
	now := time.Now()
	heard := func(ago time.Duration) time.Time { return now.Add(-ago) }
	want := []leaver{
		{name: "dead leader", heard: heard(time.Hour)}, // counts as a follower: see leaving
		{name: "silent", heard: heard(time.Minute)},
		{name: "a twin", heard: heard(time.Second)},
		{name: "b twin", heard: heard(time.Second)},
		{name: "busy", heard: now},
		{name: "silent leader", heard: heard(29 * time.Second), leads: true},
		{name: "busy leader", heard: now, leads: true},
	}
	for range 100 {
		got := make([]leaver, len(want))
		for i, at := range rand.Perm(len(want)) {
			got[i] = want[at]
		}
		orderLeaving(got)
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("place %d: %s, want %s", i, got[i].name, want[i].name)
			}
		}
	}
}

func TestB41_StepFor(t *testing.T) {
	for _, test := range []struct {
		devices      int
		within, step time.Duration
	}{
		{0, 4 * time.Second, drainStep},
		{1, 4 * time.Second, drainStep},
		{400, 4 * time.Second, drainStep},
		{401, 4 * time.Second, 4 * time.Second / 401},
		{2000, 4 * time.Second, 2 * time.Millisecond},
		{50_000, 4 * time.Second, 80 * time.Microsecond},
		{50_000, time.Minute, 1200 * time.Microsecond},
		{10, 0, 0},
		{10, -time.Second, 0}, // a context that has ended
	} {
		if got := stepFor(test.devices, test.within); got != test.step {
			t.Errorf("%d devices within %v: %v, want %v", test.devices, test.within, got, test.step)
		}
	}
}
