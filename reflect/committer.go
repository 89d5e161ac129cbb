package reflect

import (
	"sync"
	"time"
)

// LazyDelay is how long what was added with AddLazy waits at most for the start of a commit that carries it.
const LazyDelay = 500 * time.Millisecond

// Source is a group that has something to store. Its methods are called by the committer's goroutine only.
type Source interface {
	// Seal returns what to store now, or nil if there is nothing any more.
	Seal() *Batch
	// Committed takes the result of a batch that Seal returned. It may add the source again.
	Committed(b *Batch, err error)
}

// Committer collects what many groups want to have stored into one call of the store. There is no timer for what is
// urgent: a commit starts when the one in progress is over and takes everything that waits, so a single quiet group
// commits at once and a busy server shares one sync among all groups.
//
// It has one goroutine, which ends with Close.
type Committer struct {
	// fixed
	store Store
	wake  chan struct{} // holds a token while something may be new
	done  chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	waiting []Source
	lazy    []Source
	isLazy  map[Source]struct{} // those in lazy
	due     time.Time           // when lazy is taken, if it is not empty
	closing bool

	// goroutine
	owners  []Source
	batches []*Batch
}

// NewCommitter returns a committer that stores into store. Close ends it; the store stays open.
func NewCommitter(store Store) *Committer {
	c := &Committer{
		store:  store,
		wake:   make(chan struct{}, 1),
		done:   make(chan struct{}),
		isLazy: make(map[Source]struct{}),
	}
	go c.run()
	return c
}

// Add says that something of s waits to be stored as soon as the commit in progress is over. s is not added again before
// its Seal has been called. Add never blocks and calls nothing of s, so s may be locked. After Close it does nothing.
func (c *Committer) Add(s Source) {
	c.mu.Lock()
	c.waiting = append(c.waiting, s)
	c.mu.Unlock()
	c.stir()
}

// AddLazy says that something of s may wait: all that was added so is taken by the first commit that starts LazyDelay or
// more after the first of it was added, and if there is nothing else to store, one starts for it then. A source that
// waits here already stays as it is, and it may be added with Add besides. Else as Add.
func (c *Committer) AddLazy(s Source) {
	c.mu.Lock()
	first := len(c.lazy) == 0
	if first {
		c.due = time.Now().Add(LazyDelay)
	}
	if _, waits := c.isLazy[s]; !waits {
		c.isLazy[s] = struct{}{}
		c.lazy = append(c.lazy, s)
	}
	c.mu.Unlock()
	if first {
		c.stir()
	}
}

// Close stores everything that waits, what is lazy included, and returns when that is done. It may be called once.
func (c *Committer) Close() {
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	c.stir()
	<-c.done
}

func (c *Committer) stir() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *Committer) run() {
	defer close(c.done)
	var sources []Source
	for {
		wait, closing := c.take(&sources)
		switch {
		case len(sources) > 0:
			c.commit(sources)
		case closing:
			return
		default:
			c.rest(wait)
		}
	}
}

// take moves what is to be stored now to sources. wait is the time until more will be, 0 if that is not known.
func (c *Committer) take(sources *[]Source) (wait time.Duration, closing bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(*sources)
	*sources, c.waiting = c.waiting, (*sources)[:0]
	if len(c.lazy) == 0 {
		return 0, c.closing
	}
	if wait = time.Until(c.due); wait > 0 && !c.closing {
		return wait, false
	}
	for _, s := range *sources {
		delete(c.isLazy, s) // one batch per group stands in a commit
	}
	for _, s := range c.lazy {
		if _, waits := c.isLazy[s]; waits {
			*sources = append(*sources, s)
		}
	}
	clear(c.lazy)
	clear(c.isLazy)
	c.lazy = c.lazy[:0]
	return 0, c.closing
}

// rest waits until something is new, or for a time if wait is not 0.
func (c *Committer) rest(wait time.Duration) {
	if wait == 0 {
		<-c.wake
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-c.wake:
	case <-timer.C:
	}
}

func (c *Committer) commit(sources []Source) {
	for _, s := range sources {
		if b := s.Seal(); b != nil {
			c.owners = append(c.owners, s)
			c.batches = append(c.batches, b)
		}
	}
	if len(c.batches) > 0 {
		results := c.store.Commit(c.batches)
		for i, s := range c.owners {
			s.Committed(c.batches[i], results[i])
		}
	}
	clear(c.owners)
	clear(c.batches)
	c.owners, c.batches = c.owners[:0], c.batches[:0]
}
