package metrics

import (
	"errors"
	"sync"
	"time"

	"openmediator/mediator"
)

const (
	// censusEvery is the least time between two looks through the store.
	censusEvery = time.Minute

	// After a look that took long, the next one waits this many times as long: a twentieth of a processor at most.
	censusRest = 20
)

// Totals are what all groups have together.
type Totals struct {
	At        time.Time // when they were counted
	Groups    int
	Slots     int
	Connected int   // device slots whose device is connected
	Messages  int64 // that wait for some device
	Bytes     int64 // of their envelopes
	Oldest    time.Time
}

// Survey calls each with every group, until it returns an error.
type Survey func(each func(mediator.GroupState) error) error

var errClosed = errors.New("census: closed")

// Census counts what all groups have together, in the background and not too often.
type Census struct {
	survey Survey // fixed

	mu       sync.Mutex
	totals   Totals
	known    bool
	counting bool
	next     time.Time // not counted before
	closed   bool
	tasks    sync.WaitGroup
}

// NewCensus returns a census that has not counted yet. Close ends it.
func NewCensus(survey Survey) *Census { return &Census{survey: survey} }

// Totals returns what was counted last, and has it counted again if it is time. known is false before the first count.
func (c *Census) Totals() (totals Totals, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.counting && !c.closed && !time.Now().Before(c.next) {
		c.counting = true
		c.tasks.Go(c.count)
	}
	return c.totals, c.known
}

// Close ends a count that is in progress. Later calls of Totals return what was counted last.
func (c *Census) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.tasks.Wait()
}

func (c *Census) count() {
	began := time.Now()
	totals := Totals{At: began}
	err := c.survey(func(g mediator.GroupState) error {
		totals.add(g)
		return c.ended()
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counting = false
	c.next = time.Now().Add(max(censusEvery, censusRest*time.Since(began)))
	if err == nil {
		c.totals, c.known = totals, true
	}
}

// ended returns an error when the census is closed.
func (c *Census) ended() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errClosed
	}
	return nil
}

func (t *Totals) add(g mediator.GroupState) {
	t.Groups++
	t.Slots += g.Slots
	t.Connected += g.Connected
	t.Messages += int64(g.Messages)
	t.Bytes += g.Bytes
	if !g.Oldest.IsZero() && (t.Oldest.IsZero() || g.Oldest.Before(t.Oldest)) {
		t.Oldest = g.Oldest
	}
}
