package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"openmediator/devicekeys"
)

const (
	// demoPatience is how long the demo waits for anything it has announced.
	demoPatience = 5 * time.Second

	// demoPause is between two lines for people: a demo has about 60.
	demoPause = 200 * time.Millisecond
)

func newDemoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Shows on a server of its own what all this is for",
		Long: `Starts a server on a free port with a temporary data directory, and three devices of one group, and tells line by line
what happens between them: authentication, reflection, a device that is offline, a server that is killed and comes back,
two devices that compete for the lock, a leader that leaves. Then a user writes to another one through a chat server, whose
leader is killed; and it tells which addresses the chat server has seen. It takes about fifteen seconds, needs no network,
and leaves nothing behind.

Each line was seen to happen before it is printed. If anything differs from what is due, the demo says what and ends
with exit code 1.

` + exitCodes,
		Example: `  mediator demo
  go run ./cmd/mediator demo`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			server, err := newProcessServer()
			if err != nil {
				return err
			}
			defer server.close()
			return newDemo(server, cmd.OutOrStdout()).run(cmd.Context())
		},
	}
}

// demo is the script and what it has seen so far.
type demo struct {
	server   demoServer
	patience time.Duration
	pause    time.Duration
	out      io.Writer

	url                   string
	keys                  *devicekeys.Keys
	phone, laptop, tablet *demoDevice
	leader                *demoDevice
	waiting               []demoText // for the tablet

	addresses              bool // this system has demoDevices and demoLocal
	chatServer             *demoChatServer
	alice, bob             *demoUser
	sender, first, further *demoDevice // Alice's, and Bob's two
}

// demoText is a text that the phone has reflected.
type demoText struct {
	text string
	at   time.Time // as acknowledged
}

func newDemo(server demoServer, out io.Writer) *demo {
	d := &demo{server: server, patience: demoPatience, addresses: hasDemoAddresses(), out: out}
	if isTerminal(out) {
		d.pause = demoPause
	}
	return d
}

// run plays the script. An error says what was not as announced.
func (d *demo) run(ctx context.Context) error {
	err := d.play(ctx,
		d.startChatServer,
		d.startServer,
		d.authenticate,
		d.refuseStranger,
		d.reflectToAll,
		d.goOffline,
		d.letMessagesQueue,
		d.searchDisk,
		d.killServer,
		d.restartServer,
		d.comeBack,
		d.competeForLock,
		d.changeLeader,
		d.nothingElse,
		d.openChat,
		d.chatToLeader,
		d.killLeader,
		d.searchChatDisks,
		d.showAddresses,
		d.noOtherChat,
	)
	if err != nil {
		return err
	}
	return d.say(ctx, "done", "all of it was seen to happen; nothing was lost, doubled or out of order")
}

// play plays steps of the script, and disconnects all devices in the end.
func (d *demo) play(ctx context.Context, steps ...func(context.Context) error) error {
	defer d.disconnectAll()
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return fmt.Errorf("demo: %w", err)
		}
	}
	return nil
}

// say prints what somebody did.
func (d *demo) say(ctx context.Context, who, format string, args ...any) error {
	if _, err := fmt.Fprintf(d.out, "%-9s %s\n", who, fmt.Sprintf(format, args...)); err != nil {
		return err
	}
	select {
	case <-time.After(d.pause):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
