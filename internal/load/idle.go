package load

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Idle is a load that is none: devices are connected, and nothing happens.
type Idle struct {
	Connections int           `json:"connections"` // at least 1
	Devices     int           `json:"devices"`     // of each group, at least 1
	Duration    time.Duration `json:"-"`           // how long the server's processor is looked at
}

// IdleResult is what Idle has measured. Package load's comment tells about the fields.
type IdleResult struct {
	Setup
	Idle
	RSSBefore     int64   `json:"server_rss_before_bytes"`
	RSS           int64   `json:"server_rss_bytes"`
	PerConnection float64 `json:"server_bytes_per_connection"`
	Connect       float64 `json:"connect_s"`
}

// ErrNoProcess is what Idle returns for a server whose process it cannot look at.
var ErrNoProcess = errors.New("server: its process must be one of bench's own, on Linux, to look at its memory")

// idling is an Idle that runs.
type idling struct {
	Idle
	*fleet
}

// Idle measures what connections cost that do nothing.
func (s *Server) Idle(ctx context.Context, load Idle) (*IdleResult, error) {
	if s.rss() == nil {
		return nil, ErrNoProcess
	}
	if err := checkFiles(load.Connections); err != nil {
		return nil, err
	}
	devices, err := newDevices((load.Connections+load.Devices-1)/load.Devices, load.Devices)
	if err != nil {
		return nil, err
	}
	i := &idling{Idle: load, fleet: s.newFleet(ctx)}
	result := &IdleResult{Idle: load}
	err = i.measure(result, devices[:load.Connections])
	return result, errors.Join(err, i.end(devices[:load.Connections]))
}

func (i *idling) measure(result *IdleResult, devices []*device) error {
	if err := i.comeAndGo(); err != nil {
		return err
	}
	var err error
	if result.RSSBefore, err = i.collect(); err != nil {
		return err
	}
	began := time.Now()
	if _, err := i.connectAll(devices, smallBuffer); err != nil {
		return err
	}
	result.Connect = time.Since(began).Seconds()
	if result.RSS, err = i.collect(); err != nil {
		return err
	}
	result.PerConnection = float64(result.RSS-result.RSSBefore) / float64(len(devices))
	used := newInterval(0, i.Duration)
	used.start = time.Now()
	used.watch(i.fleet, func() string { return grouped(len(devices)) + " idle connections" }, nil)
	result.Setup = i.server.setup("idle", i.Duration, used.used)
	return i.err()
}

// comeAndGo has the server do once what it has not done yet, so that this does not count as the connections'.
func (i *idling) comeAndGo() error {
	devices, err := newDevices(2*connectors, 1)
	if err != nil {
		return err
	}
	return i.spread(len(devices), func(n int) error {
		c, err := i.connectDry(devices[n], smallBuffer)
		if err == nil {
			err = c.drop()
			i.close(c)
		}
		return err
	})
}

// collect returns the server's memory after a garbage collection.
func (i *idling) collect() (int64, error) {
	i.server.progress("the server collects its garbage")
	if err := i.server.Own.Collect(i.ctx); err != nil {
		return 0, fmt.Errorf("server: has not collected its garbage: %w", err)
	}
	rss := i.server.rss()
	if rss == nil {
		return 0, ErrNoProcess
	}
	return *rss, nil
}

// Text returns the result for a person.
func (r *IdleResult) Text() string {
	var t text
	t.title("idle", "%s connections, groups of %d devices, seed %d", grouped(r.Connections), r.Devices, r.Seed)
	t.line("server", "%s", r.where())
	t.line("memory", "%s bytes per connection (%.1f MiB without, %.1f MiB with them)", grouped(int64(r.PerConnection)),
		float64(r.RSSBefore)/(1<<20), float64(r.RSS)/(1<<20))
	t.line("connected within", "%.1f s", r.Connect)
	if r.ServerCPU != nil {
		t.line("server CPU", "%.2f s in %v, with nothing going on", *r.ServerCPU, r.Idle.Duration)
	}
	return t.String()
}
