package client_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
)

type (
	precondition = func(context.Context) error
	work         = func(context.Context, *client.Transaction) error
)

const testScope = devicekeys.ScopeContact

var errTest = errors.New("test: does not want to")

// goTransact runs a transaction in a goroutine of its own.
func goTransact(ctx context.Context, d *client.Device, holds precondition, do work) chan error {
	return goDo(func() error { return d.Transaction(ctx, testScope, holds, do) })
}

// reflecting is work that reflects texts and awaits each.
func reflecting(texts ...string) work {
	return func(ctx context.Context, t *client.Transaction) error {
		for _, s := range texts {
			if _, err := t.Reflect(ctx, text(s)); err != nil {
				return fmt.Errorf("work: %w", err)
			}
		}
		return nil
	}
}

// submitting is work that reflects texts and awaits none.
func submitting(texts ...string) work {
	return func(ctx context.Context, t *client.Transaction) error {
		for _, s := range texts {
			if _, err := t.Submit(ctx, text(s)); err != nil {
				return err
			}
		}
		return nil
	}
}

// waiting is work that says when it runs, and does as it is told then.
func waiting() (do work, runs chan context.Context, result chan error) {
	runs, result = make(chan context.Context, 1), make(chan error)
	return func(ctx context.Context, _ *client.Transaction) error {
		runs <- ctx
		return <-result
	}, runs, result
}

// grant gives the device the lock.
func (p *peer) grant() d2m.BeginTransaction {
	p.t.Helper()
	begin := receive[d2m.BeginTransaction](p)
	p.send(d2m.BeginTransactionAck{})
	return begin
}

// reject tells that device 8 holds the lock.
func (p *peer) reject() {
	p.t.Helper()
	scope, err := testKeys.SealScope(rand.Reader, devicekeys.ScopeGroup)
	if err != nil {
		p.t.Fatal(err)
	}
	receive[d2m.BeginTransaction](p)
	p.send(d2m.TransactionRejected{DeviceID: 8, Scope: scope})
}

// take takes a Reflect and acknowledges it.
func (p *peer) take(want string) {
	p.t.Helper()
	m := receive[d2m.Reflect](p)
	if got := openText(p.t, m.Envelope); got != want {
		p.t.Errorf("reflected %q, want %q", got, want)
	}
	p.send(d2m.ReflectAck{ID: m.ID, Timestamp: 5})
}

func (p *peer) commit() {
	p.t.Helper()
	receive[d2m.CommitTransaction](p)
	p.send(d2m.CommitTransactionAck{})
}

func wantNil(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// wantAborted checks an error of a transaction of which nothing has happened.
func wantAborted(t *testing.T, err error) *client.AbortedError {
	t.Helper()
	var aborted *client.AbortedError
	var unknown *client.UnknownError
	if !errors.As(err, &aborted) || errors.As(err, &unknown) {
		t.Fatalf("error is %v, want an AbortedError", err)
	}
	return aborted
}

func TestB26_TransactionAwaitsEachAck(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		result := goTransact(t.Context(), d, nil, reflecting("one", "two"))
		begin := p.grant()
		if scope := testKeys.OpenScope(begin.Scope); scope != testScope || begin.TTL != 0 {
			t.Errorf("began with scope %v, ttl %d", scope, begin.TTL)
		}
		p.take("one")
		p.take("two")
		receive[d2m.CommitTransaction](p)
		synctest.Wait()
		if len(result) > 0 {
			t.Error("Transaction returned before the server's answer")
		}
		p.send(d2m.CommitTransactionAck{})
		wantNil(t, <-result)
	})
}

func TestB27_TransactionPipelines(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		var receipts []*client.Receipt
		result := goTransact(t.Context(), d, nil, func(ctx context.Context, tx *client.Transaction) error {
			for _, s := range []string{"one", "two", "three"} {
				receipt, err := tx.Submit(ctx, text(s))
				if err != nil {
					return err
				}
				receipts = append(receipts, receipt)
			}
			return nil
		})
		p.grant()
		var acks []d2m.Message
		for i := range 3 {
			m := receive[d2m.Reflect](p)
			acks = append(acks, d2m.ReflectAck{ID: m.ID, Timestamp: uint64(i)})
		}
		receive[d2m.CommitTransaction](p)
		slices.Reverse(acks)
		p.send(acks...)
		p.send(d2m.CommitTransactionAck{})
		wantNil(t, <-result)
		for i, receipt := range receipts {
			if at, err := receipt.Wait(t.Context()); err != nil || at.UnixMilli() != int64(i) {
				t.Errorf("receipt %d: %v, %v", i, at, err)
			}
		}
	})
}

