package crash

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/devicekeys"
	"openmediator/internal/history"
	"openmediator/internal/serverprocess"
)

var (
	seedFlag   = flag.Uint64("crash.seed", 0, "what devices do and when the server is killed; 0 draws one")
	killsFlag  = flag.Int("crash.kills", 8, "how often the server is killed during a commit; other kills come on top")
	groupsFlag = flag.Int("crash.groups", 6, "how many device groups there are")
)

// patience is how long a run may take besides its kills, far longer than it takes.
const patience = 3 * time.Minute

// TestB14_B15_B17_B18_B26_B27_B28_WhenTheServerIsKilled kills the server again and again, mostly during commits, and has the
// history of each group judged.
func TestB14_B15_B17_B18_B26_B27_B28_WhenTheServerIsKilled(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d (-crash.seed), %d kills (-crash.kills)", seed, *killsFlag)
	binary, err := serverprocess.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	limit := patience + time.Duration(*killsFlag)*time.Second
	ctx, cancel := context.WithTimeoutCause(context.Background(), limit, fmt.Errorf("run: is not over after %v", limit))
	defer cancel()

	began := time.Now()
	w := newWorld(t, binary, seed)
	groups := w.devices(*groupsFlag, seed)
	if err := w.run(ctx, groups, *killsFlag); err != nil {
		t.Fatal(err)
	}
	var sum tally
	for i, group := range groups {
		h := w.history.History(recorders(group))
		if err := history.Check(h); err != nil {
			t.Errorf("group %d of seed %d: %v", i, seed, err)
		}
		sum.add(h)
	}
	t.Logf("%v in %.1f s", &sum, time.Since(began).Seconds())
	if sum.acked == 0 || sum.again == 0 || sum.kept == 0 || sum.unknown == 0 {
		t.Error("the run was too quiet to show anything")
	}
	if len(sum.kills) < *killsFlag || sum.gone == 0 {
		t.Errorf("%d kills fell between a commit and its ack, want %d; %d commits are gone, want some",
			len(sum.kills), *killsFlag, sum.gone)
	}

	t.Run("a message of a transaction removed is missed", func(t *testing.T) {
		h := w.history.History(recorders(groups[0]))
		removeStaged(t, h)
		if err := history.Check(h); err == nil || !strings.HasPrefix(err.Error(), "B27: ") {
			t.Errorf("a history with one message of a transaction removed: %v", err)
		}
	})
	t.Run("a message removed is missed", func(t *testing.T) {
		h := removeMessage(t, w.history.History(recorders(groups[0])))
		if err := history.Check(h); err == nil || !strings.Contains(err.Error(), "never") {
			t.Errorf("a history with one message removed: %v", err)
		}
	})
}

// devices makes groups of two to four devices. Half of the groups are quiet: when they have fallen silent, nothing but
// the acks themselves makes the server write acks down.
func (w *world) devices(groups int, seed uint64) [][]*device {
	all := make([][]*device, groups)
	for i := range all {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		keys, err := devicekeys.FromGroupKey([32]byte{byte(i), byte(i >> 8)})
		if err != nil {
			w.t.Fatal(err)
		}
		for n := range 2 + i/2%3 {
			id := d2m.DeviceID(n + 1)
			all[i] = append(all[i], &device{
				world: w, group: keys, id: id, Recorder: w.history.Device(id),
				random: rand.New(rand.NewPCG(random.Uint64(), random.Uint64())), quiet: i%2 == 1,
			})
		}
	}
	return all
}

// run has the groups busy while the server is killed, and then takes all that is left for them. If that takes too long,
// the error has what the server's goroutines are at.
func (w *world) run(ctx context.Context, groups [][]*device, kills int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	busy := each(groups, cancel, func(d *device) error { return d.run(ctx) })
	last, err := w.rampage(ctx, kills)
	if last != nil {
		defer last.process.Kill()
	}
	if err != nil {
		cancel(err)
	}
	close(w.finish)
	busy.Wait()
	for _, do := range []func(*device) error{
		func(d *device) error { return d.comeBack(ctx, last) }, // all of them, so that nothing is held back any more
		func(d *device) error { return d.drain(ctx, last) },
	} {
		if ctx.Err() == nil {
			each(groups, cancel, do).Wait()
		}
	}
	if ctx.Err() == nil {
		return w.stop(ctx, last)
	}
	if last != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w\n%s", context.Cause(ctx), last.process.Dump())
	}
	return context.Cause(ctx)
}

// each does something with all devices at once. The first error ends everything.
func each(groups [][]*device, cancel context.CancelCauseFunc, do func(*device) error) *sync.WaitGroup {
	var running sync.WaitGroup
	for _, d := range slices.Concat(groups...) {
		running.Go(func() {
			if err := do(d); err != nil {
				cancel(err)
			}
		})
	}
	return &running
}

func recorders(group []*device) (all []*history.Recorder) {
	for _, d := range group {
		all = append(all, d.Recorder)
	}
	return all
}
