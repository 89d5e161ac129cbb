package page

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"
)

const (
	// MaxGroups is how many groups are shown.
	MaxGroups = 100

	// MaxDevices is how many devices of a group are shown.
	MaxDevices = 100

	surveyPause   = 3 * time.Second // between two looks at all groups, at least
	surveyShare   = 20              // a look takes one part in so many of the time
	surveyTimeout = time.Minute
)

// Page shows a server. Close ends it.
type Page struct {
	// fixed
	source Source
	links  links
	tasks  sync.WaitGroup
	ctx    context.Context // ends with Close
	end    context.CancelFunc
	stir   chan struct{} // somebody has begun to watch

	mu       sync.Mutex
	watching int           // streams
	news     chan struct{} // closed and replaced when there is something new
	vitals   []byte        // JSON
	groups   []byte        // JSON; nil until somebody watches
}

// New returns a page over a server. It is to be made with the server, from whose start on it counts.
func New(source Source) *Page {
	p := &Page{source: source, news: make(chan struct{}), stir: make(chan struct{}, 1)}
	p.ctx, p.end = context.WithCancel(context.Background())
	p.tasks.Go(p.sample)
	p.tasks.Go(p.survey)
	return p
}

// Close ends all streams, and returns when nothing of the page runs any more but the handlers of requests.
func (p *Page) Close() {
	p.end()
	p.tasks.Wait()
}

// sample looks at the server each second.
func (p *Page) sample() {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	v := p.source.Vitals()
	h := newHistory(time.Now(), v)
	for {
		p.publish(func() { p.vitals = encode(vitalsEvent{time.Now().UTC(), v, h.rates, h.lastHour(v.Closes)}) })
		select {
		case <-p.ctx.Done():
			return
		case <-ticker.C:
		}
		v = p.source.Vitals()
		h.add(time.Now(), v)
	}
}

// survey looks at all groups while somebody watches.
func (p *Page) survey() {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-pause.C:
		}
		for !p.isWatched() {
			select {
			case <-p.ctx.Done():
				return
			case <-p.stir:
			}
		}
		began := time.Now()
		event := p.lookAtGroups()
		p.publish(func() { p.groups = encode(event) })
		pause.Reset(max(surveyPause, time.Since(began)*surveyShare))
	}
}

// lookAtGroups counts all groups, and keeps those in which most waits.
func (p *Page) lookAtGroups() *groupsEvent {
	ctx, cancel := context.WithTimeout(p.ctx, surveyTimeout)
	defer cancel()
	e := &groupsEvent{Groups: []Group{}}
	err := p.source.Groups(ctx, func(g Group) error {
		e.add(g)
		return ctx.Err()
	})
	if err != nil {
		e.Failed = err.Error()
	}
	e.shorten()
	e.At = time.Now().UTC()
	return e
}

func (e *groupsEvent) add(g Group) {
	e.Count++
	e.Devices += len(g.Devices)
	for i := range g.Devices {
		if g.Devices[i].Connected {
			e.Connected++
		}
	}
	e.Messages += g.Messages
	e.Bytes += g.Bytes
	if g.Oldest != nil && (e.Oldest == nil || g.Oldest.Before(*e.Oldest)) {
		e.Oldest = g.Oldest
	}
	g.Devices = g.Devices[:min(len(g.Devices), MaxDevices)]
	e.Groups = append(e.Groups, g)
	if len(e.Groups) > 2*MaxGroups {
		e.shorten()
	}
}

// shorten sorts the groups and leaves MaxGroups of them.
func (e *groupsEvent) shorten() {
	slices.SortStableFunc(e.Groups, compareGroups)
	clear(e.Groups[min(len(e.Groups), MaxGroups):])
	e.Groups = e.Groups[:min(len(e.Groups), MaxGroups)]
}

// compareGroups has those first in which most waits, then those that were here last.
func compareGroups(a, b Group) int {
	if a.Messages != b.Messages {
		return b.Messages - a.Messages
	}
	return b.Seen.Compare(a.Seen)
}

// publish changes what there is to see and tells all streams.
func (p *Page) publish(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	close(p.news)
	p.news = make(chan struct{})
}

func (p *Page) isWatched() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.watching > 0
}

// encode returns JSON. What is encoded here has no other result.
func encode(event any) []byte {
	data, err := json.Marshal(event)
	if err != nil {
		panic(err)
	}
	return data
}
