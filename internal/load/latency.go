package load

import "time"

// Latency is a distribution as a result has it.
type Latency struct {
	Count uint64  `json:"count"`
	Mean  float64 `json:"mean_us"`
	P50   float64 `json:"p50_us"`
	P90   float64 `json:"p90_us"`
	P99   float64 `json:"p99_us"`
	Max   float64 `json:"max_us"`

	histogram *Histogram
}

func newLatency(h *Histogram) Latency {
	return Latency{
		Count: h.Count(), Mean: microseconds(h.Mean()), P50: microseconds(h.Percentile(50)), P90: microseconds(h.Percentile(90)),
		P99: microseconds(h.Percentile(99)), Max: microseconds(h.Max()), histogram: h,
	}
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