// More than all queues hold together.
func TestTransactionOfManyReflects(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		texts := make([]string, 1000)
		for i := range texts {
			texts[i] = fmt.Sprint(i)
		}
		result := goTransact(t.Context(), d, nil, submitting(texts...))
		p.grant()
		for _, want := range texts {
			p.take(want)
		}
		p.commit()
		wantNil(t, <-result)
	})
}

func TestB24_WorkStartsWhenAllBeforeIsHandled(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		messages, handled := handOver(&config)
		d := start(t, config)
		p := f.register()
		do, runs, result := waiting()
		done := goTransact(t.Context(), d, nil, do)
		receive[d2m.BeginTransaction](p)
		p.send(d2m.Reflected{ID: 1, Envelope: sealText(t, "before")}, d2m.BeginTransactionAck{})
		<-messages
		synctest.Wait()
		if len(runs) > 0 {
			t.Error("work runs while Receive has yet to return")
		}
		handled <- nil
		<-runs
		result <- nil
		receive[d2m.ReflectedAck](p)
		p.commit()
		wantNil(t, <-done)
	})
}

func TestB25_RejectedTriesAgainWhenWinnersMessagesAreHandled(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		messages, handled := handOver(&config)
		d := start(t, config)
		p := f.register()
		checks := make(chan struct{}, 10)
		holds := func(context.Context) error { checks <- struct{}{}; return nil }
		result := goTransact(t.Context(), d, holds, reflecting("mine"))
		<-checks
		p.reject()
		p.send(d2m.Reflected{ID: 1, Envelope: sealText(t, "winner's")}, d2m.TransactionEnded{DeviceID: 8})
		<-messages
		synctest.Wait()
		if len(checks) > 0 {
			t.Error("asked the precondition before the winner's message was handled")
		}
		handled <- nil
		<-checks
		receive[d2m.ReflectedAck](p)
		p.grant()
		<-checks
		p.take("mine")
		p.commit()
		wantNil(t, <-result)
		if len(checks) > 0 {
			t.Error("asked the precondition too often")
		}
	})
}

// An end that was told before has nothing to do with the rejection.
func TestB25_RejectedDoesNotTakeAnEarlierEndForItsOwn(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		p.send(d2m.TransactionEnded{DeviceID: 9})
		synctest.Wait()
		result := goTransact(t.Context(), d, nil, reflecting("mine"))
		p.reject()
		again := goDo(func() error { p.grant(); return nil })
		synctest.Wait()
		if len(again) > 0 {
			t.Error("began again without an end")
		}
		p.send(d2m.TransactionEnded{DeviceID: 8})
		<-again
		p.take("mine")
		p.commit()
		wantNil(t, <-result)
	})
}

func TestB25_RejectedErrorNamesHolder(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		result := goTransact(ctx, d, nil, reflecting("never"))
		p.reject()
		err := <-result
		var rejected *client.RejectedError
		if !errors.As(err, &rejected) || rejected.Holder != 8 || rejected.Scope != devicekeys.ScopeGroup ||
			!errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
		// What was kept back goes on.
		if _, err := d.Submit(t.Context(), text("after")); err != nil {
			t.Error(err)
		}
		p.take("after")
	})
}

