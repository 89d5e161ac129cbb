package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"

	"github.com/spf13/cobra"

	"openmediator/internal/load"
)

const benchTargets = `Name a server with --server, or measure one of its own with --self: another process of this program on this machine, with
a data directory that is removed afterwards. --self tells more, for it can look at the server's process. Whoever measures
a foreign server over the network meets its limits for one address: turn them off there (max-address-connections,
max-address-unauthenticated, max-address-upgrades and max-address-groups 0).

Each message carries its number: one that is lost, doubled, out of order or changed ends the measurement with an error, as
does any connection that ends. One that a signal ends prints nothing and is an error, too (exit code 1).
`

func newBenchCommand() *cobra.Command {
	parent := newParent(&cobra.Command{
		Use:   "bench",
		Short: "Measures a server: reflecting, logins, the way to the chat server, idle connections",
		Long: `Puts a server under load and measures it.

` + benchTargets + `
A figure is worth little by itself: compare two of the same machine and the same minutes, several times each. What the
fields of --json mean is told by the documentation of package internal/load.

` + exitCodes,
		Example: `  mediator bench reflect --self                    # how fast is this machine?
  mediator bench reflect --self --without-store    # what of it is the disk?
  mediator bench all --self --json
  mediator bench login --server wss://mediator.example.net --groups 50`,
	})
	for _, s := range benchScenarios() {
		parent.AddCommand(newBenchScenarioCommand(s))
	}
	parent.AddCommand(newBenchAllCommand(), newBenchServerCommand())
	return parent
}

// bench is how to measure, as the flags have it.
type bench struct {
	server       string
	self         bool
	withoutStore bool
	dir          string
	seed         int
	json         bool
	upstream     string

	progress benchProgress
}

func newBenchScenarioCommand(s *benchScenario) *cobra.Command {
	cmd := &cobra.Command{
		Use:     s.name,
		Short:   s.short,
		Long:    s.long + "\n\n" + benchTargets + "\n" + exitCodes,
		Example: s.example,
		Args:    arguments(),
	}
	b := new(bench)
	rows := append(s.rows, b.common()...)
	if s.chat {
		rows = append(rows, b.upstreamRow())
	}
	parse := addRows(cmd, rows)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := parse(); err != nil {
			return err
		}
		return b.run(cmd, s)
	}
	return cmd
}

func newBenchAllCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "all",
		Short: "All of these, one after the other",
		Long: `Measures reflecting, logins, the way to the chat server and idle connections, as the other commands do without further
flags. A foreign server is not asked for its idle connections, nor without --upstream for the way to the chat server.

` + benchTargets + "\n" + exitCodes,
		Example: `  mediator bench all --self
  mediator bench all --server ws://127.0.0.1:8440 --json`,
		Args: arguments(),
	}
	b := new(bench)
	parse := addRows(cmd, append(b.common(), b.upstreamRow()))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := parse(); err != nil {
			return err
		}
		var chosen []*benchScenario
		for _, s := range benchScenarios() {
			if b.self || !s.ownOnly && (!s.chat || b.upstream != "") {
				if err := loadDefaults(s.rows); err != nil {
					return err
				}
				chosen = append(chosen, s)
			}
		}
		return b.run(cmd, chosen...)
	}
	return cmd
}

// run measures and prints, one scenario after the other.
func (b *bench) run(cmd *cobra.Command, scenarios ...*benchScenario) error {
	for _, s := range scenarios {
		if err := b.check(s); err != nil {
			return err
		}
	}
	if b.seed == 0 {
		b.seed = 1 + rand.IntN(1<<31-1)
	}
	if isTerminal(cmd.ErrOrStderr()) {
		b.progress.out = cmd.ErrOrStderr()
	}
	for i, s := range scenarios {
		if i > 0 && !b.json {
			fmt.Fprintln(cmd.OutOrStdout())
		}
		result, err := b.measure(cmd.Context(), s)
		if cmd.Context().Err() != nil {
			return errors.New("bench: was interrupted")
		}
		if err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		if err := b.print(cmd.OutOrStdout(), result); err != nil {
			return err
		}
	}
	return nil
}

// check finds flags that contradict each other.
func (b *bench) check(s *benchScenario) error {
	switch {
	case b.self && b.server != "":
		return usage("server: there is --self as well; name a server or measure one of bench's own, not both")
	case !b.self && b.server == "":
		return usage("server: is missing; name one with --server, or measure one of bench's own with --self")
	case b.withoutStore && !b.self:
		return usage("without-store: is for --self alone: a server that others use keeps what it acknowledges")
	case b.dir != "" && !b.self:
		return usage("dir: is for --self alone")
	case b.upstream != "" && b.self:
		return usage("upstream: is for a foreign server; with --self bench chooses an address")
	case s.ownOnly && !b.self:
		return usage("server: %s looks at the memory of the server's process, which must be bench's own; measure that with --self", s.name)
	case s.chat && !b.self && b.upstream == "":
		return usage("upstream: is missing; tell with --upstream where the server looks for its chat server, so that bench can play it there")
	}
	return nil
}

// measure opens the server and measures it.
func (b *bench) measure(ctx context.Context, s *benchScenario) (benchResult, error) {
	defer b.progress.say("")
	chat, err := b.openChat(s)
	if err != nil {
		return nil, err
	}
	if chat != nil {
		defer chat.Close()
	}
	server, end, err := b.open(ctx, chat)
	if err != nil {
		return nil, err
	}
	defer end()
	server.Progress = b.progress.say
	return s.measure(ctx, server, chat)
}

// openChat listens where the server looks for its chat server, or returns nil.
func (b *bench) openChat(s *benchScenario) (net.Listener, error) {
	if !s.chat {
		return nil, nil
	}
	address := "127.0.0.1:0"
	if !b.self {
		var err error
		if address, err = resolveHostPort("upstream", b.upstream); err != nil {
			return nil, err
		}
	}
	return openHostPort("upstream", address)
}

// open returns the server to measure and what ends it.
func (b *bench) open(ctx context.Context, chat net.Listener) (server *load.Server, end func(), err error) {
	if b.self {
		return b.openOwn(ctx, chat)
	}
	address, err := load.ParseAddress(b.server)
	if err != nil {
		return nil, nil, usage("server: %v", err)
	}
	return &load.Server{Address: address, Store: "unknown", Seed: uint64(b.seed)}, func() {}, nil
}

func (b *bench) print(out io.Writer, result benchResult) error {
	text := result.Text()
	if b.json {
		line, err := printableJSON(result)
		if err != nil {
			return err
		}
		text = line + "\n"
	}
	_, err := io.WriteString(out, text)
	return err
}

// benchProgress shows on a terminal what is going on, in one line that is then cleared.
type benchProgress struct {
	out io.Writer // nil: there is none
}

const clearLine = "\r\x1b[K"

func (p *benchProgress) say(text string) {
	if p.out != nil {
		io.WriteString(p.out, clearLine+text)
	}
}
