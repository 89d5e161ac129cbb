package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"openmediator/d2m"
	"openmediator/internal/serverprocess"
)

// run is what all groups of a run have in common.
type run struct {
	// fixed
	settings
	world    *world
	relay    *relay
	parrot   *parrot
	tally    *tally
	report   *report
	begun    int             // groups so far; keepGroups's
	loadOver context.Context // ends when groups are to finish
	hopeless context.Context // ends when the run is given up
	giveUp   context.CancelFunc
	judging  chan struct{}  // holds an element while a history is judged
	running  sync.WaitGroup // goroutines of connections

	mu     sync.Mutex
	stayed map[d2m.GroupID]bool // groups whose slots stay
	broken bool                 // a message has been taken out of a history
}

// torture does a whole run and returns how many findings there were.
func torture(ctx context.Context, s settings, out io.Writer) (findings int, err error) {
	report := newReport(s, out)
	report.begin()
	scratch, err := os.MkdirTemp("", "torture-")
	if err != nil {
		return 0, err
	}
	keep := false
	defer func() {
		if !keep {
			os.RemoveAll(scratch)
		}
	}()
	data := s.data
	if data == "" {
		data = filepath.Join(scratch, "data")
	}
	binary := s.binary
	if binary == "" {
		if binary, err = serverprocess.Build(scratch); err != nil {
			return 0, err
		}
	}
	r, err := newRun(ctx, s, binary, data, report)
	if err != nil {
		return 0, err
	}
	r.do(ctx)
	findings = int(r.tally.findings.Load())
	keep = findings > 0 && s.data == ""
	report.end(r.tally, data)
	return findings, nil
}

func newRun(ctx context.Context, s settings, binary, data string, report *report) (*run, error) {
	relay, err := newRelay()
	if err != nil {
		return nil, err
	}
	parrot, err := newParrot()
	if err != nil {
		relay.close()
		return nil, err
	}
	t := &tally{started: time.Now(), attackers: s.attackers > 0, ends: make(map[string]int)}
	r := &run{
		settings: s, world: newWorld(s, binary, data, parrot.address(), t), relay: relay, parrot: parrot, tally: t, report: report,
		judging: make(chan struct{}, 1), stayed: make(map[d2m.GroupID]bool),
	}
	r.hopeless, r.giveUp = context.WithCancel(context.WithoutCancel(ctx))
	return r, nil
}

// do puts load on the server for the time of the run, or until ctx ends, and then brings all to an end.
func (r *run) do(ctx context.Context) {
	defer r.close()
	defer r.report.follow(r.tally)()
	var last *life
	var err error
	if r.settings.soak {
		last, err = r.soak(ctx)
	} else {
		last, err = r.load(ctx, r.duration, r.world.rampage)
	}
	if err != nil {
		r.fail(err)
	}
	switch {
	case last == nil:
	case err != nil:
		last.process.Kill()
	default:
		r.finish(last)
	}
}

// load has groups put load on the server for a time, or until ctx ends, and waits until all of them are done. serve has the
// server live meanwhile; it returns the last life.
func (r *run) load(ctx context.Context, d time.Duration, serve func(context.Context) (*life, error)) (*life, error) {
	loadOver, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	defer context.AfterFunc(r.hopeless, cancel)()
	r.loadOver = loadOver

	var groups sync.WaitGroup
	groups.Go(func() { r.keepGroups() })
	if r.attackers > 0 {
		groups.Go(func() { r.attack(loadOver) })
	}
	last, err := serve(loadOver)
	if err != nil {
		r.fail(err) // devices would wait for a server for ever
	}
	groups.Wait()
	return last, err
}

// close gives up whatever is left of the run.
func (r *run) close() {
	r.giveUp()
	r.running.Wait()
	r.relay.close()
	r.parrot.close()
}

// keepGroups has as many groups as there are to be at a time until the load is over and all are done.
func (r *run) keepGroups() {
	var groups sync.WaitGroup
	defer groups.Wait()
	places := make(chan struct{}, r.groups)
	for ; ; r.begun++ {
		select {
		case places <- struct{}{}:
		case <-r.loadOver.Done():
			return
		}
		if r.loadOver.Err() != nil {
			return
		}
		g, err := r.newGroup(r.begun)
		if err != nil {
			r.find(finding{Text: err.Error()})
			return
		}
		groups.Go(func() {
			defer func() { <-places }()
			g.live(r.hopeless)
		})
	}
}

// finish stops the server and looks into its file.
func (r *run) finish(last *life) {
	if err := r.world.terminate(last); err != nil {
		r.find(finding{Text: err.Error()})
		return
	}
	if r.tally.findings.Load() > 0 {
		return // groups that were given up have left something
	}
	r.report.note("file: %s, with %d groups that stay", fileSize(r.world.data), len(r.stayed))
	if err := r.checkFile(); err != nil {
		r.find(finding{Text: err.Error()})
	}
}

// stay notes that the slots of a group stay.
func (r *run) stay(group d2m.GroupID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stayed[group] = true
}

// find reports a finding. The first ends the run, unless it is to go on.
func (r *run) find(f finding) {
	if r.hopeless.Err() != nil {
		return // whatever is found then may come from giving up
	}
	r.tally.findings.Add(1)
	r.report.finding(f)
	if !r.keepGoing {
		r.giveUp()
	}
}

// fail reports what the run cannot go on after, and gives it up. Only the first failure is told.
func (r *run) fail(err error) {
	r.find(finding{Text: err.Error()})
	r.giveUp()
}

// findProblem reports what is wrong about a connection of a device, with the latest that the device has seen.
func (g *group) findProblem(d *device, text string) {
	g.find(finding{
		Group: g.number, Text: fmt.Sprintf("device %d: %s", d.id, text), kind: g.kind,
		History: excerpt(g.history(), d.id),
	})
}