func TestPreconditionFails(t *testing.T) {
	rejectOnce := func(p *peer) { p.reject(); p.send(d2m.TransactionEnded{DeviceID: 8}) }
	for name, c := range map[string]struct {
		holds int // how often
		play  func(p *peer)
	}{
		"before the first attempt": {0, func(*peer) {}},
		"after a rejection":        {1, rejectOnce},
		"under the lock":           {1, func(p *peer) { p.grant(); p.commit() }},
		"under the lock at last":   {2, func(p *peer) { rejectOnce(p); p.grant(); p.commit() }},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fakeServer) {
				d := start(t, f.config())
				p := f.register()
				asked := 0
				result := goTransact(t.Context(), d, func(context.Context) error {
					asked++
					if asked > c.holds {
						return errTest
					}
					return nil
				}, func(context.Context, *client.Transaction) error {
					t.Error("work runs")
					return nil
				})
				c.play(p)
				err := <-result
				var failed *client.PreconditionError
				if !errors.As(err, &failed) || !errors.Is(err, errTest) {
					t.Errorf("error is %v", err)
				}
				if _, err := d.Submit(t.Context(), text("after")); err != nil {
					t.Error(err)
				}
				p.take("after") // on the same connection
			})
		})
	}
}

func TestTransactionBeginsAgainAfterReconnect(t *testing.T) {
	for name, lose := range map[string]func(p *peer){
		"while unanswered": func(p *peer) { receive[d2m.BeginTransaction](p); p.socket.CloseNow() },
		"while rejected":   func(p *peer) { p.reject(); p.close(d2m.CloseGoingAway) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fakeServer) {
				d := start(t, f.config())
				p := f.register()
				checks := make(chan struct{}, 10)
				holds := func(context.Context) error { checks <- struct{}{}; return nil }
				result := goTransact(t.Context(), d, holds, reflecting("mine"))
				lose(p)
				p = f.register()
				receive[d2m.BeginTransaction](p)
				if len(checks) < 2 { // more if the connection that ends has still taken a begin
					t.Error("did not ask the precondition again")
				}
				p.send(d2m.BeginTransactionAck{})
				p.take("mine")
				p.commit()
				wantNil(t, <-result)
			})
		})
	}
}

func TestTransactionWaitsForConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		result := goTransact(t.Context(), d, nil, reflecting("mine"))
		f.accept().socket.CloseNow()
		p := f.register()
		p.grant()
		p.take("mine")
		p.commit()
		wantNil(t, <-result)
	})
}

func TestTransactionNeverBegun(t *testing.T) {
	for name, end := range map[string]func(f *fakeServer, d *client.Device, cancel func()){
		"context": func(_ *fakeServer, _ *client.Device, cancel func()) { cancel() },
		"Close":   func(_ *fakeServer, d *client.Device, _ func()) { d.Close() },
		"dropped": func(f *fakeServer, _ *client.Device, _ func()) { f.register().close(d2m.CloseDropped) },
		"dropped behind begin": func(f *fakeServer, _ *client.Device, _ func()) {
			p := f.register()
			receive[d2m.BeginTransaction](p)
			p.close(d2m.CloseDropped)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fakeServer) {
				d := start(t, f.config())
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				result := goTransact(ctx, d, nil, reflecting("never"))
				synctest.Wait()
				end(f, d, cancel)
				err := <-result
				var closed *client.CloseError
				var unknown *client.UnknownError
				if errors.As(err, &unknown) ||
					!errors.Is(err, context.Canceled) && !errors.Is(err, client.ErrClosed) && !errors.As(err, &closed) {
					t.Errorf("error is %v", err)
				}
			})
		})
	}
}

// The connection ends under the lock, before CommitTransaction.
func TestB28_ConnectionEndsBeforeCommit(t *testing.T) {
	for name, end := range map[string]func(p *peer){
		"abrupt":  func(p *peer) { p.socket.CloseNow() },
		"expired": func(p *peer) { p.close(d2m.CloseTransactionExpired) },
		"limit":   func(p *peer) { p.close(d2m.CloseProtocolError) },
		"dropped": func(p *peer) { p.close(d2m.CloseDropped) },
	} {
		t.Run(name, func(t *testing.T) {
			for part, do := range map[string]work{
				"awaited": reflecting("one", "two", "never"),
				"ignored": func(ctx context.Context, tx *client.Transaction) error {
					tx.Reflect(ctx, text("one"))
					tx.Reflect(ctx, text("two"))
					return nil
				},
				"context": func(ctx context.Context, tx *client.Transaction) error {
					reflecting("one", "two")(ctx, tx)
					<-ctx.Done()
					return ctx.Err()
				},
			} {
				t.Run(part, func(t *testing.T) {
					inBubble(t, func(t *testing.T, f *fakeServer) {
						d := start(t, f.config())
						p := f.register()
						result := goTransact(t.Context(), d, nil, do)
						p.grant()
						p.take("one")
						receive[d2m.Reflect](p)
						end(p)
						aborted := wantAborted(t, <-result)
						var closed *client.CloseError
						if errors.As(aborted, &closed) == (name == "abrupt") {
							t.Errorf("aborted by %v", aborted.Err)
						}
					})
				})
			}
		})
	}
}

