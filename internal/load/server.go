package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"openmediator/d2m"
)

// Server is what is measured.
type Server struct {
	Address Address
	Own     *Process // of a server of bench's own; nil for a foreign one
	Store   string   // as in a result
	Seed    uint64
	// Progress, if not nil, is told in a few words what is going on. It may be called by any goroutine.
	Progress func(text string)
}

// Process is the process of a server.
type Process struct {
	PID int
	// Collect makes it collect its garbage and give memory back to the system, and returns when that is done.
	Collect func(context.Context) error
}

// Setup is what all results have.
type Setup struct {
	Measurement string   `json:"measurement"`
	Server      string   `json:"server"`
	Store       string   `json:"store"`
	Seed        uint64   `json:"seed"`
	Duration    float64  `json:"duration_s"`
	LoadCPU     *float64 `json:"load_cpu_s,omitempty"`
	ServerCPU   *float64 `json:"server_cpu_s,omitempty"`
}

func (s *Server) setup(measurement string, duration time.Duration, used usage) Setup {
	return Setup{
		Measurement: measurement, Server: s.Address.String(), Store: s.Store, Seed: s.Seed, Duration: duration.Seconds(),
		LoadCPU: used.load, ServerCPU: used.server,
	}
}

// fillRandom fills b with bytes that follow from the seed.
func (s *Server) fillRandom(b []byte) {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], s.Seed)
	rand.NewChaCha8(seed).Read(b)
}

func (s *Server) progress(format string, args ...any) {
	if s.Progress != nil {
		s.Progress(fmt.Sprintf(format, args...))
	}
}

// expiration keeps slots of a foreign server no longer than need be.
func (s *Server) expiration() d2m.ExpirationPolicy {
	if s.Own == nil {
		return d2m.Volatile
	}
	return d2m.Persistent
}

// fleet is the connections of a measurement. When its context ends, whatever waits for one of them does not any more.
type fleet struct {
	server *Server
	ctx    context.Context
	fail   context.CancelCauseFunc
	unbind func() bool
	dialed atomic.Int64

	attending sync.WaitGroup

	mu    sync.Mutex
	conns map[*conn]struct{}
}

func (s *Server) newFleet(ctx context.Context) *fleet {
	f := &fleet{server: s, conns: make(map[*conn]struct{})}
	f.ctx, f.fail = context.WithCancelCause(ctx)
	f.unbind = context.AfterFunc(f.ctx, f.interrupt)
	return f
}

var past = time.Unix(1, 0)

// interrupt ends all waiting.
func (f *fleet) interrupt() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		c.SetDeadline(past)
	}
}

// err returns why the measurement has failed, or nil.
func (f *fleet) err() error { return context.Cause(f.ctx) }

// run runs tasks, each in a goroutine, and waits for all. The first error ends the fleet's context and is returned.
func (f *fleet) run(tasks ...func() error) error {
	var running sync.WaitGroup
	for _, task := range tasks {
		running.Go(func() {
			if err := task(); err != nil {
				f.fail(err)
			}
		})
	}
	running.Wait()
	return f.err()
}

// setDeadline is SetDeadline that respects the end of the context.
func (f *fleet) setDeadline(c *conn, t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx.Err() == nil {
		c.SetDeadline(t)
	}
}

// setReadDeadline is SetReadDeadline that does.
func (f *fleet) setReadDeadline(c *conn, t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx.Err() == nil {
		c.SetReadDeadline(t)
	}
}

// smallBuffer is enough for logging in; it grows if need be.
const smallBuffer = 1024

// dial upgrades a connection. It is in the fleet until drop or close.
func (f *fleet) dial(d *device, buffer int) (*conn, error) {
	ctx, cancel := context.WithTimeout(f.ctx, stepTimeout)
	defer cancel()
	raw, err := f.server.Address.dial(ctx, int(f.dialed.Add(1)))
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, in: make([]byte, buffer), device: d}
	if err := f.adopt(c); err != nil {
		raw.Close()
		return nil, err
	}
	if err := c.upgrade(f.server.Address.host, f.server.Address.path+d.group.path); err != nil {
		f.close(c)
		return nil, slow(err)
	}
	return c, nil
}

// adopt sets a deadline of stepTimeout, unless the context has ended.
func (f *fleet) adopt(c *conn) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.err(); err != nil {
		return err
	}
	f.conns[c] = struct{}{}
	c.SetDeadline(time.Now().Add(stepTimeout))
	return nil
}

