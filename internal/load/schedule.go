package load

import (
	"math/rand/v2"
	"time"
)

// schedule says when the messages of a sender are due, whatever becomes of them. Times are since the start.
type schedule struct {
	random *rand.Rand
	think  time.Duration // on average
	next   time.Duration // when the next message is due
	ready  bool          // the sender has waited for that with room for it
}

// newSchedule draws the first message's time. think is above 0.
func newSchedule(random *rand.Rand, think time.Duration) *schedule {
	return &schedule{random: random, think: think, next: time.Duration(random.Float64() * float64(think))}
}

// take returns the time from which the latency of the next message counts, and how late this process is with it, if it is
// due; late is below 0 if the message has waited for room instead.
func (s *schedule) take(now time.Duration) (from, late time.Duration, due bool) {
	if s.next > now {
		return 0, 0, false
	}
	from, late = s.next, -1
	if s.ready {
		from, late = now, now-s.next
	}
	s.next += time.Duration(s.random.ExpFloat64() * float64(s.think))
	return from, late, true
}
