package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"openmediator/internal/history"
	"openmediator/internal/serverprocess"
)

// world is the server with its many lives.
type world struct {
	// fixed
	command []string // that runs the server
	data    string
	history *history.Run
	faults  faults
	calm    time.Duration
	tally   *tally

	// rampage's
	random *rand.Rand
	listen string

	mu      sync.Mutex
	current *life         // nil while there is none to connect to
	changed chan struct{} // closed and replaced when current changes
}

func newWorld(s settings, binary, data, parrot string, t *tally) *world {
	return &world{
		command: append(append([]string{"env"}, serverSettings(parrot)...), binary),
		data:    data, listen: serverprocess.AnyPort, faults: s.faults, calm: s.calm, tally: t,
		history: history.NewRun(),
		random:  rand.New(rand.NewPCG(s.seed, 0)),
		changed: make(chan struct{}),
	}
}

// life is one life of the server.
type life struct {
	number  int
	process *serverprocess.Process
	address string        // ws:// URL
	over    chan struct{} // closed before it is ended

	mu        sync.Mutex
	disturbed time.Time // when it was last started or stopped; in the future while it is stopped
}

// isOver tells whether the server may have ended. If not, what was read from it before is from this life.
func (l *life) isOver() bool {
	select {
	case <-l.over:
		return true
	default:
		return false
	}
}

func (l *life) disturb(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.disturbed = at
}

// isCalm tells whether the server has run undisturbed since a moment, and for some time before.
func (l *life) isCalm(since time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.isOver() && since.Sub(l.disturbed) > 2*time.Second
}

// await returns the server that devices connect to, or nil when the context ends.
func (w *world) await(ctx context.Context) *life {
	for {
		w.mu.Lock()
		current, changed := w.current, w.changed
		w.mu.Unlock()
		if current != nil {
			return current
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

func (w *world) publish(l *life) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.current = l
	close(w.changed)
	w.changed = make(chan struct{})
}

// start starts a server and does not wait until it listens.
func (w *world) start() (*life, error) {
	number := w.history.ServerStarted()
	process, err := serverprocess.Start(w.listen, w.data, w.command...)
	if err != nil {
		return nil, err
	}
	return &life{number: number, process: process, over: make(chan struct{})}, nil
}

// startLimit is how long a server may take until it listens.
const startLimit = 30 * time.Second

// open lets devices at a server as soon as it listens.
func (w *world) open(ctx context.Context, l *life) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	address, err := l.process.AwaitReady(ctx)
	if err != nil {
		return err
	}
	l.address = address
	w.listen = address[len("ws://"):]
	l.disturb(time.Now())
	w.publish(l)
	return nil
}

// kill ends a server by SIGKILL.
func (w *world) kill(l *life) {
	close(l.over)
	w.publish(nil)
	w.history.ServerKilled(l.number)
	l.process.Kill()
	w.tally.kills.Add(1)
}

// stopLimit is how long a server may take to stop: the time that it gives its devices, and some more.
const stopLimit = 20 * time.Second

// terminate ends a server by SIGTERM (B41).
func (w *world) terminate(l *life) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	close(l.over)
	w.publish(nil)
	w.tally.terms.Add(1)
	if err := l.process.Stop(ctx); err != nil {
		return fmt.Errorf("B41: %w", err)
	}
	return nil
}

// freeze stops a server by SIGSTOP for a time.
func (w *world) freeze(ctx context.Context, l *life, d time.Duration) error {
	w.tally.stops.Add(1)
	began := time.Now()
	l.disturb(began.Add(d + time.Hour))
	if err := l.process.Pause(); err != nil {
		return err
	}
	pause(ctx, d)
	w.history.ServerStalled(l.number, time.Since(began)+time.Second)
	err := l.process.Resume()
	l.disturb(time.Now())
	return err
}

var errDied = errors.New("server: has ended by itself")

// rampage has the server live and end until ctx ends, and returns the last life, which goes on.
func (w *world) rampage(ctx context.Context) (*life, error) {
	for {
		l, err := w.start()
		if err != nil {
			return nil, err
		}
		if w.faults["kill"] && w.random.IntN(6) == 0 && ctx.Err() == nil {
			pause(ctx, upTo(w.random, 60*time.Millisecond))
			w.kill(l)
			continue
		}
		if err := w.open(context.WithoutCancel(ctx), l); err != nil {
			return l, err
		}
		if ended, err := w.live(ctx, l); !ended || err != nil {
			return l, err
		}
	}
}

// live has a server live for some seconds and end, unless ctx ends before.
func (w *world) live(ctx context.Context, l *life) (ended bool, err error) {
	for n := w.random.IntN(3); ; n-- {
		timer := time.NewTimer(w.calm/10 + upTo(w.random, 2*w.calm))
		select {
		case <-timer.C:
		case <-l.process.Done():
			return false, fmt.Errorf("%w\n%s", errDied, l.process.Log())
		case <-ctx.Done():
			timer.Stop()
			return false, nil
		}
		if w.faults["stop"] && w.random.IntN(3) == 0 {
			if err := w.freeze(ctx, l, upTo(w.random, 4*time.Second)); err != nil {
				return false, err
			}
		}
		if n > 0 {
			continue
		}
		if ended, err := w.end(l); ended {
			return true, err
		}
	}
}

// end ends a server, if any fault does that.
func (w *world) end(l *life) (ended bool, err error) {
	terminate := w.faults["term"] && (!w.faults["kill"] || w.random.IntN(8) == 0)
	switch {
	case terminate:
		return true, w.terminate(l)
	case w.faults["kill"]:
		w.kill(l)
		return true, nil
	}
	return false, nil
}

// upTo draws a time.
func upTo(random *rand.Rand, limit time.Duration) time.Duration {
	return time.Duration(random.Int64N(int64(limit)))
}

// pause waits. Its end may come early.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
