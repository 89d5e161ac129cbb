package powercut

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Options say how much of a recording is replayed.
type Options struct {
	Seed       uint64
	Selections int    // before the end of each sync, at most
	Workers    int    // at least 1
	Scratch    string // directory for what cuts leave
}

// Result says what was replayed.
type Result struct {
	Operations int // of the recording
	Windows    int // times before the end of a sync
	Prefixes   int // cuts with everything there
	Selected   int // cuts with something missing
	Deepest    int // changes that were not durable, at most
}

func (r Result) String() string {
	return fmt.Sprintf("%d operations, %d prefixes, %d selections before %d syncs with up to %d changes in doubt",
		r.Operations, r.Prefixes, r.Selected, r.Windows, r.Deepest)
}

// Verdict judges what a cut has left in a directory, which it may change. line is the line of the trace on which the
// last operation began that was begun.
type Verdict func(root string, line int) error

// Complete checks that a recording that has ended in peace leaves what is in its directory.
func (r *Recording) Complete() error {
	d := newDisk()
	for i := range r.operations {
		if o := &r.operations[i]; o.end == never {
			return fmt.Errorf("recording: line %d is a %v that has not ended", o.begin, o.kind)
		}
		d.begin(i, &r.operations[i])
	}
	return d.image(everything(len(d.pending))).compare(r.root)
}

func everything(n int) []bool { return slices.Repeat([]bool{true}, n) }

// Replay cuts the power in every place and in many ways, and ends with the first cut that verdict finds wrong, or with
// ctx.
func (r *Recording) Replay(ctx context.Context, options Options, verdict Verdict) (Result, error) {
	p := &player{recording: r, options: options, verdict: verdict, cuts: make(chan *cut)}
	ctx, p.stop = context.WithCancel(ctx)
	defer p.stop()
	var workers sync.WaitGroup
	for i := range options.Workers {
		workers.Go(func() { p.work(filepath.Join(options.Scratch, fmt.Sprint("cut", i))) })
	}
	p.play(ctx)
	close(p.cuts)
	workers.Wait()
	p.result.Operations = len(r.operations)
	if p.failed == nil && ctx.Err() != nil {
		return p.result, context.Cause(ctx)
	}
	return p.result, p.explain()
}

// player replays a recording.
type player struct {
	recording *Recording
	options   Options
	verdict   Verdict
	cuts      chan *cut
	stop      context.CancelFunc
	result    Result

	mu     sync.Mutex
	failed *cut // the first one by its place
}

// cut is one cut and what it has left.
type cut struct {
	line    int
	number  int      // of the selection; -1 for a prefix
	pending []change // what was in doubt; shared, and not changed any more
	kept    []bool
	image   image
	err     error
}

// moment is when an operation begins or a sync ends.
type moment struct {
	line  int
	ends  bool
	index int
}

func (r *Recording) moments() []moment {
	var all []moment
	for i := range r.operations {
		o := &r.operations[i]
		sync := o.kind == syncFile || o.kind == syncDirectory
		if !sync {
			all = append(all, moment{o.begin, false, i})
		} else if o.end != never {
			all = append(all, moment{o.end, true, i})
		}
	}
	slices.SortStableFunc(all, func(a, b moment) int { return cmp.Compare(a.line, b.line) })
	return all
}

func (p *player) play(ctx context.Context) {
	d := newDisk()
	for _, m := range p.recording.moments() {
		o := &p.recording.operations[m.index]
		if !m.ends {
			d.begin(m.index, o)
			p.result.Prefixes++
			if !p.try(ctx, d, m.line, -1, everything(len(d.pending))) {
				return
			}
			continue
		}
		if !p.window(ctx, d, m.line) {
			return
		}
		d.synced(o)
	}
	p.window(ctx, d, p.recording.lines)
}

// window tries what may be there before a sync is over. What may be there earlier, since the sync before, is among it.
func (p *player) window(ctx context.Context, d *disk, line int) bool {
	n := len(d.pending)
	p.result.Windows++
	p.result.Deepest = max(p.result.Deepest, n)
	count, all := selections(n, p.options.Selections)
	for number := range count {
		var kept []bool
		switch {
		case all:
			kept = selectAll(n, number)
			if !slices.Equal(kept, closed(d.pending, slices.Clone(kept))) {
				continue // it cannot be
			}
		case number == 0:
			kept = make([]bool, n)
		default:
			random := rand.New(rand.NewPCG(p.options.Seed, uint64(line)<<32|uint64(number)))
			kept = closed(d.pending, selectSome(random, d.pending))
		}
		p.result.Selected++
		if !p.try(ctx, d, line, number, kept) {
			return false
		}
	}
	return true
}

// try hands a cut to a worker. It reports false when the replay is to end.
func (p *player) try(ctx context.Context, d *disk, line, number int, kept []bool) bool {
	c := &cut{line: line, number: number, kept: kept, pending: d.pending, image: d.image(kept)}
	if ctx.Err() != nil {
		return false
	}
	select {
	case p.cuts <- c:
		return true
	case <-ctx.Done():
		return false
	}
}

// work judges cuts until one is wrong, and leaves that one as the verdict has left it.
func (p *player) work(scratch string) {
	for c := range p.cuts {
		if c.err = c.judge(scratch, p.verdict); c.err == nil {
			continue
		}
		p.mu.Lock()
		if p.failed == nil || c.line < p.failed.line {
			p.failed = c
		}
		p.mu.Unlock()
		p.stop()
		return
	}
}

func (c *cut) judge(scratch string, verdict Verdict) error {
	if err := os.RemoveAll(scratch); err != nil {
		return err
	}
	if err := os.MkdirAll(scratch, 0o700); err != nil {
		return err
	}
	if err := c.image.store(scratch); err != nil {
		return err
	}
	return verdict(scratch, c.line)
}

// explain describes the cut that was found wrong.
func (p *player) explain() error {
	c := p.failed
	if c == nil {
		return nil
	}
	what := fmt.Sprintf("selection %d of seed %d", c.number, p.options.Seed)
	if c.number < 0 {
		what = "with everything there"
	}
	return fmt.Errorf("power cut at line %d, %s: %w\n%s", c.line, what, c.err, c.describe())
}

// describe lists what was in doubt, by operation.
func (c *cut) describe() string {
	var b strings.Builder
	for i := 0; i < len(c.pending); {
		first, there, of := &c.pending[i], 0, 0
		for ; i < len(c.pending) && c.pending[i].index == first.index; i++ {
			of++
			if c.kept[i] {
				there++
			}
		}
		state := fmt.Sprintf("%d of %d parts there", there, of)
		switch there {
		case 0:
			state = "not there"
		case of:
			state = "there"
		}
		fmt.Fprintf(&b, "\tline %d: %v", first.begin, first.kind)
		if first.changesNames() {
			fmt.Fprintf(&b, " %s %s", first.name, first.to)
		} else {
			fmt.Fprintf(&b, " file %d at %d", first.file, first.offset)
		}
		fmt.Fprintf(&b, ": %s\n", state)
	}
	return b.String()
}
