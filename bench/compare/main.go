package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	Rounds   int           `json:"rounds"`
	Duration time.Duration `json:"duration_ns"`
	Groups   int           `json:"groups"`
	Size     int           `json:"size"`
	Dir      string        `json:"-"`
	Only     []string      `json:"only,omitempty"`

	list, json bool
	out        string
	mediator   string // this server's program
}

func parseFlags() (options, error) {
	var o options
	var only string
	flag.IntVar(&o.Rounds, "rounds", 5, "how often each contestant has its turn, from 1")
	flag.DurationVar(&o.Duration, "duration", 3*time.Second, "how long a turn measures, from 100ms")
	flag.IntVar(&o.Groups, "groups", 200, "groups of three devices, 1 to 5000")
	flag.IntVar(&o.Size, "size", 300, "bytes of a message, 64 to 65536")
	flag.StringVar(&o.Dir, "dir", os.TempDir(), "where files are written: on the disk to be measured")
	flag.StringVar(&only, "only", "", "rows or ROW/CONTESTANT to be measured, with commas between, * allowed; empty: all")
	flag.StringVar(&o.out, "out", "", "file for the result; empty: standard output")
	flag.BoolVar(&o.json, "json", false, "write JSON instead of Markdown")
	flag.StringVar(&o.mediator, "mediator", "", "this server's program; empty: built from the source of this directory's repository")
	flag.BoolVar(&o.list, "list", false, "list rows and contestants, and end")
	flag.Usage = usage
	flag.Parse()
	if only != "" {
		o.Only = strings.Split(only, ",")
	}
	switch {
	case flag.NArg() > 0:
		return o, fmt.Errorf("argument %q: there are flags only; --help shows them", flag.Arg(0))
	case o.Rounds < 1:
		return o, fmt.Errorf("--rounds %d: want at least 1", o.Rounds)
	case o.Duration < 100*time.Millisecond:
		return o, fmt.Errorf("--duration %v: want at least 100ms", o.Duration)
	case o.Groups < 1 || o.Groups > 5000:
		return o, fmt.Errorf("--groups %d: want 1 to 5000", o.Groups)
	case o.Size < 64 || o.Size > 1<<16:
		return o, fmt.Errorf("--size %d: want 64 to 65536", o.Size)
	}
	return o, nil
}

// usage explains the program.
func usage() {
	fmt.Fprint(flag.CommandLine.Output(), `Measures this server beside what people would build it from, in turn, and writes a table in Markdown. It runs in the
directory bench/compare, and says what has to be installed.

  go run .                                       everything, five rounds: about half an hour
  go run . --list                                rows, and who takes part in them
  go run . --only window32 --rounds 3            one row
  go run . --only '*/mediator,*/redis-*' --json  some contestants of all rows

`)
	flag.PrintDefaults()
}

func main() {
	if err := start(); err != nil {
		fmt.Fprintf(os.Stderr, "compare: %v\n", err)
		os.Exit(1)
	}
}

func start() error {
	if len(os.Args) > 2 && os.Args[1] == peerWord {
		return servePeer(os.Args[2], os.Args[3:])
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return compare(ctx)
}

func compare(ctx context.Context) error {
	o, err := parseFlags()
	if err != nil {
		return err
	}
	rows, err := chosen(allRows(), o.Only)
	if err != nil {
		return err
	}
	if o.list {
		list(rows)
		return nil
	}
	if err := missing(rows); err != nil {
		return err
	}
	if o.mediator == "" {
		dir, err := os.MkdirTemp("", "compare-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if o.mediator, err = buildMediator(ctx, dir); err != nil {
			return err
		}
	}
	var results []measured
	for _, r := range rows {
		m, err := measure(ctx, r, o, func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) })
		if err != nil {
			return err
		}
		results = append(results, m)
	}
	return write(o, newHeader(o, rows), results)
}

// missing returns what must be installed before anything can be measured.
func missing(rows []row) error {
	var all []error
	seen := map[string]bool{}
	for _, r := range rows {
		for _, c := range r.contestants {
			if c.missing == nil {
				continue
			}
			if err := c.missing(); err != nil && !seen[err.Error()] {
				seen[err.Error()] = true
				all = append(all, err)
			}
		}
	}
	return errors.Join(all...)
}

func list(rows []row) {
	for _, r := range rows {
		fmt.Printf("%-18s %s\n", r.id, r.title)
		for _, c := range r.contestants {
			fmt.Printf("  %-16s %s\n", c.id, c.name)
		}
	}
}

func write(o options, h header, results []measured) (err error) {
	var w io.Writer = os.Stdout
	if o.out != "" {
		file, createErr := os.Create(o.out)
		if createErr != nil {
			return createErr
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		w = file
	}
	if !o.json {
		return writeTable(w, h, results)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(newReport(o, h, results))
}
