package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"openmediator/internal/history"
	"openmediator/internal/serverprocess"
)

// world is the server with its many lives.
type world struct {
	// fixed
	t            *testing.T
	binary, data string
	history      *history.Run
	finish       chan struct{} // closed when no more messages are to be sent

	// killer's
	random *rand.Rand
	listen string

	mu      sync.Mutex
	current *life         // nil while there is none to connect to
	changed chan struct{} // closed and replaced when current changes
}

func newWorld(t *testing.T, binary string, seed uint64) *world {
	return &world{
		t: t, binary: binary, data: t.TempDir(), listen: serverprocess.AnyPort,
		history: history.NewRun(),
		finish:  make(chan struct{}),
		random:  rand.New(rand.NewPCG(seed, 0)),
		changed: make(chan struct{}),
	}
}

// life is one life of the server.
type life struct {
	number  int
	process *serverprocess.Process
	address string        // ws:// URL
	over    chan struct{} // closed before it is ended

	acks    countdown
	given   countdown
	commits countdown

	mu         sync.Mutex
	committing int  // commits that were sent and are not acked
	during     bool // the server was killed while there were some
}

// changeCommitting records an event with which commits begin or are over. No kill falls between it and the count.
func (l *life) changeCommitting(by int, d *device, e history.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.committing += by
	d.Record(e)
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

// countdown ends with the n-th of some events.
type countdown struct {
	left  atomic.Int64
	ended chan struct{}
}

func (c *countdown) start(n int) {
	c.left.Store(int64(n))
	c.ended = make(chan struct{})
}

func (c *countdown) count() {
	if c.left.Add(-1) == 0 {
		close(c.ended)
	}
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
	process, err := serverprocess.Start(w.listen, w.data, w.binary)
	if err != nil {
		return nil, err
	}
	l := &life{number: w.history.ServerStarted(), process: process, over: make(chan struct{})}
	l.acks.start(-1)
	l.given.start(-1)
	l.commits.start(-1)
	return l, nil
}

// open lets devices at a server as soon as it listens.
func (w *world) open(ctx context.Context, l *life) error {
	address, err := l.process.AwaitReady(ctx)
	if err != nil {
		return err
	}
	l.address = address
	w.listen = address[len("ws://"):]
	w.publish(l)
	return nil
}

// kill ends a server by SIGKILL.
func (w *world) kill(l *life) {
	close(l.over)
	w.publish(nil)
	l.mu.Lock()
	l.during = l.committing > 0
	w.history.ServerKilled(l.number)
	l.mu.Unlock()
	l.process.Kill()
}

// stopLimit is how long a server may take to stop: the time that it gives its devices, and some more.
const stopLimit = 15 * time.Second

// stop ends a server by SIGTERM (B41).
func (w *world) stop(ctx context.Context, l *life) error {
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	close(l.over)
	w.publish(nil)
	return l.process.Stop(ctx)
}

// lateForCommit is how long after a CommitTransaction the server is killed for it, at most: some of these commits are
// durable then, and some are not.
const lateForCommit = 2 * time.Millisecond

var errDied = errors.New("server: has ended by itself")

// rampage has the server live and end under load until it has been killed during commits some times, and then starts it
// once more. After an error it returns the life in which that happened, if there was one.
func (w *world) rampage(ctx context.Context, kills int) (*life, error) {
	for n, during := 0, 0; during < kills; {
		l, err := w.start()
		if err != nil {
			return nil, err
		}
		killed, err := w.spend(ctx, l, n == 4)
		if err != nil {
			return l, fmt.Errorf("server %d: %w", l.number, err)
		}
		if killed {
			n++
		}
		if killed && l.during {
			during++
		}
	}
	l, err := w.start()
	if err != nil {
		return nil, err
	}
	return l, w.open(ctx, l)
}

// spend has a server live and end. Most are killed under load; some end while they start, and some in good order.
func (w *world) spend(ctx context.Context, l *life, long bool) (killed bool, err error) {
	if w.random.IntN(4) == 0 {
		w.pause(ctx, w.upTo(40*time.Millisecond))
		w.kill(l)
		return false, nil
	}
	if err := w.live(ctx, l, long); err != nil {
		return false, err
	}
	if w.random.IntN(8) == 0 {
		return false, w.stop(ctx, l)
	}
	w.kill(l)
	return true, nil
}

// live lets the devices at a server until the moment to end it has come: a time, the n-th ReflectAck, the n-th Reflected,
// or, in most lives, some time after the n-th CommitTransaction. A long life is longer than acks take to be kept, so that
// some are not to be lost.
func (w *world) live(ctx context.Context, l *life, long bool) error {
	end := w.upTo(300 * time.Millisecond)
	late := time.Duration(0)
	switch w.random.IntN(8) {
	case 0:
		l.acks.start(1 + w.random.IntN(300))
		end = 500 * time.Millisecond
	case 1:
		l.given.start(1 + w.random.IntN(600))
		end = 500 * time.Millisecond
	case 2:
	default:
		l.commits.start(1 + w.random.IntN(20))
		late = w.upTo(lateForCommit)
		end = time.Second
	}
	if long {
		l.acks.start(-1)
		l.given.start(-1)
		l.commits.start(-1)
		end = history.AckGrace + 500*time.Millisecond + w.upTo(500*time.Millisecond)
	}
	if err := w.open(ctx, l); err != nil {
		return err
	}
	timer := time.NewTimer(end)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.acks.ended:
	case <-l.given.ended:
	case <-l.commits.ended:
		w.pause(ctx, late)
	case <-l.process.Done():
		return fmt.Errorf("%w\n%s", errDied, l.process.Log())
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

func (w *world) upTo(limit time.Duration) time.Duration {
	return time.Duration(w.random.Int64N(int64(limit)))
}

func (w *world) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
