package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"openmediator/d2m"
)

// Reflect is a load: in each group one device sends and all others receive and acknowledge.
type Reflect struct {
	Groups     int           `json:"groups"`  // at least 1
	Devices    int           `json:"devices"` // of each group, at least 1; with 1 and none away nothing is stored (B16)
	Away       int           `json:"away"`    // further devices of each group, which have their slots and are not connected
	Window     int           `json:"window"`  // messages that a sender may have sent and not seen acked, at least 1
	Size       int           `json:"size"`    // of an envelope, MinSize to d2m.MaxEnvelopeSize bytes
	Think      time.Duration `json:"-"`       // between two messages of a sender, on average; 0: none
	SingleAcks bool          `json:"single_acks"`
	WarmUp     time.Duration `json:"-"` // what is not measured yet
	Duration   time.Duration `json:"-"` // what is measured
}

// MinSize is the least envelope in bytes: it has the message's number and time.
const MinSize = 16

// contents is how many different contents there are: those of groups begin at so many places of the same random bytes.
const contents = 4096

// reflecting is a Reflect that runs.
type reflecting struct {
	// fixed
	Reflect
	*fleet
	interval
	random    []byte
	senders   []*sender
	receivers []*receiver

	stopping atomic.Bool // receivers are to end
	sending  sync.WaitGroup
	tallies  [8]tally
}

// tally is what some connections have seen.
type tally struct {
	mu                   sync.Mutex
	acked, delivered     uint64 // within what is measured
	allAcked, allArrived uint64
	overdue              uint64
	ack, delivery, late  Histogram
}

// Reflect measures reflecting. The error is that of the first connection that ends, or of the first thing that is not as
// the protocol has it; nothing is known then.
func (s *Server) Reflect(ctx context.Context, load Reflect) (*ReflectResult, error) {
	if err := checkFiles(load.Groups * load.Devices); err != nil {
		return nil, err
	}
	devices, err := newDevices(load.Groups, load.Devices+load.Away)
	if err != nil {
		return nil, err
	}
	r := &reflecting{Reflect: load, fleet: s.newFleet(ctx), interval: newInterval(load.WarmUp, load.Duration)}
	err = r.connect(devices)
	if err == nil {
		err = r.play()
	}
	result := r.result()
	return result, errors.Join(err, r.end(devices))
}

// connect logs all devices in.
func (r *reflecting) connect(devices []*device) error {
	r.server.progress("connecting %d devices", len(devices))
	r.random = make([]byte, r.Size+contents)
	r.server.fillRandom(r.random)
	buffer := min(max(2048, r.Window*(r.Size+64)), 64<<10)
	here, away := r.split(devices)
	if err := r.spread(len(away), func(i int) error { return r.visit(away[i], nil) }); err != nil {
		return err
	}
	conns, err := r.connectAll(here, buffer)
	if err == nil {
		err = r.takeOver()
	}
	if err != nil {
		return err
	}
	for i, c := range conns {
		group := i / r.Devices
		content := r.random[group%contents:][:r.Size-MinSize]
		tally := &r.tallies[i%len(r.tallies)]
		if i%r.Devices == 0 {
			r.senders = append(r.senders, r.newSender(c, tally, content, group))
		} else {
			r.receivers = append(r.receivers, &receiver{reflecting: r, c: c, tally: tally, content: content})
		}
	}
	return nil
}

// split tells which devices are connected, group by group, and which are away.
func (r *reflecting) split(devices []*device) (here, away []*device) {
	for group := range slices.Chunk(devices, r.Devices+r.Away) {
		here = append(here, group[:r.Devices]...)
		away = append(away, group[r.Devices:]...)
	}
	return here, away
}

// play runs the load until all that was sent has arrived.
func (r *reflecting) play() error {
	tasks := []func() error{r.direct}
	for _, s := range r.senders {
		tasks = append(tasks, s.run)
	}
	for _, receiver := range r.receivers {
		tasks = append(tasks, receiver.run)
	}
	r.sending.Add(len(r.senders))
	r.start = time.Now()
	return r.run(tasks...)
}

// direct watches over the measurement, and stops the receivers when all has arrived.
func (r *reflecting) direct() error {
	defer r.stop()
	if !r.watch(r.fleet, func() string {
		acked, _ := r.arrived()
		return grouped(acked) + " messages acked"
	}, nil) {
		return nil
	}
	r.server.progress("waiting for what is on its way")
	return r.awaitArrival()
}

// arrived returns how many messages were acked and delivered since the start.
func (r *reflecting) arrived() (acked, delivered uint64) {
	for i := range r.tallies {
		t := &r.tallies[i]
		t.mu.Lock()
		acked += t.allAcked
		delivered += t.allArrived
		t.mu.Unlock()
	}
	return acked, delivered
}

// awaitArrival waits until all that was sent has been acked and delivered.
func (r *reflecting) awaitArrival() error {
	sent := make(chan struct{})
	go func() {
		r.sending.Wait()
		close(sent)
	}()
	timeout := time.NewTimer(stepTimeout)
	defer timeout.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	select {
	case <-sent:
	case <-r.ctx.Done():
		return nil
	case <-timeout.C:
		acked, _ := r.arrived()
		return fmt.Errorf("server: has acked %d messages, and not all that were sent, %v after the last of them", acked, stepTimeout)
	}
	for {
		acked, delivered := r.arrived()
		want := acked * uint64(r.Devices-1)
		if delivered == want {
			return nil
		}
		select {
		case <-tick.C:
		case <-r.ctx.Done():
			return nil
		case <-timeout.C:
			return fmt.Errorf("server: of %d messages for the %d devices that receive, %d have arrived, %v after the last was sent",
				want, len(r.receivers), delivered, stepTimeout)
		}
	}
}

// stop ends the receivers.
func (r *reflecting) stop() {
	r.stopping.Store(true)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, receiver := range r.receivers {
		receiver.c.SetReadDeadline(past)
	}
}

// frameOf makes the frame of a message that lacks its number and time, and tells where its D2M header is.
func frameOf(content []byte) (frame []byte, header int) {
	header = len(appendHeader(nil, binaryMsg, reflectHeader+MinSize+len(content)))
	frame = appendMessage(nil, d2m.Reflect{Envelope: append(make([]byte, MinSize), content...)})
	return frame, header
}