// The connection ends after CommitTransaction.
func TestB27_ConnectionEndsBehindCommit(t *testing.T) {
	for name, c := range map[string]struct {
		end     func(p *peer)
		unknown bool
	}{
		"abrupt":         {func(p *peer) { p.socket.CloseNow() }, true},
		"internal error": {func(p *peer) { p.close(d2m.CloseInternal) }, true},
		"replaced":       {func(p *peer) { p.close(d2m.CloseReplaced) }, true},
		"expired":        {func(p *peer) { p.close(d2m.CloseTransactionExpired) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fakeServer) {
				d := start(t, f.config())
				p := f.register()
				result := goTransact(t.Context(), d, nil, reflecting("one"))
				p.grant()
				p.take("one")
				receive[d2m.CommitTransaction](p)
				c.end(p)
				err := <-result
				if !c.unknown {
					wantAborted(t, err)
					return
				}
				var unknown *client.UnknownError
				var aborted *client.AbortedError
				if !errors.As(err, &unknown) || errors.As(err, &aborted) {
					t.Errorf("error is %v", err)
				}
			})
		})
	}
}

func TestContextEndsBehindCommit(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		result := goTransact(ctx, d, nil, reflecting("one"))
		p.grant()
		p.take("one")
		receive[d2m.CommitTransaction](p)
		cancel()
		var unknown *client.UnknownError
		if err := <-result; !errors.As(err, &unknown) || !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
		// The next one follows on the same connection.
		result = goTransact(t.Context(), d, nil, reflecting("two"))
		receive[d2m.BeginTransaction](p)
		p.send(d2m.CommitTransactionAck{}, d2m.BeginTransactionAck{})
		p.take("two")
		p.commit()
		wantNil(t, <-result)
	})
}

func TestB28_FailedWorkLeavesConnection(t *testing.T) {
	for name, fail := range map[string]func(cancel func()) error{
		"error":   func(func()) error { return errTest },
		"panic":   func(func()) error { panic(errTest) },
		"context": func(cancel func()) error { cancel(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fakeServer) {
				config := f.config()
				told := recordDisconnections(&config)
				d := start(t, config)
				p := f.register()
				ctx, cancel := context.WithCancelCause(t.Context())
				result := goDo(func() (err error) {
					defer func() {
						if r := recover(); r != nil {
							err = r.(error)
						}
					}()
					return d.Transaction(ctx, testScope, nil, func(ctx context.Context, tx *client.Transaction) error {
						if err := reflecting("undone")(ctx, tx); err != nil {
							return err
						}
						return fail(func() { cancel(errTest) })
					})
				})
				p.grant()
				p.take("undone")
				if code := p.receiveEnd(); code != websocket.StatusNormalClosure {
					t.Errorf("closed with %d", code)
				}
				if err := <-result; !errors.Is(err, errTest) {
					t.Errorf("error is %v", err)
				}
				if got := <-told; !errors.Is(got.err, client.ErrAbandoned) {
					t.Errorf("disconnected by %v", got.err)
				}
				f.register()
			})
		})
	}
}

func TestFailedWorkThatReflectedNothingKeepsConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		result := goTransact(t.Context(), d, nil, func(context.Context, *client.Transaction) error { return errTest })
		p.grant()
		p.commit()
		if err := <-result; err != errTest {
			t.Errorf("error is %v", err)
		}
		result = goTransact(t.Context(), d, nil, reflecting("two"))
		p.grant()
		p.take("two")
		p.commit()
		wantNil(t, <-result)
	})
}

