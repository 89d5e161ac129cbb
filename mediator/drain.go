package mediator

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
)

const (
	// drainStep is between two devices that are told to go. One app comes back exactly 5 s later, without jitter (d2m.md, 25):
	// this is the pace at which it and its like do. With so many devices that DrainTime would not do, the steps are shorter.
	drainStep = 10 * time.Millisecond

	maxDrainTime = time.Minute // systemd kills after 90 s

	// hangTimeout is how long Shutdown waits for the store when its context has ended and all connections are cut off.
	hangTimeout = 5 * time.Second

	// pongWait is how long after a ping a leader was heard that is there.
	pongWait = 5 * time.Second

	// retryStopping is what a client is told to wait that comes while the server stops.
	retryStopping = 5 * time.Second
)

// ErrStoreHangs is what Shutdown returns if the store was still at work long after the context had ended. Closing the store
// would wait for it as well. What was acknowledged is on disk; what devices have acknowledged lately may come again (B17).
var ErrStoreHangs = errors.New("storage does not answer: the server was stopped without it")

var errStopping = errors.New("server is stopping")

// shutdown is how connections end when the server does (B41).
var shutdown = devicegroup.Close{Code: d2m.CloseGoingAway, Reason: "server is shutting down"}

// Drain begins the end of the server and returns at once: listeners are closed, so that Serve returns nil, and what comes
// through others is answered with 503. Open connections stay until Shutdown, which whoever has called Serve calls then.
//
// The listeners are closed rather than the newcomers refused because nobody else could serve them: they wait where systemd
// holds the socket, and a proxy in front can try again until the next server is there, which it would not after a 503.
func (s *Server) Drain() {
	s.reconfiguring.Lock() // all or nothing of a new configuration holds from here on
	defer s.reconfiguring.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return
	}
	s.stopping = true
	for _, server := range s.servers {
		server.Close()
	}
	if s.count == 0 {
		close(s.empty)
	}
}

// Draining says whether Drain or Shutdown has been called: then the server is not ready for anybody new.
func (s *Server) Draining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

// DrainTime returns Config.DrainTime as it is at present: how much of its time Shutdown may take to tell the devices.
func (s *Server) DrainTime() time.Duration { return s.config().DrainTime }

// Shutdown ends the server: no new connection, each open one closed with 1001, everything acknowledged in the store
// (B41). Devices are told one after the other within Config.DrainTime, or half of the time that ctx leaves, those last that
// lead. Connections that are still there when ctx ends are cut off, and the error is that of ctx; if the store does not
// answer either, 5 s later, it is ErrStoreHangs. Only the first call does anything.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Drain()
	if s.ending.Swap(true) {
		return nil
	}
	ended := make(chan error, 1)
	go func() { ended <- s.end(ctx) }() // is left behind if the store hangs: nothing can end a call of the disk's
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(hangTimeout)
	defer timer.Stop()
	select {
	case err := <-ended:
		return err
	case <-timer.C:
		return ErrStoreHangs
	}
}

// end ends all that there is.
func (s *Server) end(ctx context.Context) error {
	s.dismiss(ctx)
	err := s.awaitConnections(ctx)
	close(s.stop)
	s.chat.Wait(ctx)
	s.chat.Close()
	s.pinger.close()
	s.groups.close()
	s.tasks.Wait()
	return err
}

// dismiss tells all devices to go, one after the other.
func (s *Server) dismiss(ctx context.Context) {
	began := time.Now()
	within := s.config().DrainTime
	if deadline, ok := ctx.Deadline(); ok {
		within = min(within, deadline.Sub(began)/2)
	}
	leaving := s.leaving(began)
	step := stepFor(len(leaving), within)
	for i, l := range leaving {
		if wait := time.Until(began.Add(time.Duration(i) * step)); wait > 0 {
			select {
			case <-time.After(wait):
			case <-s.empty:
				return
			case <-ctx.Done():
				step = 0
			}
		}
		l.conn.end(shutdown)
	}
}

// leaver is a connection that is about to be told to go.
type leaver struct {
	conn  *conn
	name  string    // of the connection
	heard time.Time // when anything came from it last
	leads bool
}

// leaving returns all connections in the order in which they are told to go.
func (s *Server) leaving(now time.Time) (all []leaver) {
	s.mu.Lock()
	for c := range s.connections {
		all = append(all, leaver{conn: c, name: c.name, heard: now})
	}
	s.mu.Unlock()
	fresh := s.config().PingInterval + pongWait
	for i := range all {
		l := &all[i]
		if l.conn.link != nil {
			l.heard = l.conn.link.lastHeard()
		}
		l.leads = l.conn.leads() && now.Sub(l.heard) < fresh
	}
	orderLeaving(all)
	return all
}

// orderLeaving puts leaders last: when they go nobody is left whom another one would have to lead (B12), which would connect
// to the chat server for it. Among equals whoever was silent for longest goes first: it is the likeliest to be gone, and not
// to answer the Close, for which it is waited 5 s (B45).
func orderLeaving(all []leaver) {
	rank := func(l leaver) int {
		if l.leads {
			return 1
		}
		return 0
	}
	slices.SortFunc(all, func(a, b leaver) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), a.heard.Compare(b.heard), cmp.Compare(a.name, b.name))
	})
}

// stepFor returns the time between two of n devices that are to be told within a time.
func stepFor(n int, within time.Duration) time.Duration {
	return max(0, min(drainStep, within/time.Duration(max(n, 1))))
}

// leads says whether the device leads its group.
func (c *conn) leads() bool {
	if !c.isRegistered() {
		return false
	}
	c.group.mu.Lock()
	defer c.group.mu.Unlock()
	return c.core.Leader() == c.member
}

func (s *Server) awaitConnections(ctx context.Context) error {
	select {
	case <-s.empty:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.connections {
		c.out.cut()
	}
	s.mu.Unlock()
	<-s.empty
	return ctx.Err()
}
