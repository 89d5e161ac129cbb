package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"openmediator/csp"
	"openmediator/d2m"
)

// Sizes of chat frames in bytes.
const (
	roundTripSize  = 200
	throughputSize = 8 << 10
)

// Proxy is a load: devices talk to a chat server through the server. First one frame goes to and fro, then many go up,
// then many come down, each for Duration.
type Proxy struct {
	Connections int           `json:"connections"` // at once, each of a group of its own; at least 1
	WarmUp      time.Duration `json:"-"`           // what is not measured yet, each time
	Duration    time.Duration `json:"-"`           // what is measured, each time
	// Chat is where the server reaches its chat server. It is closed in the end.
	Chat net.Listener `json:"-"`
}

// ProxyResult is what Proxy has measured. Package load's comment tells about the fields.
type ProxyResult struct {
	Setup
	Proxy
	RoundTripSize       int      `json:"round_trip_size"`
	FrameSize           int      `json:"frame_size"`
	RoundTrips          uint64   `json:"round_trips"`
	RoundTripsPerSecond float64  `json:"round_trips_per_s"`
	Latency             Latency  `json:"round_trip_latency"`
	Up                  float64  `json:"up_bytes_per_s"`
	Down                float64  `json:"down_bytes_per_s"`
	UpCPU               *float64 `json:"up_server_cpu_s_per_gib,omitempty"`
	DownCPU             *float64 `json:"down_server_cpu_s_per_gib,omitempty"`
	ServerCPUPer        *float64 `json:"server_cpu_s_per_100000,omitempty"`
}

// proxying is one part of a Proxy that runs.
type proxying struct {
	Proxy
	*fleet
	interval
	upstream *upstream
	devices  []*device
	random   []byte
	counted  atomic.Int64 // round trips, or bytes, within the interval

	mu      sync.Mutex
	latency Histogram
}

// Proxy measures the way to a chat server.
func (s *Server) Proxy(ctx context.Context, load Proxy) (*ProxyResult, error) {
	if err := checkFiles(2 * load.Connections); err != nil {
		return nil, err
	}
	random := make([]byte, throughputSize)
	s.fillRandom(random)
	u := serveUpstream(load.Chat, repeated(chatFrame(random, throughputSize)))
	defer u.close()
	result := &ProxyResult{Proxy: load, RoundTripSize: roundTripSize, FrameSize: throughputSize}
	for _, part := range []struct {
		what byte
		play func(*proxying, *conn) error
		note func(*proxying)
	}{
		{askEcho, (*proxying).roundTrips, result.noteRoundTrips},
		{askSink, (*proxying).up, result.noteUp},
		{askSource, (*proxying).down, result.noteDown},
	} {
		devices, err := newDevices(load.Connections, 1)
		if err != nil {
			return nil, err
		}
		p := &proxying{Proxy: load, fleet: s.newFleet(ctx), interval: newInterval(load.WarmUp, load.Duration),
			upstream: u, devices: devices, random: random}
		err = p.run(part.what, part.play)
		if err := errors.Join(err, p.end(devices)); err != nil {
			return nil, err
		}
		part.note(p)
	}
	return result, nil
}

// run connects and plays one part on each connection.
func (p *proxying) run(ask byte, play func(*proxying, *conn) error) error {
	p.server.progress("connecting")
	conns, err := p.connectAll(p.devices, 32<<10)
	if err == nil {
		err = p.takeOver()
	}
	if err != nil {
		return err
	}
	before := p.upstream.sunk.Load()
	var sent atomic.Int64
	tasks := []func() error{p.look(ask, before)}
	for _, c := range conns {
		if err := p.handshake(c, ask); err != nil {
			p.fail(chatProblem(err)) // no effect if the load was ended, which the error comes of then
			return p.err()
		}
		tasks = append(tasks, func() error {
			err := play(p, c)
			sent.Add(c.sent)
			return err
		})
	}
	p.start = time.Now()
	if err := p.fleet.run(tasks...); err != nil {
		return err
	}
	return p.awaitSunk(before + sent.Load())
}

// look watches over the interval; what went up is counted where it arrives.
func (p *proxying) look(ask byte, before int64) func() error {
	return func() error {
		if ask != askSink {
			p.watch(p.fleet, func() string { return grouped(p.counted.Load()) + " round trips or bytes" }, nil)
			return nil
		}
		var atBegin int64
		howFar := func() string { return grouped(p.upstream.sunk.Load()-before) + " bytes" }
		if p.watch(p.fleet, howFar, func() { atBegin = p.upstream.sunk.Load() }) {
			p.counted.Store(p.upstream.sunk.Load() - atBegin)
		}
		return nil
	}
}

// handshake opens the way to the chat server, which sends two messages of its own.
func (p *proxying) handshake(c *conn, ask byte) error {
	p.setDeadline(c, time.Now().Add(stepTimeout))
	defer p.setDeadline(c, time.Time{})
	hello := make([]byte, csp.ClientHelloSize)
	hello[0] = ask
	if err := c.write(appendMessage(nil, d2m.Proxy{Data: hello})); err != nil {
		return err
	}
	for _, size := range []int{csp.ServerHelloSize, csp.LoginAckSize} {
		unit, err := c.awaitUnit()
		if err != nil {
			return slow(err)
		}
		if len(unit) != size {
			return violation("chat server's message has come with %d bytes, and was sent with %d", len(unit), size)
		}
	}
	return nil
}

