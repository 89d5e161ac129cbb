package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"openmediator/d2m"
)

// settleLimit is how long it may take until a group has taken all that is left for it, while the server is the same.
const settleLimit = 60 * time.Second

// settle has all devices take what is left for them, until they have done so with one life of the server.
func (g *group) settle(ctx context.Context) bool {
	steps := []func(context.Context, *life, *device) bool{
		// All of them come back first, so that nothing is held back any more.
		func(ctx context.Context, l *life, d *device) bool { return d.comeBack(ctx, l) },
		func(ctx context.Context, l *life, d *device) bool { return d.drain(ctx, l, true) },
	}
	last := func(ctx context.Context, l *life, d *device) bool { return d.drain(ctx, l, false) }
	if g.stays { // what is left of one that stays is to be seen in the file, and a login may tidy up
		last = func(ctx context.Context, l *life, _ *device) bool { return l.outlast(ctx) }
	}
	return g.insist(ctx, append(steps, last))
}

// outlast waits until the server has gone on undisturbed for so long that it has stored all acks: those of the last second
// before a kill are lost (B17). It reports false if it has not.
func (l *life) outlast(ctx context.Context) bool {
	for ctx.Err() == nil && !l.isOver() {
		since := time.Now()
		pause(ctx, 2*time.Second)
		if l.isCalm(since) {
			return true
		}
	}
	return false
}

// depart has all devices drop themselves.
func (g *group) depart(ctx context.Context) bool {
	return g.insist(ctx, []func(context.Context, *life, *device) bool{
		func(ctx context.Context, l *life, d *device) bool { return d.leave(ctx, l) },
	})
}

// insist has all devices go through some steps, all of them with one life of the server.
func (g *group) insist(ctx context.Context, steps []func(context.Context, *life, *device) bool) bool {
	for ctx.Err() == nil {
		l := g.world.await(ctx)
		if l == nil {
			return false
		}
		limited, cancel := context.WithTimeout(ctx, settleLimit)
		done := g.tryAll(limited, l, steps)
		late := limited.Err() != nil && ctx.Err() == nil && !l.isOver()
		cancel()
		switch {
		case done:
			return true
		case late:
			g.findProblem(g.devices[0],
				fmt.Sprintf("group: has not got all that is left for it in %v\n%s", settleLimit, l.process.Log()))
			return false
		}
		pause(ctx, 20*time.Millisecond)
	}
	return false
}

// attempts is how often the steps are tried with one life: the first times devices may find their slots gone.
const attempts = 5

// tryAll returns false if something went wrong, which may be the end of the server.
func (g *group) tryAll(ctx context.Context, l *life, steps []func(context.Context, *life, *device) bool) bool {
	for range attempts {
		done := true
		for _, step := range steps {
			done = done && g.each(func(d *device) bool { return step(ctx, l, d) })
		}
		if done || l.isOver() {
			return done && !l.isOver()
		}
	}
	select {
	case <-ctx.Done(): // a finding, unless there was one
	case <-l.over: // the next life may do better
	}
	return false
}

// each does something with all devices at once.
func (g *group) each(do func(*device) bool) bool {
	var running sync.WaitGroup
	var failures atomic.Int64
	for _, d := range g.devices {
		running.Go(func() {
			if !do(d) {
				failures.Add(1)
			}
		})
	}
	running.Wait()
	return failures.Load() == 0
}

// comeBack shows the server that the device's earlier connection is gone, and with it a lock that it may have held. A device
// without a slot gets one, since the server may have one for it from a login whose answer was lost. In a crowded group there
// may be none for it.
func (d *device) comeBack(ctx context.Context, l *life) bool {
	d.settling = true
	for range 3 {
		if c := d.connect(ctx, l, road{}, d2m.Reject); c != nil {
			c.end(false)
			d.out = false
			return true
		}
		d.mu.Lock()
		d.out = !d.registered
		d.mu.Unlock()
		if l.isOver() {
			return false
		}
		if d.kind == crowded && d.out {
			return true
		}
	}
	return false
}

// drain takes what is left for the device, acknowledges it and waits until the device leads; the second time nothing is left.
func (d *device) drain(ctx context.Context, l *life, first bool) bool {
	if d.out {
		return true
	}
	c := d.connect(ctx, l, road{}, d2m.Reject)
	if c == nil {
		return false
	}
	defer c.end(true)
	c.habit = atOnce
	// All drain at the same time, so each leads when those before it have gone (B12).
	if !c.until(ctx, func() bool { return c.dry && len(c.unread) == 0 && c.promoted }) {
		return c.lost(ctx)
	}
	if err := c.ask(ctx); err != nil { // the answer shows that the acks have been handled
		return c.lost(ctx)
	}
	if !c.until(ctx, func() bool { return len(c.asked) == 0 }) {
		return c.lost(ctx)
	}
	if problem := c.checkDrained(first); problem != "" {
		d.findProblem(d, problem)
	}
	return true
}

// lost judges the end of a connection on which nothing was to end it.
func (c *connection) lost(ctx context.Context) bool {
	if ctx.Err() == nil {
		c.awaitEnd()
		c.judgeEnd()
	}
	return false
}

// checkDrained compares what a device was given with what it was told.
func (c *connection) checkDrained(first bool) string {
	c.recording.Lock()
	defer c.recording.Unlock()
	announced := int(c.info.ReflectionQueueLength)
	var ids []d2m.DeviceID
	for _, slot := range c.slots {
		ids = append(ids, slot.ID)
	}
	var want []d2m.DeviceID
	for _, d := range c.devices {
		if !d.out {
			want = append(want, d.id)
		}
	}
	switch {
	case c.stored != announced:
		return fmt.Sprintf("B10: received %d messages, and %d were announced", c.stored, announced)
	case !first && c.stored > 0:
		return fmt.Sprintf("B17: received %d messages after all had been acknowledged", c.stored)
	case c.kind != crowded && !slices.Equal(ids, want):
		return fmt.Sprintf("B31: was told of the devices %v, not of %v", ids, want)
	}
	return ""
}

// leave drops the device's own slot (B32). Whether that has taken effect is seen when the file is looked into.
func (d *device) leave(ctx context.Context, l *life) bool {
	if d.out {
		return true
	}
	c := d.connect(ctx, l, road{}, d2m.Reject)
	if c == nil {
		return d.hasLeft()
	}
	defer c.end(false)
	if c.drop(ctx, d) != nil || !c.until(ctx, func() bool { return len(c.dropAcks) > 0 }) {
		c.lost(ctx)
		return d.hasLeft()
	}
	c.until(ctx, func() bool { return false })
	c.judgeEnd()
	d.out = true
	return true
}

// hasLeft tells whether an earlier attempt to leave has succeeded.
func (d *device) hasLeft() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.out = d.gone || !d.registered
	return d.out
}
