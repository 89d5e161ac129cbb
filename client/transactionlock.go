package client

import (
	"context"
	"crypto/rand"
	"fmt"
	"math"
	"time"

	"openmediator/d2m"
	"openmediator/devicekeys"
)

// working is the context key under which the functions of a transaction find it. The
// value is nil while the lock is not held.
type working struct{ *Device }

// transactionOf returns the transaction of whose work the context is, or nil.
func (d *Device) transactionOf(ctx context.Context) *Transaction {
	t, _ := ctx.Value(working{d}).(*Transaction)
	return t
}

func (d *Device) inTransaction(ctx context.Context) bool {
	_, in := ctx.Value(working{d}).(*Transaction)
	return in
}

func (d *Device) beginTransaction(scope devicekeys.Scope, ttl time.Duration) (d2m.BeginTransaction, error) {
	if ttl < 0 {
		return d2m.BeginTransaction{}, fmt.Errorf("transaction: time-to-live of %v is negative", ttl)
	}
	seconds := ttl / time.Second
	if ttl%time.Second != 0 {
		seconds++
	}
	sealed, err := d.config.Keys.SealScope(rand.Reader, scope)
	return d2m.BeginTransaction{Scope: sealed, TTL: uint32(min(seconds, math.MaxUint32))}, err
}

// takeTurn waits until no other transaction of this device runs.
func (d *Device) takeTurn(ctx context.Context) error {
	select {
	case d.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return d.notBegun(ctx)
	case <-d.done:
		return d.notBegun(ctx)
	}
}

func (d *Device) leaveTurn() { <-d.turn }

// notBegun says why a transaction cannot begin any more; nil if it can.
func (d *Device) notBegun(ctx context.Context) error {
	reason := d.ended()
	if reason == nil {
		reason = context.Cause(ctx)
	}
	if reason == nil {
		return nil
	}
	return fmt.Errorf("transaction: was not begun: %w", reason)
}

func check(ctx context.Context, precondition func(context.Context) error) error {
	if precondition == nil {
		return nil
	}
	if err := precondition(ctx); err != nil {
		return &PreconditionError{Err: err}
	}
	return nil
}

// lock asks for the group's lock until this device has it.
func (d *Device) lock(
	ctx context.Context, begin d2m.BeginTransaction, precondition func(context.Context) error,
) (*Transaction, error) {
	for {
		if err := check(ctx, precondition); err != nil {
			return nil, err
		}
		t := newTransaction(d)
		reply, err := t.ask(ctx, begin)
		if err != nil {
			t.refuse()
			if err := d.notBegun(ctx); err != nil {
				return nil, err
			}
			continue // the connection was lost: nothing has happened
		}
		rejection, rejected := reply.(d2m.TransactionRejected)
		if !rejected {
			return t, nil
		}
		if err := t.session.awaitEnded(ctx); err != nil {
			scope := d.config.Keys.OpenScope(rejection.Scope)
			return nil, &RejectedError{Holder: rejection.DeviceID, Scope: scope, Err: err}
		}
	}
}

// ask returns the server's answer to a BeginTransaction. An acknowledgement comes by
// way of the handler, behind all messages that go before it.
func (t *Transaction) ask(ctx context.Context, begin d2m.BeginTransaction) (d2m.Message, error) {
	r := newRequest("transaction", d2m.TypeBeginTransactionAck, begin)
	r.begins = t
	return t.device.ask(ctx, r)
}

// refuse gives the lock back if it was granted, or as soon as it is.
func (t *Transaction) refuse() {
	t.mu.Lock()
	granted := t.granted
	t.unwanted = true
	t.mu.Unlock()
	if granted {
		t.giveBack()
	}
}

// grant is told that the server has given the lock.
func (t *Transaction) grant() {
	t.mu.Lock()
	unwanted := t.unwanted
	t.granted = true
	t.mu.Unlock()
	if unwanted {
		t.giveBack()
	}
}

// awaitEnded waits until the transaction of another device has ended and its
// messages have been handled. It returns nil when the connection ends, too: whether
// the lock is still held can only be asked on the next one.
func (s *session) awaitEnded(ctx context.Context) error {
	select {
	case <-s.ended:
		return nil
	case <-s.ctx.Done():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// begun is a BeginTransactionAck.
type begun struct{}

func (begun) handle(s *session) error {
	ack := d2m.BeginTransactionAck{}
	r := s.unanswered.remove(ack)
	if r == nil {
		return violation("%v: answers nothing", ack.Type())
	}
	r.finish(ack, nil)
	r.begins.grant()
	s.wakeWriter()
	return nil
}

// ended is a TransactionEnded: of others, for the holder is not told.
type ended struct{}

func (ended) handle(s *session) error {
	select {
	case s.ended <- struct{}{}:
	default:
	}
	return nil
}

// dispatchRejected lets go what waited for the end of the transaction.
func (s *session) dispatchRejected(m d2m.TransactionRejected) error {
	s.transaction.Store(nil) // before a further BeginTransaction can be sent
	return s.dispatchAnswer(m)
}

// sendOrHold keeps back what must not become part of the transaction t.
func (s *session) sendOrHold(r *request, t *Transaction) error {
	if t != nil && (r.answer == d2m.TypeReflectAck || r.begins != nil) {
		s.device.held = append(s.device.held, r)
		return nil
	}
	return s.sendRequest(r)
}

// sendHeld sends what was kept back, as far as it may go now. It returns the
// transaction that holds the lock or asks for it, or nil.
func (s *session) sendHeld() (*Transaction, error) {
	for {
		t := s.transaction.Load()
		if t != nil || len(s.device.held) == 0 || s.unanswered.count() >= maxUnanswered {
			return t, nil
		}
		r := s.device.held[0]
		s.device.held = s.device.held[1:]
		if err := s.sendRequest(r); err != nil {
			return nil, err
		}
	}
}

// queues returns what the writer may take from: outside the transaction t and, if
// there is one, within it. Nothing goes ahead of what was kept back.
func (s *session) queues(t *Transaction) (outside, within <-chan *request) {
	switch held := len(s.device.held); {
	case s.unanswered.count() >= maxUnanswered:
		return nil, nil
	case t != nil && held >= maxSubmitted:
		return nil, t.requests
	case t != nil:
		return s.device.requests, t.requests
	case held > 0:
		return nil, nil // there is room by now, and the writer is told
	}
	return s.device.requests, nil
}

// enter is called before a request is sent: from BeginTransaction on, the lock may
// be held.
func (s *session) enter(r *request) {
	if r.begins == nil {
		return
	}
	select {
	case <-s.ended: // of a transaction before
	default:
	}
	r.begins.session = s
	s.transaction.Store(r.begins)
}

// leave is called when a request has been sent: what follows CommitTransaction is
// handled after it (B27).
func (s *session) leave(r *request) {
	if r.answer == d2m.TypeCommitTransactionAck {
		s.transaction.Store(nil)
	}
}
