package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
)

const (
	// defaultLockWait is how long transact waits for the lock if it is not told.
	defaultLockWait = time.Minute

	// While it waits it asks again who holds the lock: at first after firstLook, then after twice as long, and so on.
	firstLook = 250 * time.Millisecond
	lastLook  = 5 * time.Second
)

func newDeviceTransactCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "transact --scope SCOPE TEXT...",
		Short: "Reflects several texts in one transaction: all of them or none",
		Long: `Takes the lock of the group, reflects each TEXT, commits, and returns when the server has all of them on disk. The
other devices see them all at once and in this order, with nothing of others between, or none of them.

One device at a time holds the lock. While another one does, this command says which, and for what (on standard error, or
with --json as an event "waiting"), and takes the lock when it is free: what the other has changed has arrived by then.
After --wait it gives up.

SCOPE says what is about to change. It is for the other devices; the server cannot read it. One of:
  ` + strings.Join(scopeNames(), ", ") + `

While a listen runs with the same device file this command refuses.

After exit code 0 all texts are reflected, after 2 none. After 1 or 3 none is, unless the message says "possibly
committed": then all are, or none.

` + exitCodes,
		Example: `  mediator device transact --scope contact renamed portrayed --device phone
  mediator device transact --scope settings --ttl 10s --wait 5m dark quiet --device phone
  mediator device transact --scope group --wait 0 "lunch at noon?" --device phone   # now or not at all
  mediator device transact --scope user-profile --json hello --device phone`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageOf(cmd, "TEXT is missing")
			}
			return nil
		},
	}
	scope := cmd.Flags().String("scope", "", "what is about to change: `SCOPE` as above (required)")
	ttl := cmd.Flags().Duration("ttl", 0, "how long the lock may be held; 0, and more than the server's maximum, is that "+
		"maximum (default 0)")
	wait := cmd.Flags().Duration("wait", defaultLockWait, "how long to wait for the lock while another device holds it; "+
		"0: not at all")
	return newDeviceUser(cmd, func(ctx context.Context, d *deviceCommand, args []string) error {
		t := &transact{deviceCommand: d, ttl: *ttl, wait: *wait, texts: args, patience: answerTimeout}
		if err := t.check(*scope); err != nil {
			return err
		}
		return t.run(ctx)
	})
}

// transact is a run of the command.
type transact struct {
	*deviceCommand
	scope     devicekeys.Scope
	ttl, wait time.Duration
	texts     []string
	patience  time.Duration // with the server, for whatever it is to answer at once

	device *client.Device // set before the lock is asked for
	told   *waiting       // what was last said of the holder; nil: nothing
}

// errNoAnswer is why something was not waited for any longer.
var errNoAnswer error = &client.LostError{Err: errors.New("server has not answered in time")}

// check finds mistakes before anything is sent.
func (t *transact) check(scope string) (err error) {
	switch {
	case scope == "":
		return usageOf(t.cmd, "--scope is missing; there are %s", strings.Join(scopeNames(), ", "))
	case t.ttl < 0:
		return usage("ttl: %v is negative", t.ttl)
	case t.wait < 0:
		return usage("wait: %v is negative", t.wait)
	}
	if t.scope, err = parseScope(scope); err != nil {
		return err
	}
	for _, text := range t.texts {
		if err := checkText(text, maxTextSize, "envelope"); err != nil {
			return err
		}
	}
	return nil
}

func (t *transact) run(ctx context.Context) error {
	config, err := t.config()
	if err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, t.patience)
	defer cancel()
	if t.device, err = client.Connect(limit, config); err != nil {
		return err
	}
	defer t.device.Close()
	return t.untilLocked(ctx)
}

// untilLocked tries again and again. The SDK could wait by itself, but tells who holds the lock only when it gives up.
func (t *transact) untilLocked(ctx context.Context) error {
	giveUp := time.Now().Add(t.wait)
	answered := time.Now()
	for look := firstLook; ; look = min(2*look, lastLook) {
		locked, err := t.attempt(ctx, min(look, max(time.Until(giveUp), firstLook)))
		var rejected *client.RejectedError
		switch {
		case locked || ctx.Err() != nil || !errors.Is(err, errNoAnswer):
			return outcomeOf(err)
		case errors.As(err, &rejected):
			answered = time.Now()
			if !answered.Before(giveUp) {
				return err
			}
			if err := t.sayWaiting(ctx, rejected); err != nil {
				return err
			}
		case time.Since(answered) > t.patience:
			return errNoAnswer
		}
	}
}

