package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/spf13/cobra"

	"openmediator/internal/load"
)

const benchTargets = `Name a server with --server, or measure one of its own with --self: another process of this program on this machine, with
a data directory that is removed afterwards. --self tells more, for it can look at the server's process. Whoever measures
a foreign server over the network meets the limits of an address: turn them off there (max-address-connections,
max-address-unauthenticated, max-address-upgrades and max-address-groups 0).

Each message carries its number: one that is lost, doubled, out of order or changed ends the measurement with an error, as
does any connection that ends. One that a signal ends prints nothing and is an error, too (exit code 1).
`

func newBenchCommand() *cobra.Command {
	parent := newParent(&cobra.Command{
		Use:   "bench",
		Short: "Measures a server",
		Long: `Puts a server under load and measures it.

` + benchTargets + `
A figure is worth little by itself: compare two of the same machine and minute, several times each.

` + exitCodes,
		Example: `  mediator bench reflect --self                            # how fast is this machine?
  mediator bench reflect --self --without-store            # what of it is the disk?
  mediator bench reflect --self --window 1 --think 20ms --groups 2   # how long does one wait that is alone?
  mediator bench reflect --server wss://mediator.example.net --groups 50 --json`,
	})
	parent.AddCommand(newBenchReflectCommand(), newBenchServerCommand())
	return parent
}

// bench is one measurement as the flags have it.
type bench struct {
	server       string
	self         bool
	withoutStore bool
	dir          string
	seed         int
	json         bool

	rows []setting // of the table of its flags
}

// measurement measures a server.
type measurement func(ctx context.Context, server *load.Server) (benchResult, error)

// benchResult is what a measurement has found; as JSON it has the fields that package load tells.
type benchResult interface{ Text() string }

// command completes a measurement's command. Besides rows it has the flags that all have.
func (b *bench) command(cmd *cobra.Command, measure measurement, rows ...setting) *cobra.Command {
	b.rows = append(rows, b.common()...)
	cmd.Args = arguments()
	cmd.Flags().SortFlags = false
	var flags []*flag
	for i := range b.rows {
		flags = append(flags, addFlag(cmd, &b.rows[i]))
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		for _, f := range flags {
			if f.text == "" && !f.given {
				continue
			}
			if err := f.row.set(nil, f.text); err != nil {
				return usage("%v", err)
			}
		}
		return b.run(cmd, measure)
	}
	return cmd
}

// common are the flags of all measurements.
func (b *bench) common() []setting {
	return []setting{
		{name: "server", kind: kindURL, text: "the server to measure: ws://HOST:PORT with any path, wss://, or unix:PATH",
			field: func(*settings) any { return &b.server }},
		{name: "self", kind: kindSwitch, byDefault: "false", text: "measure a server of its own on this machine instead",
			field: func(*settings) any { return &b.self }},
		{name: "without-store", kind: kindSwitch, byDefault: "false",
			text:  "with --self: let that server keep nothing on disk, to see what the disk costs. No other command can do that",
			field: func(*settings) any { return &b.withoutStore }},
		{name: "dir", kind: kindPath,
			text: "with --self: where to make the data directory, which is removed afterwards (default the system's temporary " +
				"directory; see that it is on the disk in question, not in memory)",
			field: func(*settings) any { return &b.dir }},
		{name: "seed", kind: kindCount, unit: "as a seed", byDefault: "0", low: "1", high: "2147483647", zero: "a random one, which is printed",
			text:  "what decides contents and think times",
			field: func(*settings) any { return &b.seed }},
		{name: "json", kind: kindSwitch, byDefault: "false", text: "print one JSON object per measurement",
			field: func(*settings) any { return &b.json }},
	}
}

// run measures and prints.
func (b *bench) run(cmd *cobra.Command, measure measurement) error {
	if err := b.check(); err != nil {
		return err
	}
	if b.seed == 0 {
		b.seed = 1 + rand.IntN(1<<31-1)
	}
	progress := newBenchProgress(cmd.ErrOrStderr())
	defer progress.clear()
	server, end, err := b.open(cmd.Context())
	if err != nil {
		return err
	}
	defer end()
	server.Progress = progress.say
	result, err := measure(cmd.Context(), server)
	if cmd.Context().Err() != nil {
		return errors.New("bench: was interrupted")
	}
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	progress.clear()
	return b.print(cmd.OutOrStdout(), result)
}

