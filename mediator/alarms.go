package mediator

import (
	"container/heap"
	"sync"
	"time"

	"openmediator/d2m"
)

// alarms rings once for each group at its time. It costs a heap entry per group that has one, and one goroutine.
type alarms struct {
	ring func(d2m.GroupID) // called by the goroutine, one at a time

	stop chan struct{}
	done chan struct{}
	wake chan struct{} // a token when the earliest alarm has changed

	mu    sync.Mutex
	heap  alarmHeap
	index map[d2m.GroupID]*alarm
}

type alarm struct {
	group d2m.GroupID
	at    time.Time
	place int // in the heap
}

func newAlarms(ring func(d2m.GroupID)) *alarms {
	a := &alarms{
		ring:  ring,
		stop:  make(chan struct{}),
		done:  make(chan struct{}),
		wake:  make(chan struct{}, 1),
		index: make(map[d2m.GroupID]*alarm),
	}
	go a.run()
	return a
}

// set makes the group's alarm ring at a time, instead of what was set before. It never blocks.
func (a *alarms) set(group d2m.GroupID, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.put(group, at)
}

// advance makes the group's alarm ring at a time, unless it is set for an earlier one.
func (a *alarms) advance(group d2m.GroupID, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if old := a.index[group]; old == nil || at.Before(old.at) {
		a.put(group, at)
	}
}

// put is set with a.mu held.
func (a *alarms) put(group d2m.GroupID, at time.Time) {
	if old := a.index[group]; old != nil {
		old.at = at
		heap.Fix(&a.heap, old.place)
	} else {
		entry := &alarm{group: group, at: at}
		a.index[group] = entry
		heap.Push(&a.heap, entry)
	}
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// close stops the alarms and waits for one that rings.
func (a *alarms) close() {
	close(a.stop)
	<-a.done
}

func (a *alarms) run() {
	defer close(a.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for !a.stopped() {
		group, wait, due := a.next(time.Now())
		if due {
			a.ring(group)
			continue
		}
		timer.Reset(wait)
		select {
		case <-a.stop:
			return
		case <-a.wake:
		case <-timer.C:
		}
	}
}

// stopped says whether the alarms that are still due are left to the next start: there may be many.
func (a *alarms) stopped() bool {
	select {
	case <-a.stop:
		return true
	default:
		return false
	}
}

// next takes the alarm that is due, or says how long to wait for the earliest.
func (a *alarms) next(now time.Time) (group d2m.GroupID, wait time.Duration, due bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.heap) == 0 {
		return group, time.Hour, false
	}
	earliest := a.heap[0]
	if earliest.at.After(now) {
		return group, earliest.at.Sub(now), false
	}
	heap.Pop(&a.heap)
	delete(a.index, earliest.group)
	return earliest.group, 0, true
}

// alarmHeap has the earliest alarm first.
type alarmHeap []*alarm

func (h alarmHeap) Len() int           { return len(h) }
func (h alarmHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h alarmHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push is heap.Interface's.
func (h *alarmHeap) Push(x any) {
	entry := x.(*alarm)
	entry.place = len(*h)
	*h = append(*h, entry)
}

// Pop is heap.Interface's.
func (h *alarmHeap) Pop() any {
	last := len(*h) - 1
	entry := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return entry
}
