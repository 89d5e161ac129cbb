package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"openmediator/d2m"
	"openmediator/devicekeys"
)

// Transaction takes the group's lock, runs work, and commits: what work reflects
// through its [Transaction] reaches the other devices all at once and durably, or not
// at all. It asks for the longest time the server gives, 30 minutes by default; see
// [Device.TransactionTTL] for another.
//
// While another device holds the lock, Transaction waits for its end, also across
// connections; the context is the only limit. The precondition (nil: there is none)
// is asked before each attempt, and once more under the lock: by then Receive has
// returned for every message that the lock protects, and nothing new comes from
// others until the lock ends. The same holds when work starts. Its context ends with
// the connection, so work should look at it.
//
// Reflects of this device that are not made through the Transaction wait until it is
// over, for they would become part of it; so does a BeginTransaction. Other requests
// do not wait, unless 64 reflects do. An ephemeral goes out with the commit.
//
// A device runs one transaction at a time: further calls wait for their turn. Within
// precondition and work, Transaction returns [ErrInTransaction], and so does a
// Device's Reflect with the context of work. Drop, Devices and SetSharedData may be
// used there as ever, but are not undone.
//
// If work returns an error or panics, nothing of it has happened; the error is
// returned as it is. The protocol has no message for that. If something has been
// reflected, the device therefore closes its connection (OnDisconnected is told
// [ErrAbandoned]) and connects again, which costs it its leadership, and makes the
// outcome of other requests on their way unknown. If not, the lock is given back by
// a commit of nothing.
//
// The errors:
//   - [PreconditionError]: the precondition did not hold.
//   - [RejectedError]: the context ended while another device held the lock.
//   - [AbortedError]: the lock was held and is lost without a commit. It wraps a
//     [CloseError] if the server ended it (4011: the time ran out; 4010: it has staged
//     what it may), else why the connection or the context ended.
//   - [UnknownError]: CommitTransaction was sent and no answer has come. All of it
//     has happened or nothing.
//
// After any other error, too, nothing has happened.
func (d *Device) Transaction(
	ctx context.Context, scope devicekeys.Scope,
	precondition func(context.Context) error, work func(context.Context, *Transaction) error,
) error {
	return d.TransactionTTL(ctx, 0, scope, precondition, work)
}

// TransactionTTL is Transaction with a time-to-live for the lock, which runs from the
// moment it is taken (B29). When it is over the server closes the connection with
// 4011. It is rounded up to seconds; 0, and what is above the server's maximum, means
// that maximum.
func (d *Device) TransactionTTL(
	ctx context.Context, ttl time.Duration, scope devicekeys.Scope,
	precondition func(context.Context) error, work func(context.Context, *Transaction) error,
) error {
	if d.isReceiving(ctx) {
		return fmt.Errorf("transaction: was not begun: %w", ErrInReceive)
	}
	if d.inTransaction(ctx) {
		return fmt.Errorf("transaction: was not begun: %w", ErrInTransaction)
	}
	begin, err := d.beginTransaction(scope, ttl)
	if err != nil {
		return err
	}
	if err := d.takeTurn(ctx); err != nil {
		return err
	}
	defer d.leaveTurn()
	ctx = context.WithValue(ctx, working{d}, (*Transaction)(nil))
	t, err := d.lock(ctx, begin, precondition)
	if err != nil {
		return err
	}
	return t.run(ctx, precondition, work)
}

// Transaction is what work of [Device.Transaction] reflects through. Its methods may
// be called by several goroutines, until work returns. What has been submitted by
// then is part of the commit, whether its receipt was waited for or not; only what
// was withdrawn is not (see [Receipt.Wait]).
type Transaction struct {
	// fixed
	device   *Device
	requests chan *request // to the writer of session, ahead of what waits outside

	session *session // set before the lock is asked for

	// set before precondition and work run
	over context.Context // ends with session, or when the transaction is over
	end  context.CancelCauseFunc

	// guarded by mu
	mu       sync.Mutex
	granted  bool     // the server has given the lock
	unwanted bool     // nobody waits for the lock any more
	closed   bool     // nothing more may be submitted
	used     bool     // something may have been reflected
	released bool     // lock and session need nothing more
	commit   *request // once work has succeeded
}

func newTransaction(d *Device) *Transaction {
	return &Transaction{device: d, requests: make(chan *request, maxSubmitted)}
}

