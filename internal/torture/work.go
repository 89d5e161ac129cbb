package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"openmediator/d2m"
	"openmediator/internal/history"
)

const (
	// window is how many Reflects of a device wait for their ack at most.
	window = 16
	// answerLimit is how long an answer may take over a road that loses nothing.
	answerLimit = 20 * time.Second
)

// work reflects, receives and acknowledges until the connection is over, the device has had enough of it, or the group is
// to fall silent.
func (c *connection) work(ctx context.Context) {
	again := true
	defer func() {
		if again {
			c.end(c.random.IntN(3) == 0)
		}
	}()
	next := time.NewTimer(0)
	defer next.Stop()
	retire := c.load.Done()
	for {
		reflects := false
		select {
		case <-next.C:
			reflects = retire != nil
			next.Reset(c.nextBurst())
		case <-c.changed:
		case <-retire:
			retire = nil
			c.patience()
		case <-ctx.Done():
			return
		}
		leave, err := c.step(ctx, reflects, retire == nil)
		switch {
		case err != nil:
			if time.Now().Before(c.enough) { // else the device has had enough, and nothing more need come
				c.awaitEnd()
			}
			c.judgeEnd()
			return
		case leave:
			return
		case !time.Now().Before(c.enough):
			again = !c.leaveOpen()
			return
		}
	}
}

// patience bounds what a device waits for when the group falls silent.
func (c *connection) patience() {
	if c.road.faulty() || c.lock.left {
		c.enough = time.Now()
	}
}

// leaveOpen leaves some connections as they are, without a word: the server finds out when the device comes back.
func (c *connection) leaveOpen() bool {
	if !c.faults["duplicates"] || c.random.IntN(3) > 0 {
		return false
	}
	c.tally.duplicates.Add(1)
	return true
}

// step does what is to be done. The device leaves if nothing is left to do.
func (c *connection) step(ctx context.Context, reflects, silent bool) (leave bool, err error) {
	c.recording.Lock()
	lost, late, wrong := c.err != nil, c.late(), c.chat.wrong
	rest := len(c.unacked) == 0 && len(c.asked) == 0 && c.lock.isAtRest()
	c.recording.Unlock()
	switch {
	case lost:
		return false, errLost
	case late != "" || wrong != "":
		c.findProblem(c.device, late+wrong)
		return true, nil
	}
	c.settleDrops()
	if err := c.acknowledge(ctx); err != nil {
		return false, err
	}
	if leave, err := c.goOn(ctx); leave || err != nil {
		return leave, err
	}
	if silent && rest {
		return true, nil
	}
	if reflects && c.blamed.IsZero() {
		return false, c.burst(ctx)
	}
	return false, nil
}

// late tells of an answer that should have come.
func (c *connection) late() string {
	if c.road.faulty() || c.lazy || c.life.isOver() || !c.life.isCalm(time.Now()) {
		return ""
	}
	if !c.blamed.IsZero() {
		if time.Since(c.blamed) > answerLimit {
			return "connection: was not closed for what it did"
		}
		return ""
	}
	for _, waiting := range [][]time.Time{c.unacked, c.asked, c.lock.since(), c.chat.since()} {
		if len(waiting) > 0 && time.Since(waiting[0]) > answerLimit {
			return fmt.Sprintf("connection: an answer has not come for %.1f s, by a road that is %s",
				time.Since(waiting[0]).Seconds(), roadNames[c.road.kind])
		}
	}
	return ""
}

// nextBurst returns how long the device waits between two bursts.
func (c *connection) nextBurst() time.Duration {
	if c.kind == honest {
		return 40*time.Millisecond + upTo(c.random, 20*time.Millisecond)
	}
	p := paces[c.kind]
	devices := float64(c.groups) * 4.5 // about
	mean := p.rest * float64(paces[plain].burst) / 2 * devices / float64(c.rate)
	return 1 + min(upTo(c.random, time.Duration(2*mean*float64(time.Second))+1), 2*time.Second)
}

// burst does one or several things.
func (c *connection) burst(ctx context.Context) error {
	if c.kind == honest {
		return c.reflect(ctx, 100, false)
	}
	if c.isBusy() {
		return nil
	}
	if err := c.manage(ctx); err != nil {
		return err
	}
	if c.random.IntN(c.reluctance()) == 0 {
		if err := c.begin(ctx); err != nil {
			return err
		}
	}
	room := window
	if c.kind == flooded {
		room = 4 * window
	}
	for range c.random.IntN(paces[c.kind].burst) {
		if c.waits() >= room {
			return nil
		}
		size := drawSize(c.random)
		if !c.mayReflect(size) {
			return nil
		}
		if err := c.reflect(ctx, size, c.random.IntN(10) == 0); err != nil {
			return err
		}
	}
	return nil
}

// waits returns how many Reflects have no ack.
func (c *connection) waits() int {
	c.recording.Lock()
	defer c.recording.Unlock()
	return len(c.unacked)
}

func (c *connection) reflect(ctx context.Context, size int, ephemeral bool) error {
	message := d2m.Reflect{ID: d2m.ReflectID(c.random.Uint32()), Envelope: c.envelope(size)}
	if c.random.IntN(8) == 0 {
		message.ID = 7 // need not be unique (B23)
	}
	if ephemeral {
		message.Flags = d2m.FlagEphemeral
		c.tally.ephemeral.Add(1)
	} else {
		c.account(len(message.Envelope))
		c.tally.sent.Add(1)
	}
	sent := history.Event{
		Kind: history.Sent, ReflectID: message.ID, Content: history.ContentOf(message.Envelope), Ephemeral: ephemeral,
	}
	if !c.note(sent, func() {
		if !ephemeral {
			c.unacked = append(c.unacked, time.Now())
			c.reflects++
		}
	}) {
		return errLost
	}
	return c.send(ctx, message)
}

// habit is when a device acknowledges on one connection.
type habit int

const (
	atOnce habit = iota
	afterDry
	inHeaps  // of some, in any order
	unwilled // not all
	twice    // and some that it has never been given
	never
	habits
)

// acknowledge sends acks, ephemerals' too, as the habit of the connection is.
func (c *connection) acknowledge(ctx context.Context) error {
	for _, id := range c.toAcknowledge() {
		if err := c.send(ctx, d2m.ReflectedAck{ID: id}); err != nil {
			return err
		}
		if !c.note(history.Event{Kind: history.AckSent, ID: id}, nil) {
			return errLost
		}
	}
	return nil
}

func (c *connection) toAcknowledge() []d2m.ReflectedID {
	c.recording.Lock()
	defer c.recording.Unlock()
	due := c.unread
	switch c.habit {
	case never:
		c.unread = nil
		return nil
	case afterDry:
		if !c.dry {
			return nil
		}
	case inHeaps:
		if len(due) < 20 {
			return nil
		}
		c.random.Shuffle(len(due), func(i, k int) { due[i], due[k] = due[k], due[i] })
	case unwilled:
		due = slices.DeleteFunc(due, func(d2m.ReflectedID) bool { return c.random.IntN(50) == 0 })
	case twice:
		if len(due) > 0 {
			due = append(due, due...)
		}
	}
	c.unread = nil
	return due
}
