package devicegroup_test

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup/model"
)

var (
	modelSeed  = flag.Uint64("model.seed", 1, "seed of the first random history; 0 takes the clock's")
	modelSteps = flag.Int("model.steps", normalSteps, "how many steps the random histories have together")
)

// enoughSteps is from how many steps on every case must have been reached.
const enoughSteps = 100_000

// TestModel plays random histories on the core and on the naive model (B7 to B34, B43). A history that fails
// is made as short as it gets, and shown.
func TestModel(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	var reached tally
	for steps := 0; steps < *modelSteps; seed++ {
		h := newHistory(seed)
		err := h.play(&reached)
		steps += len(h.ops)
		if err != nil {
			short := h.shrink()
			t.Fatalf("history of %d ops fails, of which %d are enough; again with -model.seed=%d -model.steps=1\n%v\n%v\n%s",
				len(h.ops), len(short), seed, err, h.plan, h.transcript(short))
		}
	}
	reached.check(t, *modelSteps >= enoughSteps)
}

// history is a random one.
type history struct {
	plan plan
	ops  []op
	w    *writer

	alter func([][]byte, *d2m.CloseCode) [][]byte // see playthrough
}

func newHistory(seed uint64) *history {
	w, pl := newWriter(seed)
	return &history{plan: pl, w: w}
}

// play makes the history up while it is played.
func (h *history) play(reached *tally) error {
	p := newPlaythrough(h.plan)
	p.alter = h.alter
	for range 50 + h.w.IntN(400) {
		o := h.w.op(p)
		h.ops = append(h.ops, o)
		if err := p.do(o); err != nil {
			return err
		}
	}
	err := p.run(nil)
	reached.add(p)
	return err
}

// tally counts in how many histories something was reached.
type tally struct {
	histories int
	cases     map[model.Case]int
	blocked   int
	doubts    int
}

func (t *tally) add(p *playthrough) {
	if t.cases == nil {
		t.cases = make(map[model.Case]int)
	}
	t.histories++
	for _, c := range model.Cases() {
		if p.model.Reached(c) > 0 {
			t.cases[c]++
		}
	}
	if p.blocked > 0 {
		t.blocked++
	}
	t.doubts += p.doubts
}

func (t *tally) check(test *testing.T, all bool) {
	test.Logf("%d histories, of which %d have an end that could not be judged", t.histories, t.doubts)
	names := ""
	for _, c := range model.Cases() {
		names += c.String()
		test.Logf("%5d %v", t.cases[c], c)
		if all && t.cases[c] == 0 {
			test.Errorf("no history came to: %v", c)
		}
	}
	for rule := 7; rule <= 34; rule++ {
		if !strings.Contains(names, fmt.Sprintf("B%d ", rule)) {
			test.Errorf("no case is one of B%d", rule)
		}
	}
	test.Logf("%5d B21 a connection is not read", t.blocked)
	if all && t.blocked == 0 {
		test.Error("no history came to: B21 a connection is not read")
	}
}

// again plays ops as part of this history, with a transcript if trace is not nil.
func (h *history) again(ops []op, trace *strings.Builder) error {
	p := newPlaythrough(h.plan)
	p.alter, p.trace = h.alter, trace
	return p.run(ops)
}

// transcript plays ops again and tells what happened.
func (h *history) transcript(ops []op) string {
	var b strings.Builder
	err := h.again(ops, &b)
	fmt.Fprintf(&b, "FAILS: %v\n", err)
	return b.String()
}