// awaitUnit returns the next message of the chat server, valid until the next call.
func (c *conn) awaitUnit() ([]byte, error) {
	for {
		frame, err := c.await()
		if err != nil || d2m.Type(frame[0]) == d2m.TypeProxy {
			return frame[min(len(frame), d2m.HeaderSize):], err
		}
	}
}

// chatProblem says what may be the matter if there is no way to the chat server.
func chatProblem(err error) error {
	return fmt.Errorf("chat server: there is no way to the one that bench plays: %w", err)
}

// over tells whether a wait has ended with the fleet's context, whose reason is told elsewhere.
func (p *proxying) over(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) && p.ctx.Err() != nil
}

// roundTrips sends a frame and waits until it comes back, again and again.
func (p *proxying) roundTrips(c *conn) error {
	unit := chatFrame(p.random, roundTripSize)
	message := appendMessage(nil, d2m.Proxy{Data: unit})
	for began := p.now(); began < p.until; began = p.now() {
		err := c.write(message)
		var back []byte
		if err == nil {
			back, err = c.awaitUnit()
		}
		switch {
		case p.over(err):
			return nil
		case err != nil:
			return err
		case !bytes.Equal(back, unit):
			return violation("chat frame has come back with another content than it was sent with")
		}
		if now := p.now(); p.measured(now) {
			p.counted.Add(1)
			p.mu.Lock()
			p.latency.Add(now - began)
			p.mu.Unlock()
		}
	}
	return nil
}

// up sends frames, one per write, as a client does.
func (p *proxying) up(c *conn) error {
	unit := chatFrame(p.random, throughputSize)
	message := appendMessage(nil, d2m.Proxy{Data: unit})
	for p.now() < p.until {
		if err := c.write(message); err != nil {
			if p.over(err) {
				return nil
			}
			return err
		}
		c.sent += int64(len(unit))
	}
	return nil
}

// down takes frames.
func (p *proxying) down(c *conn) error {
	want := chatFrame(p.random, throughputSize)
	for now := p.now(); now < p.until; now = p.now() {
		unit, err := c.awaitUnit()
		switch {
		case p.over(err):
			return nil
		case err != nil:
			return err
		case !bytes.Equal(unit, want):
			return violation("chat frame has come with another content than it was sent with")
		}
		if p.measured(now) {
			p.counted.Add(int64(len(unit)))
		}
	}
	return nil
}

// awaitSunk waits until the chat server has got all that was sent to it.
func (p *proxying) awaitSunk(want int64) error {
	timeout := time.NewTimer(stepTimeout)
	defer timeout.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for p.upstream.sunk.Load() != want {
		select {
		case <-tick.C:
		case <-p.ctx.Done():
			return p.err()
		case <-timeout.C:
			return fmt.Errorf("server: of the bytes for the chat server %d have arrived, and %d were sent, %v before",
				p.upstream.sunk.Load(), want, stepTimeout)
		}
	}
	return nil
}

func (r *ProxyResult) noteRoundTrips(p *proxying) {
	r.Setup = p.server.setup("proxy", p.Duration, p.used)
	r.RoundTrips = uint64(p.counted.Load())
	r.RoundTripsPerSecond = perSecond(r.RoundTrips, p.Duration)
	r.Latency = newLatency(&p.latency)
	r.ServerCPUPer = per(p.used.server, float64(r.RoundTrips)/100_000)
}

func (r *ProxyResult) noteUp(p *proxying) {
	r.Up = perSecond(uint64(p.counted.Load()), p.Duration)
	r.UpCPU = per(p.used.server, float64(p.counted.Load())/(1<<30))
}

func (r *ProxyResult) noteDown(p *proxying) {
	r.Down = perSecond(uint64(p.counted.Load()), p.Duration)
	r.DownCPU = per(p.used.server, float64(p.counted.Load())/(1<<30))
}

// Text returns the result for a person.
func (r *ProxyResult) Text() string {
	var t text
	t.title("proxy", "%d connections, %v each, seed %d", r.Connections, r.Proxy.Duration, r.Seed)
	t.line("server", "%s", r.where())
	t.line("round trips", "%s per second, of %d bytes", grouped(int64(r.RoundTripsPerSecond)), r.RoundTripSize)
	t.latency("round trip", r.Latency)
	t.cpu(r.ServerCPUPer, nil, "round trips")
	t.line("up", "%s", throughput(r.Up, r.FrameSize, r.UpCPU))
	t.line("down", "%s", throughput(r.Down, r.FrameSize, r.DownCPU))
	t.picture("round trip", r.Latency)
	return t.String()
}

func throughput(bytes float64, frame int, cpu *float64) string {
	s := fmt.Sprintf("%.1f MiB/s, in frames of %d bytes", bytes/(1<<20), frame)
	if cpu != nil {
		s += fmt.Sprintf("; %.2f s of server CPU per GiB", *cpu)
	}
	return s
}
