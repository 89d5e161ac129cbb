package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"openmediator/client"
	"openmediator/d2m"
)

// What the process ends with; exitCodes says it to users.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3
)

// usageError is a mistake in what was typed, set or named. Its text is the whole sentence.
type usageError string

func (e usageError) Error() string { return string(e) }

func usage(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

// usageOf is usage that points to the help of a command.
func usageOf(cmd *cobra.Command, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if name, isOther := strings.CutPrefix(cmd.CommandPath(), cmd.Root().Name()+" "); isOther {
		text = name + ": " + text
	}
	if strings.HasSuffix(text, "?") {
		return usage("%s See %s --help", text, cmd.CommandPath())
	}
	return usage("%s; see %s --help", text, cmd.CommandPath())
}

// exitCode maps every error to what the process ends with.
func exitCode(err error) int {
	var wrong usageError
	var settings settingsError
	var closed *client.CloseError
	var unreachable *client.UnreachableError
	var lost *client.LostError
	var unknown *client.UnknownError
	var rejected *client.RejectedError
	var unsent *client.ChatUnknownError
	var directory *directoryError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &wrong), errors.As(err, &settings):
		return exitUsage
	case errors.As(err, &closed), errors.As(err, &rejected):
		return exitFailed
	case errors.As(err, &unreachable):
		if unreachable.Status == http.StatusBadRequest {
			return exitFailed
		}
		return exitUnreachable
	case errors.As(err, &lost), errors.As(err, &unknown), errors.As(err, &unsent), errors.As(err, &directory):
		return exitUnreachable
	}
	return exitFailed
}

// describe returns the one sentence that tells an error and the way out. It holds words of the server: see printable.
func describe(err error) string {
	var closed *client.CloseError
	var unreachable *client.UnreachableError
	var unknown *client.UnknownError
	var rejected *client.RejectedError
	var unsent *client.ChatUnknownError
	var violated *client.ChatServerError
	var transaction *transactionError
	text := err.Error()
	switch {
	case errors.As(err, &transaction):
		return transaction.outcome + ": " + describe(transaction.reason)
	case errors.As(err, &rejected):
		return fmt.Sprintf("transaction: was not begun: device %s holds the lock (scope %s): try again when it is done, or wait "+
			"longer (--wait); the server takes the lock from it when its time is over, or when it leaves",
			formatDeviceID(rejected.Holder), scopeName(rejected.Scope))
	case errors.As(err, &closed):
		text = fmt.Sprintf("refused by the server with %d (%v)", uint16(closed.Code), closed.Code)
		if closed.Reason != "" {
			text += `, "` + closed.Reason + `"`
		}
		text += ": " + adviceFor(closed.Code, closed.Reason)
	case errors.As(err, &unreachable) && unreachable.Status != 0:
		text = fmt.Sprintf(`server: answered with HTTP status %d, "%s": is this the URL of a mediator?`, unreachable.Status, unreachable.Text)
	case errors.As(err, &unreachable):
		text += ": is it running, and is this its URL (--server)?"
	}
	if errors.As(err, &violated) {
		text += ": is the chat server's public key in the device file the one that it prints?"
	}
	if errors.As(err, &unsent) {
		text = "it is not known whether the message has left: " + text
	} else if errors.As(err, &unknown) {
		text = "it is not known whether the server has done it: " + text
	}
	return text
}

// newDeviceAdvice is the way out for a device that has no slot any more.
const newDeviceAdvice = `make a new device of the group with "mediator device new NEW --join OLD"`

// adviceFor says what to do after a close code.
func adviceFor(code d2m.CloseCode, reason string) string {
	switch code {
	case d2m.CloseNormal, d2m.CloseGoingAway:
		return "try again when it runs again"
	case d2m.CloseChatServerClosed:
		return "the chat server does not know this identity with this key, or has been stopped; try again when it runs"
	case d2m.CloseChatServerUnreachable:
		return "is the chat server running, and does the mediator know where (mediator serve --upstream HOST:PORT)?"
	case d2m.CloseTransactionExpired:
		return "the lock's time was over (--ttl, and the server's max-transaction-ttl); begin again"
	case d2m.CloseProtocolError:
		if strings.Contains(reason, "does not accept this group") {
			return "ask its operator to let the group in, or for an invitation: its URL is what --server takes"
		}
		return "the device file, or this version of the program, does not fit this server"
	case d2m.CloseUnsupportedVersion:
		return "the server is older than this program; one of the two has to follow the other"
	case d2m.CloseDeviceLimit:
		return `make room with "mediator device drop ID" as another device of the group`
	case d2m.CloseReplaced:
		return `another process has connected as this device; give each its own file ("mediator device new NEW --join OLD")`
	case d2m.CloseDropped:
		return newDeviceAdvice
	case d2m.CloseQueueLimit:
		return "too much had piled up for this device and is lost; " + newDeviceAdvice
	case d2m.CloseSlotState:
		return "the device file and the server disagree whether this device has a slot (it was dropped, or its slot has " +
			"expired, or the file is an old copy); " + newDeviceAdvice
	}
	return "try again; if it stays like that, the server's log says more"
}
