package client

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"openmediator/d2m"
)

// request is something to be sent, and what becomes of it. It may wait for several
// connections, but is sent on one only.
type request struct {
	// fixed
	name     string // for error texts
	messages []d2m.Message
	answer   d2m.Type     // of the server
	sealed   []byte       // the envelope of a Reflect
	begins   *Transaction // of a BeginTransaction
	within   *Transaction // whose connection the request is for; nil if any will do
	answered func()       // called by the reader, in the order of the answers; or nil

	state atomic.Int32 // waiting, taken or withdrawn

	// written by the session that took the request, before done is closed
	done  chan struct{}
	reply d2m.Message
	err   error
}

// The states of a request. It leaves the first one once.
const (
	waiting int32 = iota
	taken         // by a session, which closes done
	withdrawn
)

func newRequest(name string, answer d2m.Type, messages ...d2m.Message) *request {
	return &request{name: name, messages: messages, answer: answer, done: make(chan struct{})}
}

// take tells a session whether the request is still to be sent.
func (r *request) take() bool { return r.state.CompareAndSwap(waiting, taken) }

// withdraw tells whether the request was not sent and now never will be.
func (r *request) withdraw() bool { return r.state.CompareAndSwap(waiting, withdrawn) }

// wasTaken tells whether the request may have been sent.
func (r *request) wasTaken() bool { return r.state.Load() == taken }

// over is closed when a request is not to be sent any more; nil if it always may.
func (r *request) over() <-chan struct{} {
	if r.within == nil {
		return nil
	}
	return r.within.over.Done()
}

// finish is called once, when the request was taken.
func (r *request) finish(reply d2m.Message, err error) {
	r.reply, r.err = reply, err
	close(r.done)
}

// isAnsweredBy tells whether a message of the server is the answer. A DropDeviceAck
// names its device; a DevicesInfo answers whoever has waited longest.
func (r *request) isAnsweredBy(message d2m.Message) bool {
	if message.Type() == d2m.TypeTransactionRejected {
		return r.begins != nil
	}
	if message.Type() != r.answer {
		return false
	}
	ack, ok := message.(d2m.DropDeviceAck)
	return !ok || r.messages[0] == d2m.Message(d2m.DropDevice(ack))
}

// submit queues a request for the connection there is or the next one. It waits
// while the queue is full.
func (d *Device) submit(ctx context.Context, r *request) error {
	if err := d.ended(); err != nil {
		return fmt.Errorf("%s: was not sent: %w", r.name, err)
	}
	queue, err := d.queue(ctx, r)
	if err != nil {
		return fmt.Errorf("%s: was not sent: %w", r.name, err)
	}
	for {
		var again <-chan time.Time
		if d.isReceiving(ctx) {
			again = time.After(jamInterval)
		}
		select {
		case queue <- r:
			return nil
		case <-r.over():
			return fmt.Errorf("%s: was not sent: %w", r.name, context.Cause(r.within.over))
		case <-ctx.Done():
			return fmt.Errorf("%s: was not sent: %w", r.name, context.Cause(ctx))
		case <-d.done:
			return fmt.Errorf("%s: was not sent: %w", r.name, d.ended())
		case <-again:
			if d.jammed() {
				return fmt.Errorf("%s: was not sent: %w", r.name, ErrInReceive)
			}
		}
	}
}

// jamInterval is how often a Receive that waits for room in the queue looks whether
// there can be any.
const jamInterval = 100 * time.Millisecond

// jammed tells whether the queue can move only when Receive returns: the connection
// is not read until then, so no answer makes room; or the next connection waits; or a
// transaction does, which begins only when all before it has been received.
func (d *Device) jammed() bool {
	s := d.currentSession()
	return s == nil || s.transaction.Load() != nil || !s.isReading() && s.unanswered.count() >= maxUnanswered
}

// queue returns where a request waits to be sent. The context of a transaction's work
// puts it ahead of all that waits for the end of the transaction.
func (d *Device) queue(ctx context.Context, r *request) (chan<- *request, error) {
	if t := d.transactionOf(ctx); t != nil && r.within == nil {
		if r.answer == d2m.TypeReflectAck {
			return nil, ErrInTransaction
		}
		r.within = t
	}
	if r.within == nil {
		return d.requests, nil
	}
	return r.within.requests, nil
}

// await waits for the answer to a request that was submitted.
func (d *Device) await(ctx context.Context, r *request) (d2m.Message, error) {
	if d.isReceiving(ctx) {
		return nil, fmt.Errorf("%s: %w", r.name, ErrInReceive)
	}
	var end error
	select {
	case <-r.done:
		return r.reply, r.err
	case <-r.over():
		end = context.Cause(r.within.over)
	case <-ctx.Done():
		end = context.Cause(ctx)
	case <-d.done:
		end = d.ended()
	}
	if r.withdraw() {
		return nil, fmt.Errorf("%s: was not sent: %w", r.name, end)
	}
	select {
	case <-r.done:
		return r.reply, r.err
	default:
		return nil, &UnknownError{Err: end, Sealed: r.sealed}
	}
}

// ask submits a request and waits for its answer.
func (d *Device) ask(ctx context.Context, r *request) (d2m.Message, error) {
	if d.isReceiving(ctx) {
		return nil, fmt.Errorf("%s: was not sent: %w", r.name, ErrInReceive)
	}
	if err := d.submit(ctx, r); err != nil {
		return nil, err
	}
	return d.await(ctx, r)
}

// receiving is the context key that marks the contexts of Receive; its value is the
// device, for a Receive may well wait for another device.
type receiving struct{}

func (d *Device) isReceiving(ctx context.Context) bool { return ctx.Value(receiving{}) == d }
