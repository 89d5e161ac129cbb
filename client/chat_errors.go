package client

import (
	"errors"
	"fmt"

	"openmediator/csp"
)

// ErrUnknownIdentity is what the error of [ChatConfig.PublicKey] wraps if there is
// no such identity.
var ErrUnknownIdentity = errors.New("identity: is unknown")

// ErrNoChat is what chat methods of a [Device] return if its [Config] has no Chat.
var ErrNoChat = errors.New("device: has no chat server")

// ErrChatBacklog is what OnDisconnected is told when the chat server had more
// messages than a device keeps in memory. Those have been handled; the rest comes
// with the next connection.
var ErrChatBacklog = errors.New("chat server: has more messages than a connection takes")

var (
	errChatLogin  = errors.New("the chat server does not answer the login")
	errChatSilent = errors.New("the chat server is silent")
)

// ChatClosedError tells that the chat server ended the connection and said why. If
// it may not be made again, the device has ended.
type ChatClosedError struct{ csp.Closed }

// Error implements error.
func (e *ChatClosedError) Error() string {
	return fmt.Sprintf("chat server: closed the connection: %q", e.Text)
}

// ChatServerError tells that the chat server sent what its protocol does not allow,
// or what cannot be opened. The device connects again.
type ChatServerError struct{ Err error }

// Error implements error.
func (e *ChatServerError) Error() string {
	return fmt.Sprintf("chat server: violates the protocol: %v", e.Err)
}

// Unwrap returns the cause.
func (e *ChatServerError) Unwrap() error { return e.Err }

// ChatUnknownError tells that a chat message may have left, or that the other
// devices may have been told that it did, and that the chat server's answer has not
// come.
type ChatUnknownError struct {
	Err error // why there is no answer: the end of the connection, or the context's
	// Sealed is the message. Handed to [Device.SendChatSealed] it is sent again, and
	// whoever has it already discards it.
	Sealed SealedChat
}

// Error implements error.
func (e *ChatUnknownError) Error() string {
	return fmt.Sprintf("chat message: outcome is unknown: %v", e.Err)
}

// Unwrap returns the cause.
func (e *ChatUnknownError) Unwrap() error { return e.Err }