// Reflect is [Device.Reflect] as a part of the transaction. The answer comes at once
// and means that the server has taken the envelope, not that it is on disk: that
// comes with the commit. The timestamp is the one that the others will see. If the
// transaction ends meanwhile the error is an [AbortedError].
func (t *Transaction) Reflect(ctx context.Context, envelope devicekeys.Envelope) (time.Time, error) {
	receipt, err := t.Submit(ctx, envelope)
	if err != nil {
		return time.Time{}, err
	}
	return receipt.Wait(ctx)
}

// Submit is the first half of Reflect. Receipts need not be waited for: a commit that
// succeeds answers them all.
func (t *Transaction) Submit(ctx context.Context, envelope devicekeys.Envelope) (*Receipt, error) {
	sealed, err := t.device.seal(envelope)
	if err != nil {
		return nil, err
	}
	r, err := reflectRequest(sealed)
	if err != nil {
		return nil, err
	}
	if !t.use() {
		return nil, fmt.Errorf("%s: was not sent: %w", r.name, errTransactionOver)
	}
	r.within = t
	if err := t.device.submit(ctx, r); err != nil {
		return nil, t.explain(err)
	}
	return &Receipt{device: t.device, request: r}, nil
}

// use tells whether something may still be reflected.
func (t *Transaction) use() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.used = t.used || !t.closed
	return !t.closed
}

// run does what is done under the lock.
func (t *Transaction) run(
	ctx context.Context, precondition func(context.Context) error, work func(context.Context, *Transaction) error,
) error {
	t.over, t.end = context.WithCancelCause(t.session.ctx)
	defer t.end(errTransactionOver)
	ctx, cancel := context.WithCancelCause(context.WithValue(ctx, working{t.device}, t))
	defer cancel(nil)
	stop := context.AfterFunc(t.session.ctx, func() { cancel(context.Cause(t.session.ctx)) })
	defer stop()
	defer t.abandon() // also when a function panics; does nothing after the commit
	if err := check(ctx, precondition); err != nil {
		return t.failed(err)
	}
	if err := work(ctx, t); err != nil {
		return t.failed(err)
	}
	return t.commitAndWait(ctx)
}

// failed returns the error of a function, and the end of the connection with it if
// that may be the reason.
func (t *Transaction) failed(err error) error {
	cause := context.Cause(t.session.ctx)
	if cause == nil || isAborted(err) {
		return err
	}
	return &AbortedError{Err: fmt.Errorf("%w (the function returned: %w)", cause, err)}
}

func (t *Transaction) commitAndWait(ctx context.Context) error {
	r := newRequest("transaction", d2m.TypeCommitTransactionAck, d2m.CommitTransaction{})
	r.within = t
	t.mu.Lock()
	t.closed = true
	t.commit = r
	t.mu.Unlock()
	if ctx.Err() != nil {
		return &AbortedError{Err: context.Cause(ctx)}
	}
	err := t.device.submit(ctx, r)
	if err == nil {
		_, err = t.device.await(ctx, r)
	}
	if !r.wasTaken() {
		return &AbortedError{Err: err}
	}
	t.mu.Lock()
	t.released = true
	t.mu.Unlock()
	return outcome(err)
}

// outcome is that of a CommitTransaction which may have been sent. When the server
// says that the time ran out, it had not yet taken it (B27).
func outcome(err error) error {
	var closed *CloseError
	if errors.As(err, &closed) && closed.Code == d2m.CloseTransactionExpired {
		return &AbortedError{Err: closed}
	}
	return err
}

// explain gives an error of a reflect its meaning for the transaction: as long as
// CommitTransaction has not been sent, the end of the connection undoes it.
func (t *Transaction) explain(err error) error {
	cause := context.Cause(t.session.ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil || cause == nil || t.commit != nil && t.commit.wasTaken() {
		return err
	}
	return &AbortedError{Err: cause}
}

// abandon ends a transaction that has not been committed.
func (t *Transaction) abandon() {
	t.mu.Lock()
	t.closed = true
	used, released := t.used, t.released
	t.released = true
	t.mu.Unlock()
	switch {
	case released:
	case used:
		t.session.end(ErrAbandoned)
	default:
		t.giveBack()
	}
}

// giveBack commits nothing, and does not wait for the answer.
func (t *Transaction) giveBack() {
	r := newRequest("transaction", d2m.TypeCommitTransactionAck, d2m.CommitTransaction{})
	select {
	case t.requests <- r:
	case <-t.session.ctx.Done():
	}
}
