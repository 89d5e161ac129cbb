package client

import (
	"context"
	"errors"
	"fmt"
	"net"

	"openmediator/d2m"
)

// ErrClosed is what the methods of a [Device] return after its Close.
var ErrClosed = errors.New("device: is closed")

// ErrOffline is what [Device.ReflectEphemeral] returns without a connection, and
// [Device.ClearDeviceCookieChange] without one to the chat server: a later one would
// be too late.
var ErrOffline = errors.New("device: is not connected")

// ErrInReceive is what a method that waits for the server returns when it is
// called with the context of a Receive function of the same device. It would wait
// for itself: the answer stands behind messages that Receive has yet to take.
var ErrInReceive = errors.New("device: a Receive function cannot wait for an answer of the server")

// CloseError tells that the server closed the connection.
type CloseError struct {
	Code   d2m.CloseCode
	Reason string // the server's words, at most 123 bytes; may hold any character
}

// Error implements error.
func (e *CloseError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("connection: closed by the server with %d (%v)", uint16(e.Code), e.Code)
	}
	return fmt.Sprintf("connection: closed by the server with %d (%v): %q", uint16(e.Code), e.Code, e.Reason)
}

// UnreachableError tells that no connection could be made: name, network, TLS,
// HTTP, or an end before the server said whether it takes the device.
type UnreachableError struct {
	Status int    // HTTP status if that was the answer, else 0
	Text   string // what came with Status, at most 1,024 bytes; may hold any character
	Err    error  // nil if there is a Status
}

// Error implements error.
func (e *UnreachableError) Error() string {
	if e.Status != 0 {
		return fmt.Sprintf("server: answered with HTTP status %d: %q", e.Status, e.Text)
	}
	return fmt.Sprintf("server: cannot be reached: %v", e.Err)
}

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// LostError tells that a connection ended without a close code.
type LostError struct{ Err error }

// Error implements error.
func (e *LostError) Error() string { return fmt.Sprintf("connection: lost: %v", e.Err) }

// Unwrap returns the cause.
func (e *LostError) Unwrap() error { return e.Err }

// ProtocolError tells that the server sent what the protocol does not allow. The
// connection was closed with 4010.
type ProtocolError struct{ Err error }

// Error implements error.
func (e *ProtocolError) Error() string {
	return fmt.Sprintf("server: violates the protocol: %v", e.Err)
}

// Unwrap returns the cause.
func (e *ProtocolError) Unwrap() error { return e.Err }

// UnknownError tells that a request has left and no answer has come, so nobody
// here knows whether the server has done it.
type UnknownError struct {
	Err error // why there is no answer: the end of the connection, or the context's
	// Sealed is the envelope of a Reflect, nil for other requests. Handed to
	// [Device.ReflectSealed] it is reflected again with the same nonce, and a device
	// that has it already discards it.
	Sealed []byte
}

// Error implements error.
func (e *UnknownError) Error() string { return fmt.Sprintf("outcome: is unknown: %v", e.Err) }

// Unwrap returns the cause.
func (e *UnknownError) Unwrap() error { return e.Err }

// violation makes a ProtocolError.
func violation(format string, args ...any) error {
	return &ProtocolError{Err: fmt.Errorf(format, args...)}
}

// unreachable gives an error on the way to registration its type.
func unreachable(err error) error {
	var closed *CloseError
	var protocol *ProtocolError
	var already *UnreachableError
	if errors.As(err, &closed) || errors.As(err, &protocol) || errors.As(err, &already) {
		return err
	}
	return &UnreachableError{Err: cause(err)}
}

// cause strips what libraries put around an error of the network. The URL is among
// it, and with the URL the group id.
func cause(err error) error {
	var network *net.OpError
	if errors.As(err, &network) {
		return network
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return contextCause(err)
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

func contextCause(err error) error {
	if errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	return context.DeadlineExceeded
}