// The lock that nobody waits for any more is given back, and another BeginTransaction
// comes only then.
func TestContextEndsBeforeLock(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		result := goTransact(ctx, d, nil, reflecting("never"))
		receive[d2m.BeginTransaction](p)
		if err := <-result; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
		result = goTransact(t.Context(), d, nil, reflecting("two"))
		synctest.Wait()
		p.send(d2m.BeginTransactionAck{})
		p.commit()
		p.grant()
		p.take("two")
		p.commit()
		wantNil(t, <-result)
	})
}

func TestOthersWaitForEndOfTransaction(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		do, runs, finish := waiting()
		result := goTransact(t.Context(), d, nil, func(ctx context.Context, tx *client.Transaction) error {
			if err := do(ctx, tx); err != nil {
				return err
			}
			return reflecting("inside")(ctx, tx)
		})
		receive[d2m.BeginTransaction](p)
		for _, s := range []string{"one", "two"} {
			if _, err := d.Submit(t.Context(), text(s)); err != nil {
				t.Fatal(err)
			}
		}
		p.send(d2m.BeginTransactionAck{})
		ctx := <-runs
		if _, err := d.Submit(t.Context(), text("three")); err != nil {
			t.Fatal(err)
		}
		for _, ctx := range []context.Context{t.Context(), ctx} {
			dropped := goDo(func() error { return d.Drop(ctx, 9) })
			p.send(d2m.DropDeviceAck(receive[d2m.DropDevice](p)))
			wantNil(t, <-dropped)
		}
		finish <- nil
		p.take("inside")
		receive[d2m.CommitTransaction](p)
		for _, s := range []string{"one", "two", "three"} {
			p.take(s)
		}
		p.send(d2m.CommitTransactionAck{})
		wantNil(t, <-result)
	})
}

// What waits for a transaction stays in order when the connection is lost instead.
func TestOthersWaitForNextConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		do, runs, finish := waiting()
		result := goTransact(t.Context(), d, nil, do)
		p.grant()
		<-runs
		submitted := goDo(func() error { return submitAll(t.Context(), d, 200) })
		synctest.Wait()
		p.socket.CloseNow()
		p = f.register()
		for i := range 200 {
			p.take(fmt.Sprint(i))
		}
		wantNil(t, <-submitted)
		finish <- nil
		wantAborted(t, <-result)
	})
}

func TestOneTransactionAtATime(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		first := goTransact(t.Context(), d, nil, reflecting("one"))
		p.grant()
		second := goTransact(t.Context(), d, nil, reflecting("two"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		third := goTransact(ctx, d, nil, reflecting("three"))
		if err := <-third; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
		p.take("one")
		p.commit()
		wantNil(t, <-first)
		p.grant()
		p.take("two")
		p.commit()
		wantNil(t, <-second)
	})
}

func TestTransactionRefusesToWaitForItself(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		var d *client.Device
		inReceive := make(chan error, 1)
		config.Receive = func(ctx context.Context, _ client.Message) error {
			inReceive <- d.Transaction(ctx, testScope, nil, reflecting("never"))
			return nil
		}
		d = start(t, config)
		p := f.register()
		nested := func(ctx context.Context) error { return d.Transaction(ctx, testScope, nil, reflecting("never")) }
		result := goTransact(t.Context(), d,
			func(ctx context.Context) error {
				if err := nested(ctx); !errors.Is(err, client.ErrInTransaction) {
					t.Errorf("within precondition: %v", err)
				}
				return nil
			},
			func(ctx context.Context, _ *client.Transaction) error {
				if err := nested(ctx); !errors.Is(err, client.ErrInTransaction) {
					t.Errorf("within work: %v", err)
				}
				_, err := d.Reflect(ctx, text("past it"))
				wantNotSent(t, err, client.ErrInTransaction)
				return nil
			})
		p.grant()
		p.commit()
		wantNil(t, <-result)
		p.send(d2m.Reflected{ID: 1, Envelope: sealText(t, "x")})
		if err := <-inReceive; !errors.Is(err, client.ErrInReceive) {
			t.Errorf("within Receive: %v", err)
		}
	})
}

