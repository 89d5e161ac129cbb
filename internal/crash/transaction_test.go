package crash

import (
	"context"
	"fmt"

	"openmediator/d2m"
	"openmediator/internal/history"
)

// maxStaged is how many messages a device reflects in a transaction at most, once it has the lock.
const maxStaged = 5

// lock is a device's dealings with the lock of its group on one connection.
type lock struct {
	stage     stage
	pipelined bool // does not wait for acks before it commits
	left      bool // has gone while it held the lock
}

type stage int

const (
	idle       stage = iota
	asking           // BeginTransaction is sent
	waiting          // was rejected, and waits for the end of the other's transaction
	holding          // has the lock, and waits for acks
	committing       // CommitTransaction is sent
)

// isAtRest says whether no answer is due to the device.
func (l *lock) isAtRest() bool { return l.stage == idle || l.stage == waiting }

// reluctance is how many bursts go by for one that asks for the lock. Those who wait for it seldom ask again.
func (c *connection) reluctance() int {
	if c.lock.stage == waiting {
		return 20
	}
	return 3
}

// begin asks for the lock, unless the device has asked already.
func (c *connection) begin(ctx context.Context) error {
	if !c.lock.isAtRest() {
		return nil
	}
	c.begins++
	scope := fmt.Appendf(nil, "%d/%d", c.id, c.begins)
	c.lock = lock{stage: asking, pipelined: c.random.IntN(2) == 0}
	c.Record(history.Event{Kind: history.BeginSent, Content: history.ContentOf(scope)})
	return c.wire.Send(ctx, d2m.BeginTransaction{Scope: scope})
}

// handleTransaction takes a message that has to do with the lock.
func (c *connection) handleTransaction(ctx context.Context, message d2m.Message) error {
	switch m := message.(type) {
	case d2m.BeginTransactionAck:
		c.Record(history.Event{Kind: history.BeginAcked})
		return c.transact(ctx)
	case d2m.TransactionRejected:
		c.Record(history.Event{Kind: history.Rejected, Holder: m.DeviceID, Content: history.ContentOf(m.Scope)})
		c.lock.stage = waiting
	case d2m.TransactionEnded:
		c.Record(history.Event{Kind: history.TransactionEnded, Holder: m.DeviceID, Content: history.ContentOf(m.Scope)})
		if c.lock.stage == waiting {
			return c.tryAgain(ctx)
		}
	case d2m.CommitTransactionAck:
		c.life.changeCommitting(-1, c.device, history.Event{Kind: history.CommitAcked})
		c.lock.stage = idle
	default:
		return fmt.Errorf("%v is not expected", m.Type())
	}
	return nil
}

// transact reflects the messages of a transaction. A few devices never commit.
func (c *connection) transact(ctx context.Context) error {
	c.lock.stage = holding
	for range 1 + c.random.IntN(maxStaged) {
		if err := c.reflect(ctx); err != nil {
			return err
		}
	}
	if c.random.IntN(20) == 0 {
		c.lock.left = true
		return nil
	}
	if c.lock.pipelined {
		return c.commit(ctx)
	}
	return c.goOn(ctx)
}

// goOn commits if all acks have come.
func (c *connection) goOn(ctx context.Context) error {
	if c.lock.stage != holding || c.lock.left || c.unacked > 0 {
		return nil
	}
	return c.commit(ctx)
}

func (c *connection) commit(ctx context.Context) error {
	c.lock.stage = committing
	c.life.changeCommitting(+1, c.device, history.Event{Kind: history.CommitSent})
	if err := c.wire.Send(ctx, d2m.CommitTransaction{}); err != nil {
		return err
	}
	c.life.commits.count()
	return nil
}

// tryAgain begins as soon as the lock is free, unless all is about to finish.
func (c *connection) tryAgain(ctx context.Context) error {
	c.lock.stage = idle
	select {
	case <-c.world.finish:
		return nil
	default:
		return c.begin(ctx)
	}
}
