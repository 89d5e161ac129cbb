package history

import (
	"fmt"
	"time"

	"openmediator/d2m"
)

// transaction is one BeginTransaction and what follows it on its connection.
type transaction struct {
	holder     d2m.DeviceID
	ordinal    int // of the holder's BeginTransactions, from 1
	begin      place
	begunAt    time.Duration
	connection *connection
	slot       *slot
	messages   []*message // sent behind it up to the commit, in order

	answer     answer
	answeredAt place
	committed  bool // a CommitTransaction was sent
	commit     place
	commitAt   time.Duration
	acked      bool // and its ack arrived
	ackedAt    place

	lock
}

// answer is what a BeginTransaction has led to.
type answer int

const (
	unanswered answer = iota // the lock may have been taken
	granted
	rejected
)

// String names a transaction by its holder and the ordinal of the BeginTransaction.
func (t *transaction) String() string { return fmt.Sprintf("%d/%d", t.holder, t.ordinal) }

// ending is a TransactionEnded.
type ending struct {
	transaction *transaction
	at          place
	slot        *slot
}

// wait is what a connection received between a TransactionRejected and a TransactionEnded.
type wait struct {
	transaction, lost *transaction // who held the lock, and who was rejected
	received          []passage
}

// passage is a message on its way into a connection.
type passage struct {
	message *message
	at      place
}

func (c *checker) addTransaction(t *transaction) *Violation {
	scope := c.history.at(t.begin).Content
	if other := c.scopes[scope]; other != nil {
		return c.violation("history", []place{other.begin, t.begin}, "transaction %v was begun twice", other)
	}
	c.scopes[scope] = t
	return nil
}

func (c *checker) transactionEvent(d *device, p place, e *Event) *Violation {
	switch e.Kind {
	case BeginSent:
		return c.begin(d, p, e)
	case BeginAcked:
		return c.takeLock(d, p)
	case Rejected:
		return c.rejectBegin(d, p, e)
	case CommitSent:
		return c.commit(d, p, e)
	case CommitAcked:
		return c.ackCommit(d, p)
	case TransactionEnded:
		return c.endTransaction(d, p, e)
	}
	return c.violation("history", []place{p}, "device %d has an event of no known kind", d.id)
}

func (c *checker) begin(d *device, p place, e *Event) *Violation {
	k := d.connection
	if k.open != nil {
		return c.violation("history", []place{k.open.begin, p}, "device %d began a transaction inside another", d.id)
	}
	t := c.scopes[e.Content]
	t.connection, t.slot = k, d.slot
	k.open = t
	k.asked = append(k.asked, t)
	c.transactions = append(c.transactions, t)
	return nil
}

// answered returns the transaction that an answer to BeginTransaction is for.
func (k *connection) answered(a answer, p place) *transaction {
	if len(k.asked) == 0 {
		return nil
	}
	t := k.asked[0]
	k.asked = k.asked[1:]
	t.answer, t.answeredAt = a, p
	return t
}

func (c *checker) takeLock(d *device, p place) *Violation {
	t := d.connection.answered(granted, p)
	if t == nil {
		return c.violation("B24", []place{p}, "device %d was given a lock that it did not ask for", d.id)
	}
	d.connection.showHandled(t.begin.event, c.history.at(p).At)
	return nil
}

// rejectBegin takes a TransactionRejected: what was sent behind the BeginTransaction is nobody's transaction.
func (c *checker) rejectBegin(d *device, p place, e *Event) *Violation {
	k := d.connection
	t := k.answered(rejected, p)
	if t == nil {
		return c.violation("B25", []place{p}, "device %d was rejected and did not ask for the lock", d.id)
	}
	winner, v := c.named("B25", d, p, e)
	if v != nil {
		return v
	}
	for _, m := range t.messages {
		m.transaction = nil
	}
	if k.open == t {
		k.open = nil
	}
	k.wait = &wait{transaction: winner, lost: t}
	c.waits = append(c.waits, k.wait)
	return nil
}

// named returns the transaction of another device that a message of the server names by holder and scope.
func (c *checker) named(rule string, d *device, p place, e *Event) (*transaction, *Violation) {
	t := c.scopes[e.Content]
	switch {
	case t == nil:
		return nil, c.violation(rule, []place{p}, "device %d heard of a transaction that nobody has begun", d.id)
	case t.holder != e.Holder:
		return nil, c.violation(rule, []place{t.begin, p}, "device %d heard of transaction %v as one of device %d", d.id, t, e.Holder)
	case t.begunAt > e.At:
		return nil, c.violation("history", []place{t.begin, p}, "device %d heard of transaction %v before it was begun", d.id, t)
	case t.connection == d.connection:
		return nil, c.violation(rule, []place{t.begin, p}, "device %d heard of its own transaction %v", d.id, t)
	case t.connection.server != d.connection.server:
		return nil, c.violation("B28", []place{t.begin, p}, "transaction %v outlived its server", t)
	}
	return t, nil
}

func (c *checker) commit(d *device, p place, e *Event) *Violation {
	k := d.connection
	if k.open == nil {
		return c.violation("history", []place{p}, "device %d committed without a transaction", d.id)
	}
	t := k.open
	k.open = nil
	k.committing = append(k.committing, t)
	t.committed, t.commit, t.commitAt = true, p, e.At
	return nil
}

func (c *checker) ackCommit(d *device, p place) *Violation {
	k := d.connection
	if len(k.committing) == 0 {
		return c.violation("B27", []place{p}, "device %d was told of a commit that it did not send", d.id)
	}
	t := k.committing[0]
	k.committing = k.committing[1:]
	if t.answer != granted {
		return c.violation("B27", []place{t.begin, p}, "transaction %v was acked as committed before it was as begun", t)
	}
	for _, m := range t.messages {
		if !m.ephemeral && !m.acked {
			return c.violation("B26", []place{m.at, p}, "transaction %v was acked as committed before its message %v was acked", t, m)
		}
	}
	t.acked, t.ackedAt = true, p
	return nil
}

func (c *checker) endTransaction(d *device, p place, e *Event) *Violation {
	t, v := c.named("B27", d, p, e)
	if v != nil {
		return v
	}
	c.endings = append(c.endings, ending{transaction: t, at: p, slot: d.slot})
	d.connection.wait = nil
	return nil
}
