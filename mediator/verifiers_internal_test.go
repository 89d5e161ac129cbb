package mediator

import (
	"crypto/rand"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"

	"openmediator/d2m"
)

// Each connection gets a key and a challenge of its own, whether they were drawn ahead or not (B2).
func TestB2_VerifiersAreUsedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const drawn = 16
		v := newVerifiers(rand.Reader, drawn)
		stop := make(chan struct{})
		var filling sync.WaitGroup
		filling.Go(func() { v.fill(stop) })
		synctest.Wait()
		if ahead := len(v.ready); ahead != drawn {
			t.Errorf("%d are drawn ahead, want %d", ahead, drawn)
		}
		var mu sync.Mutex
		keys, challenges := make(map[[32]byte]bool), make(map[d2m.Challenge]bool)
		var taking sync.WaitGroup
		const connections = 3 * drawn
		for range connections {
			taking.Go(func() {
				verifier, err := v.next()
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				hello := verifier.Hello()
				keys[hello.ESK], challenges[hello.Challenge] = true, true
			})
		}
		taking.Wait()
		if len(keys) != connections || len(challenges) != connections {
			t.Errorf("%d connections got %d keys and %d challenges", connections, len(keys), len(challenges))
		}
		close(stop)
		filling.Wait()
	})
}

func TestB2_NoVerifierWithoutRandomness(t *testing.T) {
	broken := errors.New("no randomness")
	r, w := io.Pipe()
	w.CloseWithError(broken)
	v := newVerifiers(r, 1)
	v.fill(nil)
	if _, err := v.next(); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}
