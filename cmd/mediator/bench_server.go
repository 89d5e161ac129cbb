package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"

	"github.com/spf13/cobra"

	"openmediator/internal/load"
	"openmediator/reflect/memstore"
)

// What bench writes to the standard input of its server, and that answers on standard output.
const (
	benchCollect   = "collect"
	benchCollected = "collected"
)

// openOwn starts a server for a measurement.
func (b *bench) openOwn(ctx context.Context, chat net.Listener) (*load.Server, func(), error) {
	dir, err := os.MkdirTemp(b.dir, "mediator-bench-")
	if err != nil {
		return nil, nil, fmt.Errorf("dir: no directory can be made there: %w; name another one with --dir", reason(err))
	}
	args := []string{"bench", "server", "--listen", "127.0.0.1:0", "--max-connections", "1000000",
		"--max-slots", strconv.Itoa(benchSlots), "--data", filepath.Join(dir, "data")}
	store := "disk"
	if b.withoutStore {
		args, store = append(args, "--without-store"), "none"
	}
	if chat != nil {
		args = append(args, "--upstream", chat.Addr().String(), "--upstream-rate", "0")
	}
	own, err := startBenchServer(ctx, args...)
	if err != nil {
		os.RemoveAll(dir)
		return nil, nil, err
	}
	end := func() {
		own.kill()
		os.RemoveAll(dir)
	}
	address, err := load.ParseAddress(own.listening)
	if err != nil {
		end()
		return nil, nil, err
	}
	process := &load.Process{PID: own.command.Process.Pid, Collect: own.collect}
	return &load.Server{Address: address, Own: process, Store: store, Seed: uint64(b.seed)}, end, nil
}

// benchChild is the server that is measured.
type benchChild struct {
	*child
	listening string // URL
	orders    io.Writer
	answers   *bufio.Scanner
}

func startBenchServer(ctx context.Context, args ...string) (*benchChild, error) {
	c, err := newChild(args...)
	if err != nil {
		return nil, err
	}
	orders, err := c.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	answers, err := c.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	listening, err := c.start(ctx)
	if err != nil {
		return nil, err
	}
	return &benchChild{child: c, listening: listening, orders: orders, answers: bufio.NewScanner(answers)}, nil
}

// collect has the server collect its garbage. A server that does not answer is ended with the context.
func (c *benchChild) collect(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { c.command.Process.Kill() })
	defer stop()
	_, err := io.WriteString(c.orders, benchCollect+"\n")
	if err == nil && (!c.answers.Scan() || c.answers.Text() != benchCollected) {
		err = errors.New("server has ended")
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// newBenchServerCommand makes the command that bench starts for --self.
func newBenchServerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:    "server",
		Hidden: true,
		Short:  "The server that bench --self measures",
		Long: `Is "mediator serve" for bench --self, which starts it: it ends when its standard input ends, collects its garbage when
told so there, reads no environment variables, and can do without a store, which loses all that it acknowledges.

` + exitCodes,
		Example: `  mediator bench reflect --self    # starts it, as
  mediator bench server --listen 127.0.0.1:0 --data /tmp/mediator-bench-1/data`,
		Args: arguments(),
	}
	src := addSettings(cmd, func(string) (string, bool) { return "", false }, ofServe)
	withoutStore := cmd.Flags().Bool("without-store", false, "keep nothing on disk")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := src.load()
		if err != nil {
			return err
		}
		if isTerminal(cmd.InOrStdin()) {
			return usage("server: is for bench --self alone, which starts it; a server for devices is \"mediator serve\"")
		}
		return serveBench(cmd, s, *withoutStore)
	}
	return cmd
}

// serveBench runs the server until standard input ends.
func serveBench(cmd *cobra.Command, s *settings, withoutStore bool) error {
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	go func() {
		defer cancel()
		obeyBench(cmd.InOrStdin(), cmd.OutOrStdout())
	}()
	if err := s.resolveAddresses(); err != nil {
		return err
	}
	log := newLog(cmd.ErrOrStderr(), s.logLevel)
	if withoutStore {
		return serveFrom(ctx, s, memstore.New(), "", log, nil)
	}
	store, err := openStore(s.data, s, log)
	if err != nil {
		return err
	}
	return serveFrom(ctx, s, store, s.data, log, nil)
}

// obeyBench does what bench orders until the end of the orders.
func obeyBench(orders io.Reader, answers io.Writer) {
	lines := bufio.NewScanner(orders)
	for lines.Scan() {
		if lines.Text() == benchCollect {
			debug.FreeOSMemory()
			debug.FreeOSMemory() // what the first one has moved out of pools
			fmt.Fprintln(answers, benchCollected)
		}
	}
}
