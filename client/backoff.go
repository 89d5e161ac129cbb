package client

import (
	"math/rand/v2"
	"time"
)

// backoff draws the waits between attempts to connect. They are random, because
// after a restart of the server all its devices are back at the same moment.
type backoff struct {
	min, max time.Duration
	bound    time.Duration // of the wait before; 0 before the first
}

// next returns how long to wait after a connection that lasted for a while, 0 if
// none came about. The bound doubles, up to the maximum. It falls back when a
// connection has lasted longer than it, and not as soon as there is one: a server
// may take devices and lose them at once.
func (b *backoff) next(lasted time.Duration) time.Duration {
	if lasted > b.bound {
		b.bound = 0
	}
	b.bound = min(max(2*b.bound, 4*b.min), b.max)
	return b.min + rand.N(b.bound-b.min+1)
}
