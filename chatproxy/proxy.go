package chatproxy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"openmediator/d2m"
)

// Limits of a session (B37, B38).
const (
	dialTimeout    = 10 * time.Second // until the chat server is reached
	unitTimeout    = 60 * time.Second // for a unit of the chat server that has begun to be complete
	stallTimeout   = 60 * time.Second // for the chat server to take something of what waits for it
	deliverTimeout = 60 * time.Second // for the device to take what the chat server sent before it closed
	leaveTimeout   = 5 * time.Second  // for the chat server to take what the device sent before it went

	// maxWaiting is how many bytes of messages wait for a device before the chat server is not read. It is the size of the
	// largest message.
	maxWaiting = d2m.MaxMessageSize

	// maxEarly is how many bytes wait for the connection to the chat server before the device is not read. A message that
	// is larger waits alone.
	maxEarly = 16 << 10

	// rateBurst is how many bytes go at full speed before Config.Rate holds, in each direction. It has to be above the
	// largest unit and the largest message.
	rateBurst = 256 << 10
)

// Config says how chat servers are reached.
type Config struct {
	Upstreams *Upstreams
	SOCKS     string     // HOST:PORT of a SOCKS5 proxy, which resolves the names; empty: none
	Local     netip.Addr // the address that connections come from; the zero value leaves it to the system

	// Rate is how many bytes per second a session carries in each direction, after the first 256 KiB; 0: no limit. Whoever
	// sends more waits, so that some who flood do not take the processor from all others (B38).
	Rate int

	// Dial replaces the network, for tests; nil otherwise.
	Dial func(ctx context.Context, address, isolation string) (net.Conn, error)
}

// Proxy opens sessions. Its methods may be called by several goroutines.
type Proxy struct {
	way      atomic.Pointer[way] // of the sessions that are opened next
	counters counters

	// fixed
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup // all goroutines of sessions
}

// way is a Config that can be used. It is never written to.
type way struct {
	upstreams *Upstreams
	dial      func(ctx context.Context, address, isolation string) (net.Conn, error)
	rate      rate.Limit
}

func newWay(c *Config) *way {
	w := &way{upstreams: c.Upstreams, dial: c.Dial, rate: rate.Inf}
	if c.Rate > 0 {
		w.rate = rate.Limit(c.Rate)
	}
	if w.upstreams == nil {
		w.upstreams = new(Upstreams)
	}
	if w.dial == nil {
		w.dial = newDialer(c).dial
	}
	return w
}

// New returns a Proxy.
func New(c Config) *Proxy {
	p := new(Proxy)
	p.Reconfigure(c)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// Reconfigure changes how the chat servers are reached by sessions that are opened from now on. Those that are open stay as
// they are: with their chat server, on their way there, and at their rate.
func (p *Proxy) Reconfigure(c Config) { p.way.Store(newWay(&c)) }

// Close cuts all sessions off and returns when nothing of them is left. Leave them first; no session is opened any more.
func (p *Proxy) Close() {
	p.cancel()
	p.tasks.Wait()
}

// Wait returns when all sessions have ended that were left, or when ctx ends.
func (p *Proxy) Wait(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		p.tasks.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// ErrNoUpstream tells that no chat server is configured for a server group.
var ErrNoUpstream = errors.New("no chat server for this server group")

// Device is the other side of a session. Its methods must not block, and must not call the session's but for Take.
type Device interface {
	Wake()    // Take has something new; it may be called here, and the chat server is not read meanwhile
	Overdue() // the device has not taken in time what the chat server sent before its end (B37)
}

// End is how a session ended, and how the device's connection is to be closed.
type End struct {
	Code   d2m.CloseCode // 4000, 4001 or 4009
	Reason string        // for the device: no more than it knows already
	Cause  error         // private: may hold addresses; nil if the chat server closed in order
}

// Open makes a session for a device of a server group. It does not connect before [Session.Start]. Sessions with the same
// isolation may be seen to belong together by a SOCKS proxy, and others not. The error is [ErrNoUpstream].
func (p *Proxy) Open(serverGroup, isolation string, device Device) (*Session, error) {
	way := p.way.Load()
	address, ok := way.upstreams.Address(serverGroup)
	if !ok {
		return nil, ErrNoUpstream
	}
	s := &Session{
		proxy:     p,
		dial:      way.dial,
		address:   address,
		isolation: isolation,
		device:    device,
		upRate:    rate.NewLimiter(way.rate, rateBurst),
		downRate:  rate.NewLimiter(way.rate, rateBurst),
	}
	s.ctx, s.leave = context.WithCancel(p.ctx)
	s.changed.L = &s.mu
	return s, nil
}
