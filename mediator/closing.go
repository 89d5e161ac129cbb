package mediator

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"unicode/utf8"

	"github.com/coder/websocket"

	"openmediator/d2m"
	"openmediator/devicegroup"
)

// closing is an error that says how the connection is to be closed. What the device sees is all there is in it.
type closing struct{ devicegroup.Close }

func (c closing) Error() string { return c.Reason }

// protocolError is the end of a connection that said something wrong (B40).
func protocolError(reason string) error {
	return closing{devicegroup.Close{Code: d2m.CloseProtocolError, Reason: reason}}
}

// internalError is the end of a connection for something that is not its fault. It gets no cause (B42).
func internalError(reason string) error {
	return closing{devicegroup.Close{Code: d2m.CloseInternal, Reason: reason}}
}

// closeFor says how a connection is closed whose reader has ended with err; tell is false if there is nobody to tell.
// Everything that has not got a code elsewhere gets one here.
func closeFor(err error) (why devicegroup.Close, tell bool) {
	var coded closing
	switch {
	case errors.As(err, &coded):
		return coded.Close, true
	case websocket.CloseStatus(err) != -1, networkErrorKind(err) != "":
		return devicegroup.Close{}, false
	default:
		return devicegroup.Close{Code: d2m.CloseProtocolViolation, Reason: "violation of RFC 6455"}, true
	}
}

// networkErrorKind names the kind of an error of the network, without its text, which may hold addresses (B42). It
// returns "" for any other error.
func networkErrorKind(err error) string {
	var op *net.OpError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "end of stream"
	case errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return "closed"
	case errors.Is(err, errStalled):
		return "stalled"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.As(err, &record):
		return "no TLS"
	case errors.As(err, &op):
		return "network"
	}
	return ""
}

// closeReason cuts a reason to what fits into a Close frame, at the end of a character.
func closeReason(reason string) string {
	if len(reason) <= d2m.MaxCloseReasonSize {
		return reason
	}
	cut := d2m.MaxCloseReasonSize
	for cut > 0 && !utf8.RuneStart(reason[cut]) {
		cut--
	}
	return reason[:cut]
}
