package load

import (
	"math"
	"math/bits"
	"time"
)

// A Histogram has 128 buckets for each power of two, so that a value is told at most 1/128 too high.
const (
	subBits    = 7
	subBuckets = 1 << subBits
	buckets    = (64 - subBits) * subBuckets
)

// Histogram counts durations. The zero value is empty. It is not for concurrent use.
type Histogram struct {
	counts [buckets]uint64
	count  uint64
	sum    float64 // ns
	max    int64   // ns
}

// bucketOf returns the bucket of a value of at least 0.
func bucketOf(v int64) int {
	shift := max(0, bits.Len64(uint64(v))-1-subBits)
	return shift<<subBits + int(v>>shift)
}

// highest returns the highest value of a bucket.
func highest(bucket int) int64 {
	shift := max(0, bucket>>subBits-1)
	mantissa := int64(bucket - shift<<subBits)
	return (mantissa+1)<<shift - 1
}

// Add counts a duration; one below 0 counts as 0.
func (h *Histogram) Add(d time.Duration) {
	v := max(0, int64(d))
	h.counts[bucketOf(v)]++
	h.count++
	h.sum += float64(v)
	h.max = max(h.max, v)
}

// Merge adds what another one has counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.count += other.count
	h.sum += other.sum
	h.max = max(h.max, other.max)
}

// Count returns how many durations were added.
func (h *Histogram) Count() uint64 { return h.count }

// Max returns the longest duration.
func (h *Histogram) Max() time.Duration { return time.Duration(h.max) }

// Mean returns the average, 0 if there is nothing.
func (h *Histogram) Mean() time.Duration {
	if mean := h.sum / float64(h.count); mean < float64(h.max) {
		return time.Duration(mean)
	}
	return h.Max()
}

// Percentile returns the smallest duration that p percent, above 0 and at most 100, do not exceed; 0 if there is nothing.
func (h *Histogram) Percentile(p float64) time.Duration {
	rank := uint64(math.Ceil(p / 100 * float64(h.count)))
	var seen uint64
	for bucket, n := range h.counts {
		seen += n
		if n > 0 && seen >= rank {
			return time.Duration(min(highest(bucket), h.max))
		}
	}
	return 0
}

// Octave is how many durations lie from Low up to, but not including, twice that.
type Octave struct {
	Low   time.Duration // a power of two, ns; 0 counts with 1
	Count uint64
}

// Octaves returns the octaves from the first to the last that has any, for a picture.
func (h *Histogram) Octaves() []Octave {
	var all [64]uint64
	first, last := len(all), -1
	for bucket, n := range h.counts {
		if n == 0 {
			continue
		}
		octave := max(0, bits.Len64(uint64(highest(bucket)))-1)
		all[octave] += n
		first, last = min(first, octave), octave
	}
	var octaves []Octave
	for octave := first; octave <= last; octave++ {
		octaves = append(octaves, Octave{Low: 1 << octave, Count: all[octave]})
	}
	return octaves
}
