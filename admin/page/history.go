package page

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"openmediator/d2m"
)

const (
	rateSeconds  = 180 // of which the page shows the rates
	closeMinutes = 60  // of which it shows the close codes
)

// history is what has been by now. It is the sampler's.
type history struct {
	reflected uint64 // at the last sample
	rates     []int

	minute time.Time                  // when the last of closes was taken
	closes []map[d2m.CloseCode]uint64 // counters at the begin of each of the last minutes
}

// newHistory begins at a server's first figures.
func newHistory(now time.Time, v Vitals) *history {
	return &history{reflected: v.Reflected, rates: []int{}, minute: now, closes: []map[d2m.CloseCode]uint64{{}}}
}

// add takes a sample. It is due each second.
func (h *history) add(now time.Time, v Vitals) {
	h.rates = append(h.rates, int(v.Reflected-h.reflected))
	h.rates = h.rates[max(0, len(h.rates)-rateSeconds):]
	h.reflected = v.Reflected
	if now.Sub(h.minute) >= time.Minute {
		h.minute = now
		h.closes = append(h.closes, maps.Clone(v.Closes))
		h.closes = h.closes[max(0, len(h.closes)-closeMinutes-1):]
	}
}

// lastHour returns how often each code was used in the last hour, the most frequent first.
func (h *history) lastHour(now map[d2m.CloseCode]uint64) []closeCount {
	counts := []closeCount{}
	for code, n := range now {
		if n -= h.closes[0][code]; n > 0 {
			a := adviceOn(code)
			counts = append(counts, closeCount{code, n, a.Meaning, a.Advice, a.Look})
		}
	}
	slices.SortFunc(counts, func(a, b closeCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Code, b.Code))
	})
	return counts
}
