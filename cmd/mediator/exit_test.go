package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"openmediator/client"
	"openmediator/csp"
	"openmediator/d2m"
	"openmediator/devicekeys"
	"openmediator/reflect/boltstore"
)

func TestExitCodes(t *testing.T) {
	for _, test := range []struct {
		err  error
		code int
		want []string
	}{
		{nil, 0, nil},
		{usage("text: is empty"), 2, []string{"text: is empty"}},
		{fmt.Errorf("listen: %w", errors.New("broken")), 1, []string{"listen: broken"}},
		{&client.CloseError{Code: d2m.CloseDeviceLimit, Reason: "no slot\x1b"}, 1,
			[]string{`refused by the server with 4111 (device limit reached), "no slot\x1b": make room`}},
		{fmt.Errorf("reflect: was not sent: %w", &client.CloseError{Code: d2m.CloseDropped}), 1, []string{"4113", "--join"}},
		{&client.UnknownError{Err: &client.CloseError{Code: d2m.CloseInternal}}, 1, []string{"it is not known whether the server has done it: ", "1011"}},
		{&client.UnknownError{Err: context.DeadlineExceeded}, 3, []string{"it is not known whether"}},
		{&client.UnknownError{Err: &client.LostError{Err: io.EOF}}, 3, []string{"it is not known whether", "EOF"}},
		{&client.LostError{Err: io.EOF}, 3, []string{"EOF"}},
		{&client.UnreachableError{Err: errors.New("connection refused")}, 3, []string{"connection refused", "is it running", "--server"}},
		{&client.UnreachableError{Status: 404, Text: "nothing\nhere"}, 3, []string{`404, "nothing\nhere"`, "is this the URL of a mediator?"}},
		{&client.UnreachableError{Status: 400, Text: "low-order point"}, 1, []string{"400"}},
		{&client.ChatUnknownError{Err: &client.CloseError{Code: d2m.CloseChatServerClosed}}, 1,
			[]string{"it is not known whether the message has left: ", "4000"}},
		{&client.ChatUnknownError{Err: &client.LostError{Err: io.EOF}}, 3, []string{"it is not known whether the message has left: ", "EOF"}},
		{&client.ChatUnknownError{Err: errNoAnswer}, 3, []string{"it is not known whether the message has left: ", "has not answered"}},
		{fmt.Errorf("chat message: was not sent: %w", &client.ChatServerError{Err: errors.New("odd")}), 1,
			[]string{"was not sent: chat server: violates the protocol: odd: is the chat server's public key"}},
		{fmt.Errorf("chat message: was not sent: %w", &client.ChatClosedError{Closed: csp.Closed{Text: "bye\x1b"}}), 1,
			[]string{"was not sent: chat server: closed the connection: ", "bye"}},
		{&directoryError{"http://x", errors.New("refused")}, 3, []string{"chat directory http://x: refused: is the chat server running, and with --http there?"}},
		{&directoryError{"http://x", errors.New("is this one?")}, 3, []string{"chat directory http://x: is this one?"}},
		{&client.ProtocolError{Err: errors.New("odd")}, 1, []string{"violates the protocol"}},
		{&client.RejectedError{Holder: 0xbad, Scope: devicekeys.ScopeNewDevice, Err: errNoAnswer}, 1,
			[]string{"was not begun", "device 0000000000000bad holds the lock (scope new-device)", "--wait"}},
		{outcomeOf(&client.AbortedError{Err: &client.CloseError{Code: d2m.CloseTransactionExpired}}), 1,
			[]string{"nothing of it has happened: ", "4011", "--ttl"}},
		{outcomeOf(&client.AbortedError{Err: &client.CloseError{Code: d2m.CloseProtocolError, Reason: "staged"}}), 1,
			[]string{"nothing of it has happened; if it was too large, reflect less", "4010", `"staged"`}},
		{outcomeOf(&client.AbortedError{Err: &client.LostError{Err: io.EOF}}), 3, []string{"nothing of it has happened: ", "EOF"}},
		{outcomeOf(&client.UnknownError{Err: &client.LostError{Err: io.EOF}}), 3, []string{"possibly committed", "another device", "EOF"}},
		{outcomeOf(&client.UnknownError{Err: &client.CloseError{Code: d2m.CloseInternal}}), 1, []string{"possibly committed", "1011"}},
		{outcomeOf(&client.UnknownError{Err: errNoAnswer}), 3, []string{"possibly committed", "has not answered"}},
	} {
		if code := exitCode(test.err); code != test.code {
			t.Errorf("%v: exit code %d, want %d", test.err, code, test.code)
		}
		for _, want := range test.want {
			if got := printable(describe(test.err)); !strings.Contains(got, want) {
				t.Errorf("%s does not say %q", got, want)
			}
		}
	}
}

// TestNotOpened: who has no room needs another advice than who has no right.
func TestNotOpened(t *testing.T) {
	for cause, want := range map[error]string{
		syscall.ENOSPC:     "; make room there that can be written to, or name a directory on another disk with --data",
		syscall.EACCES:     "; name one with --data that this user may write to",
		boltstore.ErrInUse: ": end that one, or name another directory with --data",
	} {
		if err := notOpened(fmt.Errorf("data directory x: %w", cause)); !errors.Is(err, cause) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("got %v, want one that ends with %q", err, want)
		}
	}
}

// TestEachRefusalSaysWhatToDo: the codes after which a device does not come back by itself need its user.
func TestEachRefusalSaysWhatToDo(t *testing.T) {
	general := adviceFor(4999, "")
	for _, code := range []d2m.CloseCode{d2m.CloseProtocolError, d2m.CloseUnsupportedVersion, d2m.CloseDeviceLimit,
		d2m.CloseReplaced, d2m.CloseDropped, d2m.CloseQueueLimit, d2m.CloseSlotState, d2m.CloseTransactionExpired,
		d2m.CloseChatServerClosed, d2m.CloseChatServerUnreachable} {
		err := &client.CloseError{Code: code}
		if exitCode(err) != exitFailed || !strings.Contains(describe(err), fmt.Sprint(uint16(code))) || adviceFor(code, "") == general {
			t.Errorf("%d: %s", code, describe(err))
		}
	}
}

// TestHelpTeaches: each command has a text and examples, and each example is a command line that is understood.
func TestHelpTeaches(t *testing.T) {
	t.Parallel()
	commands := []string{""}
	for len(commands) > 0 {
		path := commands[0]
		commands = commands[1:]
		cmd, _, err := newRootCommand().Find(strings.Fields(path))
		if err != nil {
			t.Fatal(err)
		}
		for _, below := range cmd.Commands() {
			commands = append(commands, path+" "+below.Name())
		}
		if len(cmd.Long) < 60 || cmd.Short == "" || !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s: help lacks a text or an example", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Example) {
			checkExample(t, line)
		}
	}
}

// checkExample parses an example as the program would.
func checkExample(t *testing.T, line string) {
	line, _, _ = strings.Cut(line, "#")
	_, line, found := strings.Cut(line, " mediator ")
	if !found || strings.Contains(line, "completion") {
		return
	}
	line, _, _ = strings.Cut(line, "|")
	line, _, _ = strings.Cut(line, "<")
	line, _, _ = strings.Cut(line, " > ")
	words := strings.Fields(strings.ReplaceAll(line, `"lunch at noon?"`, "lunch"))
	cmd, rest, err := newRootCommand().Find(words)
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err == nil && cmd.Args != nil && len(cmd.Commands()) == 0 {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err != nil || cmd.Parent() == nil {
		t.Errorf("example %q: %v", words, err)
	}
}