// The lock comes behind a message whose Receive submits more than may wait for it.
func TestReceiveThatSubmitsDoesNotKeepLockAway(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		var d *client.Device
		submitted := make(chan error, 1)
		config.Receive = func(ctx context.Context, _ client.Message) error {
			for {
				if _, err := d.Submit(ctx, text("x")); err != nil {
					submitted <- err
					return nil
				}
			}
		}
		d = start(t, config)
		p := f.register()
		result := goTransact(t.Context(), d, nil, reflecting("mine"))
		receive[d2m.BeginTransaction](p)
		p.send(d2m.Reflected{ID: 1, Envelope: sealText(t, "x")}, d2m.BeginTransactionAck{})
		wantNotSent(t, <-submitted, client.ErrInReceive)
		receive[d2m.ReflectedAck](p)
		p.take("mine")
		p.commit()
		wantNil(t, <-result)
	})
}

func TestTransactionThatIsOver(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		var kept *client.Transaction
		result := goTransact(t.Context(), d, nil, func(_ context.Context, tx *client.Transaction) error {
			kept = tx
			return nil
		})
		p.grant()
		p.commit()
		wantNil(t, <-result)
		if _, err := kept.Submit(t.Context(), text("late")); err == nil {
			t.Error("a transaction that is over takes a Reflect")
		}
		if _, err := d.Submit(t.Context(), text("after")); err != nil {
			t.Error(err)
		}
		p.take("after")
	})
}

func TestCloseWithinTransaction(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		p := f.register()
		result := goTransact(t.Context(), d, nil, func(ctx context.Context, tx *client.Transaction) error {
			if err := reflecting("one")(ctx, tx); err != nil {
				return err
			}
			<-ctx.Done()
			return nil
		})
		p.grant()
		p.take("one")
		synctest.Wait()
		go p.discard()
		d.Close()
		if err := wantAborted(t, <-result); !errors.Is(err, client.ErrClosed) {
			t.Errorf("error is %v", err)
		}
	})
}

func TestB29_TimeToLive(t *testing.T) {
	for ttl, want := range map[time.Duration]uint32{
		0: 0, time.Second: 1, time.Millisecond: 1, 1500 * time.Millisecond: 2, 30 * time.Minute: 1800,
		math.MaxInt64: math.MaxUint32,
	} {
		t.Run(ttl.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fakeServer) {
				d := start(t, f.config())
				p := f.register()
				result := goDo(func() error {
					return d.TransactionTTL(t.Context(), ttl, testScope, nil, reflecting())
				})
				if begin := p.grant(); begin.TTL != want {
					t.Errorf("ttl is %d, want %d", begin.TTL, want)
				}
				p.commit()
				wantNil(t, <-result)
			})
		})
	}
}

func TestTransactionWithBadArguments(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		d := start(t, f.config())
		if d.TransactionTTL(t.Context(), -1, testScope, nil, reflecting()) == nil {
			t.Error("a negative ttl is taken")
		}
		if d.Transaction(t.Context(), devicekeys.ScopeUnknown, nil, reflecting()) == nil {
			t.Error("an unknown scope is taken")
		}
	})
}

func TestViolationsWithinTransaction(t *testing.T) {
	for name, violation := range map[string][]d2m.Message{
		"lock twice":           {d2m.BeginTransactionAck{}},
		"rejected with lock":   {d2m.TransactionRejected{DeviceID: 8}},
		"commit before commit": {d2m.CommitTransactionAck{}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fakeServer) {
				d := start(t, f.config())
				p := f.register()
				do, runs, finish := waiting()
				result := goTransact(t.Context(), d, nil, do)
				p.grant()
				<-runs
				p.send(violation...)
				if code := p.receiveEnd(); code != websocket.StatusCode(d2m.CloseProtocolError) {
					t.Errorf("closed with %d, want 4010", code)
				}
				finish <- nil
				var protocol *client.ProtocolError
				if err := wantAborted(t, <-result); !errors.As(err, &protocol) {
					t.Errorf("error is %v", err)
				}
			})
		})
	}
}
