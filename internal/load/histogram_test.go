package load

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestHistogram holds a histogram, put together from two, against sorting.
func TestHistogram(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() int64{
		"small":       func() int64 { return random.Int64N(300) },
		"spread":      func() int64 { return int64(math.Exp(random.Float64() * 43)) },
		"exponential": func() int64 { return int64(random.ExpFloat64() * 1e6) },
		"the same":    func() int64 { return 1_000_000 },
		"longest":     func() int64 { return math.MaxInt64 - random.Int64N(3) },
	} {
		for _, n := range []int{1, 2, 3, 10, 999, 5000} {
			var h, other Histogram
			var naive []int64
			for i := range n {
				v := draw()
				naive = append(naive, v)
				if i%3 == 0 {
					other.Add(time.Duration(v))
				} else {
					h.Add(time.Duration(v))
				}
			}
			h.Merge(&other)
			slices.Sort(naive)
			for _, p := range []float64{0.001, 1, 50, 90, 99, 99.99, 100} {
				want := naive[int(math.Ceil(p/100*float64(n)))-1]
				got := int64(h.Percentile(p))
				if got < want || got-want > want/subBuckets {
					t.Errorf("%s, %d values: percentile %v is %d, want %d", name, n, p, got, want)
				}
			}
			if h.Count() != uint64(n) || int64(h.Max()) != naive[n-1] {
				t.Errorf("%s: count %d, max %d; want %d and %d", name, h.Count(), h.Max(), n, naive[n-1])
			}
			if mean := meanOf(naive); math.Abs(float64(h.Mean())-mean) > 1+mean/1e9 {
				t.Errorf("%s, %d values: mean %d, want %v", name, n, h.Mean(), mean)
			}
			checkOctaves(t, &h, naive)
		}
	}
}

func meanOf(values []int64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += float64(v)
	}
	return sum / float64(len(values))
}

func checkOctaves(t *testing.T, h *Histogram, naive []int64) {
	t.Helper()
	total := uint64(0)
	for _, o := range h.Octaves() {
		total += o.Count
		want := uint64(0)
		for _, v := range naive {
			if v >= int64(o.Low) && v/2 < int64(o.Low) || v == 0 && o.Low == 1 {
				want++
			}
		}
		if o.Count != want {
			t.Errorf("from %d on there are %d, want %d", o.Low, o.Count, want)
		}
	}
	if total != uint64(len(naive)) {
		t.Errorf("octaves have %d values, want %d", total, len(naive))
	}
}

func TestHistogramOfNothing(t *testing.T) {
	var h Histogram
	if h.Percentile(50) != 0 || h.Mean() != 0 || h.Max() != 0 || len(h.Octaves()) != 0 {
		t.Error("an empty histogram has values")
	}
	h.Add(-time.Second)
	if h.Percentile(100) != 0 || h.Count() != 1 {
		t.Errorf("a time below 0 counts as %v", h.Percentile(100))
	}
}

// TestBucketsAreGapless: each bucket begins where the one before it ends.
func TestBucketsAreGapless(t *testing.T) {
	if last := bucketOf(math.MaxInt64); last != buckets-1 || highest(last) != math.MaxInt64 {
		t.Errorf("the longest time is in bucket %d of %d, which ends at %d", last, buckets, highest(last))
	}
	for bucket := range buckets - 1 {
		if end := highest(bucket); bucketOf(end) != bucket || bucketOf(end+1) != bucket+1 {
			t.Fatalf("bucket %d ends at %d, which is in %d, and the next value in %d", bucket, end, bucketOf(end), bucketOf(end+1))
		}
	}
}
