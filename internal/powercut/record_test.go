//go:build integration

package powercut

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"openmediator/internal/serverprocess"
)

var (
	minutes    = flag.Float64("powercut.minutes", 0, "go on with new plans for so long; 0: one of each kind")
	selected   = flag.Int("powercut.selections", 20, "selections of what is there before the end of each sync")
	seed       = flag.Uint64("powercut.seed", 0, "of the first plan; 0: drawn")
	keepFolder = flag.String("powercut.keep", "", "directory for traces, and for what a wrong cut has left")
)

// drawnSeed is the seed of this run of the tests.
var drawnSeed = func() func() uint64 {
	drawn := rand.Uint64N(1_000_000) + 1
	return func() uint64 {
		if *seed != 0 {
			return *seed
		}
		return drawn
	}
}()

// folder returns a new directory, in memory if the system has one: a replay writes some 100,000 files.
func folder(t *testing.T) string {
	t.Helper()
	if info, err := os.Stat("/dev/shm"); err != nil || !info.IsDir() {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp("/dev/shm", "powercut")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// driven is a recording of the driver, of one run or several.
type driven struct {
	binary string
	seed   uint64
	root   string
	marks  string // file
	runs   int
	*Recording
}

// buildDriver returns the path of the driver.
func buildDriver(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "driver")
	if err := serverprocess.BuildPackage(binary, "openmediator/internal/powercut/driver"); err != nil {
		t.Fatal(err)
	}
	return binary
}

func newDriven(t *testing.T, binary string, seed uint64) *driven {
	t.Helper()
	root := folder(t)
	d := &driven{binary: binary, seed: seed, root: root, marks: filepath.Join(t.TempDir(), "marks"), Recording: NewRecording(root)}
	if err := os.WriteFile(d.marks, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return d
}

// run records one run of the driver. It reports whether it was killed.
func (d *driven) run(t *testing.T, inject []string, flags ...string) (killed bool, err error) {
	t.Helper()
	d.runs++
	log := filepath.Join(t.TempDir(), fmt.Sprint("trace", d.runs))
	if *keepFolder != "" {
		log = filepath.Join(*keepFolder, fmt.Sprintf("trace-%s-%d-%d", strings.ReplaceAll(t.Name(), "/", "-"), d.seed, d.runs))
	}
	command := append(Strace(log, inject...), d.binary,
		"-data", filepath.Join(d.root, DataName), "-seed", fmt.Sprint(d.seed), "-marks", d.marks)
	command = append(command, flags...)
	process := exec.Command(command[0], command[1:]...)
	var marks, complaints bytes.Buffer
	process.Stdout, process.Stderr = &marks, &complaints
	err = process.Run()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		killed = !exit.Exited()
	}
	if err != nil && !killed {
		return false, fmt.Errorf("driver: %w\n%s", err, &complaints)
	}
	if err := d.keepMarks(marks.Bytes()); err != nil {
		return killed, err
	}
	return killed, d.AddFile(log, func(o Output) bool { return o.Descriptor == 1 })
}

// keepMarks adds the marks of a run for the next one.
func (d *driven) keepMarks(marks []byte) error {
	file, err := os.OpenFile(d.marks, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.Write(marks)
	return errors.Join(err, file.Close())
}

// count returns how many operations of a kind there are.
func (d *driven) count(k kind) (n int) {
	for _, o := range d.operations {
		if o.kind == k {
			n++
		}
	}
	return n
}

// replay cuts the power in all places of the recording.
func (d *driven) replay(t *testing.T) error {
	t.Helper()
	marks, err := ReadMarks(d.seed, d.Outputs)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	result, err := d.Replay(t.Context(), replayOptions(t, d.seed), marks.Verdict)
	t.Logf("seed %d: %d commits, %v, in %v", d.seed, marks.Commits(), result, time.Since(start).Round(time.Millisecond))
	return err
}

// replayWhole cuts the power in all places of a recording that is short.
func replayWhole(t *testing.T, r *Recording, verdict func(root string, line int) error) {
	t.Helper()
	if err := r.Complete(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	options := replayOptions(t, drawnSeed())
	options.Selections = max(options.Selections, 200) // there are few syncs, and a verdict is quick
	result, err := r.Replay(t.Context(), options, verdict)
	t.Logf("seed %d: %v, in %v", drawnSeed(), result, time.Since(start).Round(time.Millisecond))
	if err != nil {
		t.Error(err)
	}
}

func replayOptions(t *testing.T, seed uint64) Options {
	t.Helper()
	scratch := folder(t)
	if *keepFolder != "" {
		scratch = filepath.Join(*keepFolder, "cuts")
	}
	return Options{Seed: seed, Selections: *selected, Workers: runtime.GOMAXPROCS(0), Scratch: scratch}
}
