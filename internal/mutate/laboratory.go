package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"time"
)

// modelTest is the test that is to catch most patches alone.
const modelTest = "^TestModel$"

// modelSteps is how many steps it has here: twice those that the tests have usually.
const modelSteps = "-model.steps=200000"

// laboratory is a copy of the repository.
type laboratory struct {
	dir     string
	timeout time.Duration // of one run of tests
}

// control makes sure that the tests pass without a patch: else each would seem to be caught.
func (l *laboratory) control(ctx context.Context, patches []patch) error {
	var packages []string
	for _, p := range patches {
		packages = append(packages, p.packages()...)
	}
	slices.Sort(packages)
	for _, name := range slices.Compact(packages) {
		caught, err := l.test(ctx, name)
		if err != nil {
			return fmt.Errorf("without a patch: %w", err)
		}
		if caught != "" {
			return fmt.Errorf("without a patch: %s fails", caught)
		}
	}
	return nil
}

// examine tries one patch.
func (l *laboratory) examine(ctx context.Context, p patch) outcome {
	o := outcome{Rule: p.rule, Patch: p.name, Breaks: p.breaks}
	if err := l.try(ctx, p, &o); err != nil {
		o.Problem = err.Error()
	} else if o.CaughtBy == "" {
		o.Problem = "no test catches it"
	}
	return o
}

// try applies a patch, has the tests run, and takes the patch back.
func (l *laboratory) try(ctx context.Context, p patch, o *outcome) (err error) {
	tree := os.DirFS(l.dir)
	changed, err := p.apply(tree)
	if err != nil {
		return err
	}
	before := make(map[string]string)
	for name := range changed {
		data, err := os.ReadFile(path.Join(l.dir, name))
		if err != nil {
			return err
		}
		before[name] = string(data)
	}
	defer func() { err = errors.Join(err, writeFiles(l.dir, before)) }()
	if err := writeFiles(l.dir, changed); err != nil {
		return err
	}
	if o.CaughtBy, err = l.test(ctx, "devicegroup", "-run", modelTest, modelSteps); err != nil || o.CaughtBy != "" {
		o.Model = err == nil
		return err
	}
	for _, name := range p.packages() {
		if o.CaughtBy, err = l.test(ctx, name, "-skip", modelTest, "-failfast"); err != nil || o.CaughtBy != "" {
			return err
		}
	}
	return nil
}

// event is what is read of a line that go test -json writes.
type event struct {
	Action      string
	Package     string
	Test        string
	Output      string
	FailedBuild string
}

// test runs tests of a package and returns the first that fails, or "".
func (l *laboratory) test(ctx context.Context, name string, flags ...string) (caught string, err error) {
	arguments := append([]string{"test", "./" + name, "-json", "-count=1", "-vet=off", "-timeout", l.timeout.String()}, flags...)
	command := exec.CommandContext(ctx, "go", arguments...)
	command.Dir = l.dir
	command.WaitDelay = time.Minute // for a test that outlives go test
	var complaints bytes.Buffer
	command.Stderr = &complaints
	output, err := command.Output()
	if err == nil {
		return "", nil
	}
	caught, build := firstFailure(output)
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case build != "":
		return "", fmt.Errorf("%s: it does not compile\n%s", name, build)
	case caught == "":
		return "", fmt.Errorf("go test ./%s: %w\n%s", name, err, complaints.Bytes())
	}
	return name + " " + caught, nil
}

// firstFailure reads what go test -json wrote: which test failed first, or what the compiler has to say. A test that is
// cut short by the timeout, or by a panic of another goroutine, has no result of its own: it is the one that was running.
func firstFailure(output []byte) (test, build string) {
	running, late := "what runs around its tests", ""
	for line := range bytes.Lines(output) {
		var e event
		if json.Unmarshal(line, &e) != nil {
			continue
		}
		switch {
		case e.Action == "build-output":
			build += e.Output
		case strings.HasPrefix(e.Output, "panic: test timed out"):
			late = ", which does not end"
		case e.Action == "run":
			running = e.Test
		case e.Action != "fail" || e.FailedBuild != "":
		case e.Test != "":
			return e.Test + late, build
		default:
			return running + late, build
		}
	}
	return "", build
}
