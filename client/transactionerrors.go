package client

import (
	"errors"
	"fmt"

	"openmediator/d2m"
	"openmediator/devicekeys"
)

// ErrAbandoned is why a device leaves its connection when the work of a transaction
// has failed after something was reflected: that is how the server learns that there
// will be no commit (B28).
var ErrAbandoned = errors.New("connection: was left to abandon a transaction")

// ErrInTransaction is what [Device.Transaction] returns within a transaction of the
// same device, and what reflecting past the [Transaction] returns under the lock. It
// would wait for itself.
var ErrInTransaction = errors.New("device: is within a transaction")

var errTransactionOver = errors.New("transaction: is over")

// PreconditionError tells that the precondition of a transaction returned an error.
type PreconditionError struct{ Err error }

// Error implements error.
func (e *PreconditionError) Error() string {
	return fmt.Sprintf("transaction: precondition does not hold: %v", e.Err)
}

// Unwrap returns what the precondition returned.
func (e *PreconditionError) Unwrap() error { return e.Err }

// RejectedError tells that a transaction has not begun because another device holds
// the lock.
type RejectedError struct {
	Holder d2m.DeviceID
	Scope  devicekeys.Scope // the holder's; [devicekeys.ScopeUnknown] if it cannot be read
	Err    error            // why the end was not waited for: the context's
}

// Error implements error.
func (e *RejectedError) Error() string {
	return fmt.Sprintf("transaction: device %016x holds the lock (%v): %v", uint64(e.Holder), e.Scope, e.Err)
}

// Unwrap returns why the end was not waited for.
func (e *RejectedError) Unwrap() error { return e.Err }

// AbortedError tells that a transaction was begun and has ended without a commit:
// nothing of it has happened.
type AbortedError struct{ Err error } // why the connection or the context ended

// Error implements error.
func (e *AbortedError) Error() string {
	return fmt.Sprintf("transaction: was aborted, nothing of it has happened: %v", e.Err)
}

// Unwrap returns the cause.
func (e *AbortedError) Unwrap() error { return e.Err }

func isAborted(err error) bool {
	var aborted *AbortedError
	return errors.As(err, &aborted)
}
