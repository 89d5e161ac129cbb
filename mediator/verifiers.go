package mediator

import (
	"io"

	"openmediator/d2m"
)

// verifiersAhead is how many key pairs are drawn ahead of the connections that need them: one for each of a small server's
// devices, which come all at once when it starts.
var verifiersAhead = 64 // changed only by tests, which start many servers for few connections

// verifiers are drawn ahead, each for one connection (B2). That takes a scalar multiplication, as long as the check of a
// response, and a connection need not wait for it.
type verifiers struct {
	random io.Reader
	ready  chan *d2m.Verifier
}

func newVerifiers(random io.Reader, ahead int) *verifiers {
	return &verifiers{random: random, ready: make(chan *d2m.Verifier, ahead)}
}

// fill draws until stop is closed, or until there is no randomness: then next says so.
func (v *verifiers) fill(stop <-chan struct{}) {
	for {
		drawn, err := d2m.NewVerifier(v.random)
		if err != nil {
			return
		}
		select {
		case v.ready <- drawn:
		case <-stop:
			return
		}
	}
}

// next returns one that nobody else gets.
func (v *verifiers) next() (*d2m.Verifier, error) {
	select {
	case drawn := <-v.ready:
		return drawn, nil
	default:
		return d2m.NewVerifier(v.random)
	}
}
