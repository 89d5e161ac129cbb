// Command driver carries out a plan of package powercut on a store and says what becomes of each commit. It is made to be
// recorded under strace, to be killed, and to have its system calls fail.
//
//	driver -data DIR -seed 1 -commits 300 [-compact 40] [-marks FILE]
//
// Every mark is one write to standard output. FILE has the marks of earlier runs on the directory. After -compact commits
// each, a compaction begins that runs beside the next ones.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"openmediator/d2m"
	"openmediator/internal/powercut"
	"openmediator/reflect"
	"openmediator/reflect/boltstore"
)

func init() { runtime.LockOSThread() } // all commits are of one thread: strace counts the calls of each by itself

func main() {
	d := driver{}
	data := flag.String("data", "", "data directory")
	seed := flag.Uint64("seed", 1, "of the plan")
	marks := flag.String("marks", "", "file with the marks of earlier runs")
	flag.IntVar(&d.commits, "commits", 100, "commits of this run that have to succeed")
	flag.IntVar(&d.compact, "compact", 0, "commits from one compaction to the next; 0: there is none")
	flag.BoolVar(&d.wait, "wait", false, "have commits wait for compactions, which are then of the same thread")
	flag.BoolVar(&d.abandon, "abandon", false, "end by SIGKILL when a commit has failed")
	flag.BoolVar(&d.early, "early", false, "acknowledge a commit before it is done: a fault that has to be found")
	flag.Parse()
	d.plan = powercut.NewPlan(*seed)
	if err := errors.Join(d.catchUp(*marks), d.run(*data)); err != nil {
		fmt.Fprintln(os.Stderr, "driver:", err)
		os.Exit(1)
	}
}

type driver struct {
	commits, compact int
	wait             bool
	early, abandon   bool

	plan        *powercut.Plan
	store       *boltstore.Store
	epochs      map[d2m.GroupID]reflect.Epoch
	compactions sync.WaitGroup
}

// catchUp follows the marks of earlier runs.
func (d *driver) catchUp(file string) error {
	if file == "" {
		return nil
	}
	marks, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for mark := range strings.Lines(string(marks)) {
		if err := d.plan.Follow(mark); err != nil {
			return err
		}
	}
	return nil
}

// mark says something of a commit, and takes it to heart.
func (d *driver) mark(word string, number int) error {
	mark := fmt.Sprintln(word, number)
	if _, err := os.Stdout.WriteString(mark); err != nil {
		return err
	}
	return d.plan.Follow(mark)
}

func (d *driver) run(data string) (err error) {
	if d.store, err = boltstore.Open(data, boltstore.Options{}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.store.Close()) }()
	defer d.compactions.Wait()
	if err := d.mark("opened", 0); err != nil {
		return err
	}
	if err := d.claim(); err != nil {
		return err
	}
	for done := 0; done < d.commits; {
		if d.compact > 0 && done%d.compact == d.compact/2 {
			d.beginCompaction()
		}
		ok, err := d.commit()
		if err != nil {
			return err
		}
		if ok {
			done++
		}
	}
	return nil
}

func (d *driver) beginCompaction() {
	if d.wait {
		d.compactOnce()
	} else {
		d.compactions.Go(d.compactOnce)
	}
}

// compactOnce may fail when a sync does: the store has to bear it.
func (d *driver) compactOnce() {
	if _, err := d.store.Compact(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "compaction:", err)
	}
}

// claim claims all groups and says what is there. The store may need a moment to recover.
func (d *driver) claim() error {
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		number, epochs, err := d.plan.Check(d.store, d.plan.Bounds())
		if err == nil {
			d.epochs = epochs
			return d.mark("seen", number)
		}
		if !errors.Is(err, reflect.ErrUnavailable) || time.Now().After(end) {
			return err
		}
	}
}

// commit carries out the next commit. It reports false if the store has failed and was claimed again.
func (d *driver) commit() (bool, error) {
	number := d.plan.Next()
	if err := d.mark("begin", number); err != nil {
		return false, err
	}
	batches := d.plan.Batches()
	if d.early {
		if err := d.mark("acked", number); err != nil {
			return false, err
		}
	}
	for _, b := range batches {
		b.Epoch = d.epochs[b.Group]
	}
	if err := errors.Join(d.store.Commit(batches)...); err != nil {
		if err := d.mark("failed", number); err != nil {
			return false, err
		}
		if d.abandon {
			return false, syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return false, d.claim()
	}
	if d.early {
		return true, nil
	}
	return true, d.mark("acked", number)
}
