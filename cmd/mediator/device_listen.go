package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"openmediator/client"
	"openmediator/csp"
	"openmediator/d2m"
	"openmediator/devicekeys"
)

func newDeviceListenCommand() *cobra.Command {
	return newDeviceUser(&cobra.Command{
		Use:   "listen",
		Short: "Stays connected, prints what arrives and reflects what is typed",
		Long: `Stays connected until a signal ends it: prints the messages that arrive, the devices of the group, when the queue has
run dry, and whether this device leads its group. Each line of standard input is reflected. When the connection is lost it
comes back by itself; when the server refuses for good (41xx), it ends.

If the group has an identity at a chat server, chat messages are printed as well: as "chat from ID" those that this device
gets because it leads, and that another device got and reflected (it says which); as "chat to ID" those that another device
has sent. They are acknowledged like all others. The public keys of their senders are looked up over HTTP, without the
mediator.

A message is acknowledged, and gone from the server, when it has been printed. It is not printed again, not after a restart
either: the device file remembers the last ` + fmt.Sprint(maxNonces) + `.

` + exitCodes,
		Example: `  mediator device listen --device laptop
  mediator device listen --device laptop --json | tee messages.jsonl
  tail -f /var/log/backup.log | mediator device listen --device server`,
		Args: arguments(),
	}, listen)
}

// listening is a device that stays connected. The client calls its on… methods one at a time.
type listening struct {
	*deviceCommand
	device *client.Device // set before anything else runs

	ask  chan struct{} // capacity 1: the devices are to be listed
	fail context.CancelCauseFunc
}

func listen(ctx context.Context, d *deviceCommand, _ []string) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	l := &listening{deviceCommand: d, ask: make(chan struct{}, 1), fail: fail}
	config, err := d.config()
	if err != nil {
		return err
	}
	config.Receive = l.onMessage
	config.OnConnected = l.onConnected
	config.OnQueueDry = func() { l.print(dry{"dry"}) }
	config.OnLeader = func() { l.print(leader{"leader"}) }
	config.OnUnreadable = func(err error) { l.print(unreadable{"unreadable", err.Error()}) }
	config.OnDisconnected = func(err error, retry time.Duration) { l.print(newDisconnected(err, retry)) }
	config.Chat = l.chatConfig()
	if l.device, err = client.Connect(ctx, config); err != nil {
		return err
	}
	return l.run(ctx, d.cmd.InOrStdin())
}

// run reflects what is typed until ctx or the device ends.
func (l *listening) run(ctx context.Context, in io.Reader) error {
	listed := make(chan struct{})
	go func() {
		defer close(listed)
		l.listDevices(ctx)
	}()
	readInBackground()
	go l.reflectLines(ctx, in) // not waited for: reading a terminal cannot be ended

	select {
	case <-ctx.Done():
	case <-l.device.Done():
		l.fail(l.device.Err())
	}
	l.device.Close()
	<-listed
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// print ends the command if it cannot print: what nobody sees must not be acknowledged.
func (l *listening) print(e event) error {
	err := l.out.print(e)
	if err != nil {
		l.fail(fmt.Errorf("standard output: %w", reason(err)))
	}
	return err
}

func (l *listening) onMessage(_ context.Context, m client.Message) error {
	return l.print(newMessage(m))
}

// chatConfig returns nil if the group has no identity.
func (l *listening) chatConfig() *client.ChatConfig {
	if l.file.chat == nil {
		return nil
	}
	config := l.file.chatConfig()
	config.Receive = func(_ context.Context, m client.ChatMessage) error { return l.print(newChatReceived(m)) }
	config.OnLogin = func(ack csp.LoginAck) { l.print(newLoggedIn(l.file, ack)) }
	config.OnUnreadable = func(err error) { l.print(unreadable{"unreadable", err.Error()}) }
	config.OnAlert = func(text string) { l.print(alert{"alert", text}) }
	return config
}

func (l *listening) onConnected(info d2m.ServerInfo) {
	l.print(newConnected(l.file, info))
	select {
	case l.ask <- struct{}{}:
	default: // they will be listed anyway
	}
}

// listDevices lists the group's devices for each connection. It is not done in onConnected, which must not wait for an
// answer.
func (l *listening) listDevices(ctx context.Context) {
	for {
		select {
		case <-l.ask:
		case <-ctx.Done():
			return
		}
		slots, err := l.device.Devices(ctx)
		if err != nil {
			continue // the connection was lost; the next one asks again
		}
		for _, s := range slots {
			l.print(newSlot(l.file, s))
		}
	}
}

// maxLineSize is more than fits into an envelope, so that too long a line is told from the end of the input.
const maxLineSize = 1 << 20

// reflectLines reflects each line until the input or ctx ends.
func (l *listening) reflectLines(ctx context.Context, in io.Reader) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLineSize)
	for lines.Scan() {
		text := strings.TrimSuffix(lines.Text(), "\r")
		if text == "" {
			continue
		}
		l.reflect(ctx, text)
	}
	if err := lines.Err(); err != nil && ctx.Err() == nil {
		fmt.Fprintf(l.cmd.ErrOrStderr(), "mediator: standard input: %v; no more lines are taken from it\n", reason(err))
	}
}

// reflect hands a text to the server and prints what became of it.
func (l *listening) reflect(ctx context.Context, text string) {
	if err := checkText(text, maxTextSize, "envelope"); err != nil {
		l.print(unreflected{"unreflected", err.Error(), text})
		return
	}
	at, err := l.untilAnswered(ctx, text)
	if err != nil {
		l.print(unreflected{"unreflected", describe(err), text})
		return
	}
	l.print(newReflected(at, text))
}

// untilAnswered reflects a text. When the connection is lost before the answer, the same envelope goes out again: devices
// that have it already discard it. An UnknownError means that even so nobody knows.
func (l *listening) untilAnswered(ctx context.Context, text string) (time.Time, error) {
	at, err := l.device.Reflect(ctx, devicekeys.Envelope{Text: text})
	var unknown *client.UnknownError
	for errors.As(err, &unknown) && ctx.Err() == nil && l.device.Err() == nil {
		again, retryErr := l.device.ReflectSealed(ctx, unknown.Sealed)
		if retryErr != nil && !errors.As(retryErr, &unknown) {
			return at, err // not sent this time, but maybe the time before
		}
		at, err = again, retryErr
	}
	return at, err
}
