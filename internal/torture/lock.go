package main

import (
	"context"
	"time"

	"openmediator/d2m"
	"openmediator/internal/history"
)

const (
	// maxStaged is how many messages a device reflects in a transaction at most, if it does not go for the limit. None is
	// larger than half of the largest.
	maxStaged = 6

	// maxEarly is how many bytes it reflects besides, before it knows whether it has the lock: with the others they stay
	// below the limit.
	maxEarly = 32 << 10

	stagedOverhead = 64 // of each staged message (B26)
)

// lock is a device's dealings with the lock of its group on one connection. The plan and what follows it is of the goroutine
// that sends.
type lock struct {
	stage stage
	asked time.Time // when the stage began, if an answer is due

	plan  plan
	until time.Time // the plan waits until then
	left  bool      // it will not commit
	early int       // bytes reflected since it was asked for: they may be staged
}

type stage int

const (
	idle       stage = iota
	asking           // BeginTransaction is sent
	waiting          // was rejected, and waits for the end of the other's transaction
	granted          // has the lock, and has done nothing yet
	holding          // has reflected
	committing       // CommitTransaction is sent
)

// plan is what a device does with the lock.
type plan int

const (
	commitPipelined plan = iota
	commitAcked          // when all acks have come
	commitLate           // some time later
	abandon              // the connection ends
	expire               // waits for the end of the ttl
	overflow             // stages more than it may
	beginTwice           // asks again while it has the lock
	plans
)

// isAtRest says whether no answer is due to the device.
func (l *lock) isAtRest() bool { return l.stage == idle || l.stage == waiting }

// since returns when the answer was asked for that is due.
func (l *lock) since() []time.Time {
	if l.stage == asking || l.stage == committing {
		return []time.Time{l.asked}
	}
	return nil
}

// takeTransaction records what has to do with the lock. The device's recording is held.
func (c *connection) takeTransaction(message d2m.Message) {
	switch m := message.(type) {
	case d2m.BeginTransactionAck:
		c.Record(history.Event{Kind: history.BeginAcked})
		c.lock.stage = granted
	case d2m.TransactionRejected:
		c.Record(history.Event{Kind: history.Rejected, Holder: m.DeviceID, Content: history.ContentOf(m.Scope)})
		c.lock.stage = waiting
		c.tally.rejected.Add(1)
	case d2m.TransactionEnded:
		c.Record(history.Event{Kind: history.TransactionEnded, Holder: m.DeviceID, Content: history.ContentOf(m.Scope)})
		if c.lock.stage == waiting {
			c.lock.stage = idle
		}
	case d2m.CommitTransactionAck:
		c.Record(history.Event{Kind: history.CommitAcked})
		c.lock.stage = idle
		c.tally.committed.Add(1)
	}
}

// isBusy says whether the device has the lock, so that what it does is in the transaction.
func (c *connection) isBusy() bool {
	c.recording.Lock()
	defer c.recording.Unlock()
	return c.lock.stage == granted || c.lock.stage == holding || c.lock.stage == committing
}

// mayReflect says whether a device that has asked for the lock may reflect so much before it has the answer.
func (c *connection) mayReflect(size int) bool {
	c.recording.Lock()
	defer c.recording.Unlock()
	if c.lock.stage != asking && c.lock.stage != granted {
		return true
	}
	c.lock.early += size + stagedOverhead
	return c.lock.early <= maxEarly
}

// reluctance is how many bursts go by for one that asks for the lock. Those who wait for it seldom ask again.
func (c *connection) reluctance() int {
	c.recording.Lock()
	defer c.recording.Unlock()
	if c.lock.stage == waiting {
		return 20
	}
	return 8
}

// begin asks for the lock, unless the device has asked already.
func (c *connection) begin(ctx context.Context) error {
	c.recording.Lock()
	rest := c.lock.isAtRest()
	c.recording.Unlock()
	if !rest {
		return nil
	}
	message := d2m.BeginTransaction{Scope: c.scope(c.random.IntN(40))}
	if c.random.IntN(10) == 0 {
		message.Scope = c.scope(d2m.MaxScopeSize)
	}
	p := plan(c.random.IntN(3)) // most commit
	if c.random.IntN(5) == 0 {
		p = plan(c.random.IntN(int(plans)))
	}
	if p == expire {
		message.TTL = 1
	}
	begun := history.Event{Kind: history.BeginSent, Content: history.ContentOf(message.Scope)}
	if !c.note(begun, func() { c.lock = lock{stage: asking, asked: time.Now(), plan: p} }) {
		return errLost
	}
	c.tally.begun.Add(1)
	return c.send(ctx, message)
}

// goOn does what is next for one who has the lock.
func (c *connection) goOn(ctx context.Context) (leave bool, err error) {
	c.recording.Lock()
	stage, waits := c.lock.stage, len(c.unacked)
	if stage == granted {
		c.lock.stage = holding
	}
	c.recording.Unlock()
	switch {
	case !c.blamed.IsZero():
		return false, nil
	case stage == granted:
		return c.transact(ctx)
	case stage != holding || c.lock.left:
		return false, nil
	case c.lock.plan == commitAcked && waits == 0, c.lock.plan == commitLate && time.Now().After(c.lock.until):
		return false, c.commit(ctx)
	}
	return false, nil
}

// transact does what the plan says, right after the lock was granted.
func (c *connection) transact(ctx context.Context) (leave bool, err error) {
	for range 1 + c.random.IntN(maxStaged) {
		if err := c.reflect(ctx, drawSize(c.random)/2, c.random.IntN(10) == 0); err != nil {
			return false, err
		}
	}
	switch c.lock.plan {
	case commitPipelined:
		return false, c.commit(ctx)
	case commitLate:
		c.lock.until = time.Now().Add(upTo(c.random, time.Second))
	case abandon:
		c.lock.left = true
		c.tally.left.Add(1)
		return true, nil
	case expire:
		c.lock.left = true
		c.blame(d2m.CloseTransactionExpired)
		c.tally.expired.Add(1)
	case overflow:
		c.lock.left = true
		c.blame(d2m.CloseProtocolError)
		c.tally.staged.Add(1)
		return false, c.exceed(ctx)
	case beginTwice:
		c.lock.left = true
		c.blame(d2m.CloseProtocolError)
		c.tally.left.Add(1)
		return false, c.send(ctx, d2m.BeginTransaction{Scope: c.scope(8)})
	}
	return false, nil
}

// exceed stages more than the server lets it (B26).
func (c *connection) exceed(ctx context.Context) error {
	for staged := 0; staged <= maxStagedBytes; staged += 32 << 10 {
		if err := c.reflect(ctx, 32<<10, false); err != nil {
			return err
		}
	}
	return nil
}

func (c *connection) commit(ctx context.Context) error {
	if c.kind == drops && c.random.IntN(4) == 0 { // apps drop devices inside a transaction
		if err := c.drop(ctx, c.drawTarget()); err != nil {
			return err
		}
	}
	committed := history.Event{Kind: history.CommitSent}
	if !c.note(committed, func() { c.lock.stage, c.lock.asked = committing, time.Now() }) {
		return errLost
	}
	return c.send(ctx, d2m.CommitTransaction{})
}
