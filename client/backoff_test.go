package client

import (
	"testing"
	"time"
)

func TestBackoffIsBoundedAndRandom(t *testing.T) {
	const attempts, runs = 10, 200
	for attempt := range attempts {
		seen := make(map[time.Duration]bool)
		shortest, longest := time.Hour, time.Duration(0)
		bound := min(4*time.Second<<attempt, time.Minute)
		for range runs {
			b := backoff{min: time.Second, max: time.Minute}
			var wait time.Duration
			for range attempt + 1 {
				wait = b.next(0)
			}
			seen[wait] = true
			shortest, longest = min(shortest, wait), max(longest, wait)
		}
		if shortest < time.Second || longest > bound {
			t.Errorf("attempt %d: waits %v to %v, want %v to %v", attempt, shortest, longest, time.Second, bound)
		}
		// Uniform: among 200, one is in each half but for a chance of 2^-199.
		if middle := (time.Second + bound) / 2; len(seen) < runs/2 || shortest > middle || longest < middle {
			t.Errorf("attempt %d: %d different waits from %v to %v", attempt, len(seen), shortest, longest)
		}
	}
}

func TestBackoffFallsBackAfterLongConnection(t *testing.T) {
	b := backoff{min: time.Second, max: time.Minute}
	for range 10 {
		b.next(0)
	}
	if b.next(59 * time.Second); b.bound != time.Minute {
		t.Errorf("bound is %v after a connection shorter than it", b.bound)
	}
	if b.next(61 * time.Second); b.bound != 4*time.Second {
		t.Errorf("bound is %v after a connection longer than it", b.bound)
	}
}

func TestBackoffOfNoWidth(t *testing.T) {
	b := backoff{min: time.Second, max: time.Second}
	for range 3 {
		if wait := b.next(0); wait != time.Second {
			t.Errorf("waits %v", wait)
		}
	}
}
