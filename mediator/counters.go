package mediator

import (
	"sync/atomic"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
	"openmediator/reflect"
)

// counters are what the server counts for its operator from its start on. None names anybody (B42). What happens once per
// message costs one addition; all else is done when somebody looks (see Server.Stats).
type counters struct {
	upgrades, logins, wrongResponses atomic.Int64

	reflected, ephemerals, delivered, acked atomic.Int64
	begun, committed, aborted               atomic.Int64

	storeFailures  atomic.Int64
	commitDuration histogram // nanoseconds
	commitGroups   histogram

	closes [len(closeCodes) + 1]atomic.Int64 // by the place in closeCodes; the last one is for any other
}

// closeCodes are the codes that are counted by themselves.
var closeCodes = [...]d2m.CloseCode{
	d2m.CloseNormal, d2m.CloseGoingAway, d2m.CloseProtocolViolation, d2m.CloseInternal,
	d2m.CloseChatServerClosed, d2m.CloseChatServerUnreachable, d2m.CloseChatServerInternal,
	d2m.CloseProtocolError, d2m.CloseTransactionExpired, d2m.CloseUnknownMessageAcked, d2m.CloseIdle,
	d2m.CloseUnsupportedVersion, d2m.CloseDeviceLimit, d2m.CloseReplaced, d2m.CloseDropped, d2m.CloseQueueLimit,
	d2m.CloseSlotState,
}

// closed counts a Close frame of this side.
func (c *counters) closed(code d2m.CloseCode) {
	for i, known := range closeCodes {
		if code == known {
			c.closes[i].Add(1)
			return
		}
	}
	c.closes[len(closeCodes)].Add(1)
}

// add counts what has happened in a group.
func (c *counters) add(t devicegroup.Tally) {
	add := func(counter *atomic.Int64, n int64) {
		if n != 0 {
			counter.Add(n)
		}
	}
	add(&c.reflected, t.Reflected)
	add(&c.ephemerals, t.Ephemerals)
	add(&c.delivered, t.Delivered)
	add(&c.acked, t.Acked)
	add(&c.begun, t.Begun)
	add(&c.committed, t.Committed)
	add(&c.aborted, t.Aborted)
}

// measuredStore notes how long each commit takes, and for how many groups it is.
type measuredStore struct {
	reflect.Store
	counters *counters
}

func (m measuredStore) Commit(batches []*reflect.Batch) []error {
	began := time.Now()
	results := m.Store.Commit(batches)
	m.counters.commitDuration.observe(int64(time.Since(began)))
	m.counters.commitGroups.observe(int64(len(batches)))
	return results
}

// What commits are sorted by.
var (
	commitDurations = []time.Duration{
		500 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond,
		20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond,
		500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second,
	}
	commitSizes = []int64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}
)

// histogram counts values by which bounds they do not exceed.
type histogram struct {
	bounds []int64         // rising; fixed
	counts []atomic.Uint64 // of values above the bound before; the last one is for those above all
	sum    atomic.Int64
}

// sortBy sets the bounds of a histogram.
func sortBy[T ~int64](h *histogram, bounds []T) {
	for _, bound := range bounds {
		h.bounds = append(h.bounds, int64(bound))
	}
	h.counts = make([]atomic.Uint64, len(bounds)+1)
}

func (h *histogram) observe(value int64) {
	i := 0
	for i < len(h.bounds) && value > h.bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(value)
}

// Histogram tells how a value is distributed.
type Histogram struct {
	Buckets map[float64]uint64 // by bound: how many values do not exceed it
	Count   uint64
	Sum     float64
}

// in returns what was counted, each value divided by a unit.
func (h *histogram) in(unit float64) Histogram {
	seen := Histogram{Buckets: make(map[float64]uint64, len(h.bounds)), Sum: float64(h.sum.Load()) / unit}
	for i, bound := range h.bounds {
		seen.Count += h.counts[i].Load()
		seen.Buckets[float64(bound)/unit] = seen.Count
	}
	seen.Count += h.counts[len(h.bounds)].Load()
	return seen
}