// connect logs a device in, up to ServerInfo. There is a deadline of stepTimeout afterwards.
func (f *fleet) connect(d *device, buffer int) (*conn, error) {
	c, err := f.dial(d, buffer)
	if err != nil {
		return nil, err
	}
	if err := c.register(f.server.expiration()); err != nil {
		f.close(c)
		return nil, slow(err)
	}
	return c, nil
}

// slow names what a deadline means.
func slow(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("server: has not answered within %v: try fewer groups or connections", stepTimeout)
	}
	return err
}

func (f *fleet) close(c *conn) {
	f.mu.Lock()
	delete(f.conns, c)
	f.mu.Unlock()
	c.Close()
}

// connectors is how many connections are made at once.
const connectors = 16

// connectAll logs devices in, reads up to ReflectionQueueDry, and from then on answers pings. The connections have the
// order of the devices; the caller takes them over with takeOver.
func (f *fleet) connectAll(devices []*device, buffer int) ([]*conn, error) {
	conns := make([]*conn, len(devices))
	err := f.spread(len(devices), func(i int) error {
		c, err := f.connectDry(devices[i], buffer)
		if err != nil {
			return err
		}
		conns[i] = c
		f.attending.Go(func() { f.attend(c) })
		if i%1000 == 999 {
			f.server.progress("%s of %s devices are connected", grouped(i+1), grouped(len(devices)))
		}
		return nil
	})
	return conns, err
}

// attend reads from a connection on which nothing is due but pings, until a deadline.
func (f *fleet) attend(c *conn) {
	for {
		if _, err := c.await(); errors.Is(err, os.ErrDeadlineExceeded) {
			return
		} else if err != nil {
			f.fail(err)
			return
		}
	}
}

// takeOver ends attend for all connections. They have no deadline afterwards.
func (f *fleet) takeOver() error {
	f.interrupt()
	f.attending.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.err(); err != nil {
		return err
	}
	for c := range f.conns {
		c.SetDeadline(time.Time{})
	}
	return nil
}

// spread calls do for each number below n, several at a time, until one fails.
func (f *fleet) spread(n int, do func(i int) error) error {
	var next atomic.Int64
	task := func() error {
		for i := int(next.Add(1)) - 1; i < n && f.ctx.Err() == nil; i = int(next.Add(1)) - 1 {
			if err := do(i); err != nil {
				return err
			}
		}
		return nil
	}
	return f.run(slices.Repeat([]func() error{task}, connectors)...)
}

// connectDry is connect up to ReflectionQueueDry. There is no deadline afterwards.
func (f *fleet) connectDry(d *device, buffer int) (*conn, error) {
	c, err := f.connect(d, buffer)
	if err != nil {
		return nil, err
	}
	if err := c.awaitDry(); err != nil {
		return nil, slow(err)
	}
	f.setDeadline(c, time.Time{})
	return c, nil
}

// visit logs a device in, calls then, if it is not nil, and leaves.
func (f *fleet) visit(d *device, then func()) error {
	c, err := f.connect(d, smallBuffer)
	if err != nil {
		return err
	}
	defer f.close(c)
	if then != nil {
		then()
	}
	return slow(c.leave())
}

// otherFiles is how many files are open besides connections, at most.
const otherFiles = 100

// checkFiles refuses more connections than this process can have.
func checkFiles(connections int) error {
	most, err := maxFiles()
	if err == nil && connections+otherFiles > most {
		return fmt.Errorf("connections: %s need as many open files, and this process may have %s: ask for fewer, or raise the "+
			"limit with ulimit -n, for the server as well", grouped(connections), grouped(most))
	}
	return err
}

// end closes all connections. On a foreign server their devices give up their slots before: registered tells which there
// are, for those may not be connected now.
func (f *fleet) end(registered []*device) error {
	f.unbind()
	f.fail(errEnded)
	f.interrupt()
	f.attending.Wait()
	err := f.dropAll(registered)
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		c.Close()
	}
	clear(f.conns)
	return err
}

var errEnded = errors.New("measurement: is over")

// dropAll has each device drop itself, over a connection of its own, for others may be in the middle of something.
func (f *fleet) dropAll(devices []*device) error {
	if f.server.Own != nil {
		return nil
	}
	f.server.progress("giving up the slots of %d devices", len(devices))
	fresh := f.server.newFleet(context.Background())
	defer fresh.fail(nil)
	return fresh.spread(len(devices), func(i int) error {
		if !devices[i].registered {
			return nil
		}
		c, err := fresh.connect(devices[i], smallBuffer)
		if err == nil {
			err = c.drop()
			fresh.close(c)
		}
		if err != nil {
			return fmt.Errorf("slots: some could not be given up, and go by themselves in some minutes: %w", err)
		}
		return nil
	})
}
