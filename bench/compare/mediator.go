package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
)

// moduleRoot is where this server's source is, seen from this module's directory.
const moduleRoot = "../.."

// buildMediator builds this server, and returns the path of the program.
func buildMediator(ctx context.Context, dir string) (string, error) {
	if _, err := os.Stat(filepath.Join(moduleRoot, "cmd", "mediator")); err != nil {
		return "", fmt.Errorf("source of the mediator: is not where it should be; run compare in the directory bench/compare: %w", err)
	}
	program := filepath.Join(dir, "mediator")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/mediator")
	build.Dir = moduleRoot
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/mediator: %w\n%s", err, output)
	}
	return program, nil
}

// benchmark runs `mediator bench` with a server of its own and decodes the one object that it writes.
func (r run) benchmark(result any, arguments ...string) error {
	arguments = slices.Concat([]string{"bench"}, arguments, []string{"--self", "--json", "--dir", r.dir})
	bench := exec.CommandContext(r, r.mediator, arguments...)
	bench.Cancel = func() error { return bench.Process.Signal(syscall.SIGTERM) } // so that it ends its server
	bench.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	var said bytes.Buffer
	bench.Stderr = &said
	output, err := bench.Output()
	if err != nil {
		return errors.Join(context.Cause(r), fmt.Errorf("mediator %v: %w\n%s", arguments, err, said.Bytes()))
	}
	if err := json.Unmarshal(output, result); err != nil {
		return fmt.Errorf("mediator %v: %w", arguments, err)
	}
	return nil
}