// check finds flags that contradict each other.
func (b *bench) check() error {
	switch {
	case b.self && b.server != "":
		return usage("server: there is --self as well; name a server or measure one of bench's own, not both")
	case !b.self && b.server == "":
		return usage("server: is missing; name one with --server, or measure one of bench's own with --self")
	case b.withoutStore && !b.self:
		return usage("without-store: is for --self alone: a server that others use keeps what it acknowledges")
	case b.dir != "" && !b.self:
		return usage("dir: is for --self alone")
	}
	return nil
}

// open returns the server to measure and what ends it.
func (b *bench) open(ctx context.Context) (server *load.Server, end func(), err error) {
	if b.self {
		return b.openOwn(ctx)
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
	out io.Writer // nil: no terminal
}

func newBenchProgress(out io.Writer) *benchProgress {
	if !isTerminal(out) {
		out = nil
	}
	return &benchProgress{out: out}
}

const clearLine = "\r\x1b[K"

func (p *benchProgress) say(text string) {
	if p.out != nil {
		io.WriteString(p.out, clearLine+text)
	}
}

func (p *benchProgress) clear() { p.say("") }

func newBenchReflectCommand() *cobra.Command {
	var l load.Reflect
	return new(bench).command(&cobra.Command{
		Use:   "reflect",
		Short: "How many messages per second are acked, and how long acks and deliveries take",
		Long: `In each group one device reflects and all others receive and acknowledge. Without a think time each sender keeps its
window full. With one there is a schedule that does not wait for the server, and latencies count from the time at which a
message was due, so that a server that makes senders wait does not hide it.

` + benchTargets + "\n" + exitCodes,
		Example: `  mediator bench reflect --self
  mediator bench reflect --self --groups 2 --window 1 --think 20ms     # nobody else is there
  mediator bench reflect --self --size 65516 --groups 20 --window 8
  mediator bench reflect --server ws://127.0.0.1:8440 --duration 30s --json`,
	}, func(ctx context.Context, server *load.Server) (benchResult, error) { return server.Reflect(ctx, l) },
		setting{name: "groups", kind: kindCount, unit: "groups", byDefault: "200", low: "1", high: "1000000",
			text: "groups", field: func(*settings) any { return &l.Groups }},
		setting{name: "devices", kind: kindCount, unit: "devices", byDefault: "3", low: "1", high: "15",
			text:  "devices of each group, all connected: one sends",
			field: func(*settings) any { return &l.Devices }},
		setting{name: "window", kind: kindCount, unit: "messages", byDefault: "32", low: "1", high: "10000",
			text:  "messages that a sender may have sent and not seen acked",
			field: func(*settings) any { return &l.Window }},
		setting{name: "size", kind: kindCount, unit: "bytes", byDefault: "300", low: "16", high: "65516",
			text: "size of an envelope", field: func(*settings) any { return &l.Size }},
		setting{name: "think", kind: kindDuration, byDefault: "0", low: "1us", high: "1h", zero: "none",
			text:  "time between two messages of a sender, on average",
			field: func(*settings) any { return &l.Think }},
		setting{name: "single-acks", kind: kindSwitch, byDefault: "false",
			text:  "write each ack of a receiver by itself, instead of all acks of what was read at once",
			field: func(*settings) any { return &l.SingleAcks }},
		setting{name: "warm-up", kind: kindDuration, byDefault: "1s", low: "0", high: "1h",
			text: "how long the load runs before it is measured", field: func(*settings) any { return &l.WarmUp }},
		benchDuration("5s", &l.Duration))
}

// benchDuration is the flag for how long is measured.
func benchDuration(byDefault string, field *time.Duration) setting {
	return setting{name: "duration", kind: kindDuration, byDefault: byDefault, low: "1ms", high: "24h",
		text: "how long is measured", field: func(*settings) any { return field }}
}
