package load

import (
	"math/bits"
	"time"
)

// steps is how many buckets of a Histogram there are from one power of two to the next: its error is below 1/32.
const steps = 32

// Histogram counts durations. The zero value is empty.
type Histogram struct {
	counts [64 * steps]int64
	total  int64
}

// Record counts n times d.
func (h *Histogram) Record(d time.Duration, n int) {
	h.counts[bucket(d)] += int64(n)
	h.total += int64(n)
}

// Add counts what other has counted.
func (h *Histogram) Add(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

// Quantile returns the duration that the share q of those recorded, 0 to 1, is not above, or 0 if there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := max(1, int64(q*float64(h.total)+0.5))
	for i, n := range h.counts {
		if rank -= n; rank <= 0 {
			return middle(i)
		}
	}
	return 0
}

// bucket returns the place of a duration: below steps nanoseconds its own, above one for each 1/steps of a power of two.
func bucket(d time.Duration) int {
	n := uint64(max(0, d))
	if n < steps {
		return int(n)
	}
	shift := bits.Len64(n) - bits.Len64(steps)
	return shift*steps + int(n>>shift)
}

// middle returns the duration in the middle of a bucket.
func middle(i int) time.Duration {
	if i < 2*steps {
		return time.Duration(i)
	}
	shift := i/steps - 1
	return time.Duration(uint64(i%steps+steps)<<shift + 1<<shift/2)
}
