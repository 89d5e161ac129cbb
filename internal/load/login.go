package load

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Login is a load: devices that have their slot connect, log in and leave.
type Login struct {
	Groups      int           `json:"groups"`      // at least 1
	Devices     int           `json:"devices"`     // of each group, at least 1
	Connections int           `json:"connections"` // at once, at least 1 and at most all devices
	WarmUp      time.Duration `json:"-"`           // what is not measured yet
	Duration    time.Duration `json:"-"`           // what is measured
}

// LoginResult is what Login has measured. Package load's comment tells about the fields.
type LoginResult struct {
	Setup
	Login
	Logins             uint64   `json:"logins"`
	LoginsPerSecond    float64  `json:"logins_per_s"`
	LoginsPerServerCPU *float64 `json:"logins_per_server_cpu_s,omitempty"`
	Latency            Latency  `json:"login_latency"`
}

// logins is a Login that runs.
type logins struct {
	Login
	*fleet
	interval
	devices []*device
	all     atomic.Uint64

	mu      sync.Mutex
	latency Histogram // of those that ended within the interval
}

// Login measures logins. The error is that of the first connection that is not made, or is not ended in an orderly way.
func (s *Server) Login(ctx context.Context, load Login) (*LoginResult, error) {
	load.Connections = min(load.Connections, load.Groups*load.Devices)
	if err := checkFiles(load.Connections); err != nil {
		return nil, err
	}
	devices, err := newDevices(load.Groups, load.Devices)
	if err != nil {
		return nil, err
	}
	l := &logins{Login: load, fleet: s.newFleet(ctx), interval: newInterval(load.WarmUp, load.Duration), devices: devices}
	err = l.play()
	return l.result(), errors.Join(err, l.end(devices))
}

// play gives all devices their slots, and then lets them come and go.
func (l *logins) play() error {
	l.server.progress("registering %d devices", len(l.devices))
	if err := l.spread(len(l.devices), func(i int) error { return l.visit(l.devices[i], nil) }); err != nil {
		return err
	}
	tasks := []func() error{func() error {
		l.watch(l.fleet, func() string { return grouped(l.all.Load()) + " logins" }, nil)
		return nil
	}}
	for first := range l.Connections {
		tasks = append(tasks, func() error { return l.comeAndGo(first) })
	}
	l.start = time.Now()
	return l.run(tasks...)
}

// comeAndGo has one device in so many as there are connections log in, in turn, until the time is over.
func (l *logins) comeAndGo(first int) error {
	for i := first; l.now() < l.until && l.ctx.Err() == nil; i += l.Connections {
		if i >= len(l.devices) {
			i = first
		}
		began := l.now()
		err := l.visit(l.devices[i], func() {
			l.all.Add(1)
			if now := l.now(); l.measured(now) {
				l.mu.Lock()
				defer l.mu.Unlock()
				l.latency.Add(now - began)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *logins) result() *LoginResult {
	count := l.latency.Count()
	result := &LoginResult{
		Setup:           l.fleet.server.setup("login", l.Duration, l.used),
		Login:           l.Login,
		Logins:          count,
		LoginsPerSecond: perSecond(count, l.Duration),
		Latency:         newLatency(&l.latency),
	}
	if l.used.server != nil && *l.used.server > 0 {
		rate := float64(count) / *l.used.server
		result.LoginsPerServerCPU = &rate
	}
	return result
}

// Text returns the result for a person.
func (r *LoginResult) Text() string {
	var t text
	t.title("login", "%s groups of %d devices, %d connections at once, %v, seed %d", grouped(r.Groups), r.Devices, r.Connections,
		r.Login.Duration, r.Seed)
	t.line("server", "%s", r.where())
	t.line("logins", "%s per second", grouped(int64(r.LoginsPerSecond)))
	t.latency("login latency", r.Latency)
	if r.LoginsPerServerCPU != nil {
		t.line("server CPU", "%s logins per second of one core", grouped(int64(*r.LoginsPerServerCPU)))
	}
	t.picture("login latency", r.Latency)
	return t.String()
}
