package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"openmediator/d2m"
)

// tally counts what happens in a run.
type tally struct {
	// fixed
	started   time.Time
	attackers bool // there are some

	kills, terms, stops                               atomic.Int64 // of the server
	sent, ephemeral, acked, received                  atomic.Int64
	connections, duplicates, open                     atomic.Int64
	begun, rejected, committed, left, expired, staged atomic.Int64 // transactions
	drops, asked, shared                              atomic.Int64
	units                                             atomic.Int64 // from the chat server
	groups, judged, events                            atomic.Int64
	findings                                          atomic.Int64
	roads                                             [roadKinds]atomic.Int64
	assaults                                          atomic.Int64
	latency, attackLatency                            latencies // of the honest devices, and while there is an attack

	mu   sync.Mutex
	ends map[string]int // connections by what ended them
}

// countEnd counts the end of a connection.
func (t *tally) countEnd(why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ends[why]++
}

func (t *tally) copyEnds() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	ends := make(map[string]int)
	for why, n := range t.ends {
		ends[why] = n
	}
	return ends
}

func closeName(code d2m.CloseCode) string { return fmt.Sprintf("%d", uint16(code)) }

// addLatency counts the time that an honest device has waited for an ack, if it was all in one period.
func (t *tally) addLatency(sent, acked time.Time) {
	switch before, after := t.attacked(sent), t.attacked(acked); {
	case before && after:
		t.attackLatency.add(acked.Sub(sent))
	case !before && !after:
		t.latency.add(acked.Sub(sent))
	}
}

// latencies is how long honest devices waited for their acks, in steps of a tenth.
type latencies struct {
	steps [256]atomic.Int64
}

func (l *latencies) add(d time.Duration) {
	step, limit := 0, 100*time.Microsecond
	for ; d > limit && step < len(l.steps)-1; step++ {
		limit += limit / 10
	}
	l.steps[step].Add(1)
}

// quantile returns the upper end of the step below which a part of all is, and how many there are.
func (l *latencies) quantile(part float64) (time.Duration, int64) {
	all := int64(0)
	for i := range l.steps {
		all += l.steps[i].Load()
	}
	sum, limit := int64(0), 100*time.Microsecond
	for i := range l.steps {
		sum += l.steps[i].Load()
		if float64(sum) >= part*float64(all) {
			break
		}
		limit += limit / 10
	}
	return limit, all
}
