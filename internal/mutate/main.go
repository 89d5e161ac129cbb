// Command mutate breaks the rules of behaviour on purpose, one at a time, and looks whether a test finds out. It is run
// at the root of the repository, by `make mutate`.
//
// # What it does
//
// patches/B07.patch to B34.patch each break one rule of the core; the first line of a patch says how. The files of the
// repository, those that git does not ignore, are copied into a temporary directory, where the tests have to pass first.
// Then one patch after the other is applied there, and taken back. With each the model runs alone (TestModel of package
// devicegroup), then, if it has found nothing, the other tests of packages devicegroup, transactions, reflect, and of
// those that the patch changes besides; the first test that fails ends it.
//
// It fails if a patch does not apply or compile, if no test catches one, and if the model alone catches fewer than three
// quarters of all. A test that does not come to its end within -timeout has caught its patch.
//
// # Patches
//
// A patch is a unified diff, `git diff -U1` without the lines before "---", below a line "# B7: what it breaks.". A hunk
// stands where its lines do, whatever its numbers say: its context and what it takes away must be in the file, line by
// line, exactly once. So patches live on when code moves, and a test of this package fails when one no longer applies.
//
// Flags: -rule B27 tries one rule, and leaves out the three quarters; -json writes the table as JSON; -timeout bounds
// one run of tests.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

func main() {
	only := flag.String("rule", "", "the only `rule` to be tried, as B27")
	asJSON := flag.Bool("json", false, "write the table as JSON")
	timeout := flag.Duration("timeout", 5*time.Minute, "how long one run of tests may take")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := mutate(ctx, *only, *asJSON, *timeout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func mutate(ctx context.Context, only string, asJSON bool, timeout time.Duration) (err error) {
	patches, err := chosen(only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := copyTree(ctx, dir); err != nil {
		return err
	}
	l := laboratory{dir: dir, timeout: timeout}
	if err := l.control(ctx, patches); err != nil {
		return err
	}
	var r report
	for _, p := range patches {
		o := l.examine(ctx, p)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		fmt.Fprintln(os.Stderr, o)
		r.add(o)
	}
	write := r.table
	if asJSON {
		write = r.json
	}
	return errors.Join(write(os.Stdout), r.verdict(only == ""))
}

// chosen returns all patches, or that of the only rule.
func chosen(only string) ([]patch, error) {
	patches, err := readPatches()
	if err != nil || only == "" {
		return patches, err
	}
	for _, p := range patches {
		if p.rule == only {
			return []patch{p}, nil
		}
	}
	return nil, fmt.Errorf("rule %q: there is no patch for it; the rules are B%d to B%d", only, firstRule, lastRule)
}
