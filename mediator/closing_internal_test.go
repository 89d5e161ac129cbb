package mediator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/coder/websocket"

	"openmediator/d2m"
	"openmediator/devicegroup"
)

// network wraps an error like package net does, with an address in its text.
func network(err error) error {
	address := &net.TCPAddr{IP: net.IPv4(203, 0, 113, 7), Port: 4711}
	return fmt.Errorf("failed to read: %w", &net.OpError{Op: "read", Net: "tcp", Source: address, Addr: address, Err: err})
}

// How a reader's error ends the connection: the one function that says so, error by error.
func TestB40_CloseFor(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		code d2m.CloseCode // 0: nobody is there to be told
	}{
		"protocol error":           {protocolError("reflect is too short"), d2m.CloseProtocolError},
		"wrapped protocol error":   {fmt.Errorf("reading: %w", protocolError("text message")), d2m.CloseProtocolError},
		"internal error":           {internalError("storage is not available"), d2m.CloseInternal},
		"any code that is given":   {closing{devicegroup.Close{Code: d2m.CloseUnsupportedVersion}}, d2m.CloseUnsupportedVersion},
		"violation of RFC 6455":    {errors.New("received unmasked frame from client"), d2m.CloseProtocolViolation},
		"closed by the device":     {fmt.Errorf("failed: %w", websocket.CloseError{Code: 4113}), 0},
		"closed without a code":    {websocket.CloseError{Code: websocket.StatusNoStatusRcvd}, 0},
		"end of stream":            {fmt.Errorf("failed: %w", io.EOF), 0},
		"end inside a frame":       {network(io.ErrUnexpectedEOF), 0},
		"reset":                    {network(os.NewSyscallError("read", syscall.ECONNRESET)), 0},
		"broken pipe":              {network(os.NewSyscallError("write", syscall.EPIPE)), 0},
		"user timeout":             {network(os.NewSyscallError("read", syscall.ETIMEDOUT)), 0},
		"deadline":                 {network(os.ErrDeadlineExceeded), 0},
		"closed by this side":      {network(net.ErrClosed), 0},
		"closed pipe":              {io.ErrClosedPipe, 0},
		"stalled":                  {errStalled, 0},
		"any error of package net": {network(errors.New("something new")), 0},
	} {
		t.Run(name, func(t *testing.T) {
			why, tell := closeFor(test.err)
			if tell != (test.code != 0) || why.Code != test.code {
				t.Errorf("got code %d, tell %t; want code %d", why.Code, tell, test.code)
			}
			if strings.Contains(why.Reason, "203.0.113.7") || tell && why.Code != d2m.CloseUnsupportedVersion && why.Reason == "" {
				t.Errorf("reason is %q", why.Reason)
			}
		})
	}
}

// Errors of the network are known by their kind alone: their text holds addresses (B42).
func TestB42_NetworkErrorKind(t *testing.T) {
	for kind, errs := range map[string][]error{
		"end of stream": {io.EOF, io.ErrUnexpectedEOF, network(io.EOF)},
		"closed":        {net.ErrClosed, io.ErrClosedPipe, network(net.ErrClosed)},
		"stalled":       {errStalled, fmt.Errorf("writing: %w", errStalled)},
		"timeout":       {os.ErrDeadlineExceeded, network(os.ErrDeadlineExceeded)},
		"reset":         {network(syscall.ECONNRESET), network(syscall.EPIPE), syscall.ECONNRESET},
		"refused":       {network(syscall.ECONNREFUSED)},
		"network":       {network(errors.New("anything")), network(syscall.ENETUNREACH)},
		"":              {errors.New("received header with unexpected rsv bits set"), context.Canceled, websocket.CloseError{Code: 1000}},
	} {
		for _, err := range errs {
			if got := networkErrorKind(err); got != kind {
				t.Errorf("%v is %q, want %q", err, got, kind)
			}
		}
	}
}

func TestB45_ReasonsFitIntoACloseFrame(t *testing.T) {
	for _, reason := range []string{
		"", "short", strings.Repeat("a", 123), strings.Repeat("a", 124), strings.Repeat("ä", 61) + "a", strings.Repeat("ä", 62),
		strings.Repeat("€", 41), strings.Repeat("€", 42), "a" + strings.Repeat("\U0001F600", 40), strings.Repeat("a", 5000),
	} {
		got := closeReason(reason)
		if len(got) > 123 || !utf8.ValidString(got) || !strings.HasPrefix(reason, got) {
			t.Errorf("%d bytes become %q", len(reason), got)
		}
		if len(reason) <= 123 && got != reason || len(reason) > 123 && len(got) < 120 {
			t.Errorf("%d bytes become %d", len(reason), len(got))
		}
	}
}
