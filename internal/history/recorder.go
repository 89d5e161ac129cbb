package history

import (
	"slices"
	"sync"
	"time"

	"openmediator/d2m"
)

// Run is what the histories of all groups have in common. Its methods may be called by several goroutines.
type Run struct {
	// fixed
	start time.Time

	// guarded by mu
	mu      sync.Mutex
	servers []Server
}

// NewRun starts the clock.
func NewRun() *Run { return &Run{start: time.Now()} }

// ServerStarted is to be called before a server is started. It returns the server's number.
func (r *Run) ServerStarted() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.servers = append(r.servers, Server{})
	return len(r.servers)
}

// ServerKilled is to be called right before the server with a number is sent SIGKILL.
func (r *Run) ServerKilled(number int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.servers[number-1]
	s.Killed, s.At = true, time.Since(r.start)
}

// ServerStalled is to be called when the server with a number has been kept from running for some time.
func (r *Run) ServerStalled(number int, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.servers[number-1].Stalled += d
}

// ServerTook is to be called when a device has waited so long for an ack of the server with a number, over a road that does
// not delay, whether the ack has come or the connection has ended before.
func (r *Run) ServerTook(number int, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.servers[number-1]
	s.Slowest = max(s.Slowest, d)
}

// Device returns a recorder for a device of some group.
func (r *Run) Device(id d2m.DeviceID) *Recorder {
	return &Recorder{start: r.start, device: Device{ID: id}}
}

// History returns what the devices of a group have recorded so far.
func (r *Run) History(group []*Recorder) *History {
	r.mu.Lock()
	h := &History{Servers: slices.Clone(r.servers)}
	r.mu.Unlock()
	for _, recorder := range group {
		h.Devices = append(h.Devices, recorder.history())
	}
	return h
}

// Recorder writes down the history of one device. It may be used by several goroutines.
type Recorder struct {
	// fixed
	start time.Time

	// guarded by mu
	mu     sync.Mutex
	device Device
}

// Record adds an event. Its At is set here.
func (r *Recorder) Record(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.At = time.Since(r.start)
	r.device.Events = append(r.device.Events, e)
}

func (r *Recorder) history() Device {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Device{ID: r.device.ID, Events: slices.Clone(r.device.Events)}
}