// attempt is one transaction that gives up if it does not have the lock after a while.
func (t *transact) attempt(ctx context.Context, look time.Duration) (locked bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(look, func() { cancel(errNoAnswer) })
	defer timer.Stop()
	var done []reflected
	err = t.device.TransactionTTL(ctx, t.ttl, t.scope, nil, func(ctx context.Context, tx *client.Transaction) (err error) {
		if !timer.Stop() {
			return errNoAnswer // too late: the lock is given back
		}
		timer.Reset(t.patience)
		locked = true
		if done, err = t.reflectAll(ctx, tx); err != nil {
			return abortedBy(err)
		}
		return nil
	})
	if err != nil {
		return locked, err
	}
	for _, e := range done {
		if err := t.out.print(e); err != nil {
			return locked, err
		}
	}
	return locked, t.out.print(committed{"committed", scopeName(t.scope), len(done)})
}

// abortedBy is the error of a transaction whose commit was not sent. What is not known then is undone as well.
func abortedBy(err error) error {
	var aborted *client.AbortedError
	var unknown *client.UnknownError
	switch {
	case errors.As(err, &aborted):
		return aborted
	case errors.As(err, &unknown):
		err = unknown.Err
	}
	return &client.AbortedError{Err: err}
}

// reflectAll waits for the answers when all texts are on their way.
func (t *transact) reflectAll(ctx context.Context, tx *client.Transaction) ([]reflected, error) {
	var receipts []*client.Receipt
	for _, text := range t.texts {
		receipt, err := tx.Submit(ctx, devicekeys.Envelope{Text: text})
		if err != nil {
			return nil, err
		}
		receipts = append(receipts, receipt)
	}
	var done []reflected
	for i, receipt := range receipts {
		at, err := receipt.Wait(ctx)
		if err != nil {
			return nil, err
		}
		done = append(done, newReflected(at, t.texts[i]))
	}
	return done, nil
}

// sayWaiting says who holds the lock, if that is news.
func (t *transact) sayWaiting(ctx context.Context, rejected *client.RejectedError) error {
	e := waiting{Event: "waiting", Device: formatDeviceID(rejected.Holder), Scope: scopeName(rejected.Scope)}
	if t.told != nil && t.told.Device == e.Device && t.told.Scope == e.Scope {
		return nil
	}
	e.Label = t.labelOf(ctx, rejected.Holder)
	t.told = &e
	if t.out.json {
		return t.out.print(e)
	}
	_, err := fmt.Fprintln(t.cmd.ErrOrStderr(), e)
	return err
}

// labelOf is what a device calls itself, or empty.
func (t *transact) labelOf(ctx context.Context, id d2m.DeviceID) string {
	ctx, cancel := context.WithTimeout(ctx, lastLook)
	defer cancel()
	slots, _ := t.device.Devices(ctx) // the lock is not worth less without a name
	for _, s := range slots {
		if s.ID == id {
			return s.Info.Label
		}
	}
	return ""
}

// transactionError tells what has become of a transaction, and why.
type transactionError struct {
	outcome string
	reason  error
	whole   error // for exitCode
}

func (e *transactionError) Error() string { return e.outcome + ": " + e.reason.Error() }
func (e *transactionError) Unwrap() error { return e.whole }

// outcomeOf says whether anything has happened in spite of an error.
func outcomeOf(err error) error {
	var unknown *client.UnknownError
	var aborted *client.AbortedError
	var closed *client.CloseError
	switch {
	case errors.As(err, &aborted) && errors.As(err, &closed) && closed.Code == d2m.CloseProtocolError:
		return &transactionError{"transaction: was aborted, nothing of it has happened; if it was too large, reflect less in " +
			"one", closed, err}
	case errors.As(err, &aborted):
		return &transactionError{"transaction: was aborted, nothing of it has happened", aborted.Err, err}
	case errors.As(err, &unknown):
		return &transactionError{"transaction: is possibly committed, all of it or nothing; another device of the group " +
			"shows which", unknown.Err, err}
	}
	return err
}
