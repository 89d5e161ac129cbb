package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// ReceiversPerGroup is how many devices of a group receive what the third one sends.
const ReceiversPerGroup = 2

// drainTimeout is how long a phase waits, when the time for sending is over, for the broker to carry out what was sent.
const drainTimeout = 30 * time.Second

// Workload says what the devices do.
type Workload struct {
	Groups     int           // of three devices
	Window     int           // messages that a sender has sent and not seen acknowledged
	Size       int           // bytes of a message, at least 8
	SingleAcks bool          // receivers write each acknowledgement by itself, instead of all for what they have read in one
	Think      time.Duration // how long a sender waits between an acknowledgement and its next message, on average
	WarmUp     time.Duration
	Duration   time.Duration
}

// setupTimeout is how long a device may take to connect.
const setupTimeout = 30 * time.Second

// Dial makes a connection for a device. Its deadlines end what takes too long until the device is ready.
func Dial(address string) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", address, setupTimeout)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(setupTimeout))
}

// Broker is a broker that runs, seen by its clients.
type Broker interface {
	// Sender connects the device of a group that sends. The receivers of the group have been connected before.
	Sender(group int) (Sender, error)

	// Receiver connects one of the devices of a group that receive, 0 or 1.
	Receiver(group, device int) (Receiver, error)
}

// Sender is a connection that one goroutine uses.
type Sender interface {
	// Send writes n messages at once, numbered from first on.
	Send(first uint64, n int) error

	// Acks waits for an acknowledgement, and returns how many have come. They come in the order of the messages.
	Acks() (int, error)

	connection
}

// Receiver is a connection that one goroutine uses.
type Receiver interface {
	// Receive waits for messages, acknowledges all that have come, and returns how many those are.
	Receive() (int, error)

	connection
}

// connection is what a device has of its net.Conn.
type connection interface {
	SetDeadline(time.Time) error
	Close() error // ends what waits, too
}

// Result is what a phase has shown.
type Result struct {
	Messages int64         // acknowledged to their senders, and received by both others
	Elapsed  time.Duration // until the last was received
	CPU      time.Duration // of the broker, its children included
	LoadCPU  time.Duration // of this process
	Latency  Histogram     // from the write of a message to its acknowledgement
}

// Rate is messages per second.
func (r Result) Rate() float64 { return float64(r.Messages) / r.Elapsed.Seconds() }

// Per100k is how many seconds of a CPU time fall on 100,000 messages.
func (r Result) Per100k(d time.Duration) float64 { return d.Seconds() * 100_000 / float64(r.Messages) }

// Run connects the devices, warms up and measures. cpu returns the broker's CPU time until now.
func (w Workload) Run(ctx context.Context, b Broker, cpu func() (time.Duration, error)) (Result, error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	r := &run{Workload: w, fail: fail}
	defer r.end()
	if err := r.connect(b); err != nil {
		return Result{}, err
	}
	if _, err := r.phase(ctx, w.WarmUp); err != nil {
		return Result{}, err
	}
	before, err := cpu()
	if err != nil {
		return Result{}, err
	}
	ownBefore := ownCPU()
	result, err := r.phase(ctx, w.Duration)
	if err != nil {
		return Result{}, err
	}
	result.LoadCPU = ownCPU() - ownBefore
	after, err := cpu()
	result.CPU = after - before
	return result, err
}

// ownCPU returns the CPU time of this process.
func ownCPU() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err) // the arguments are right
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// run is one run of a workload.
type run struct {
	Workload
	fail      context.CancelCauseFunc // ends the run; the first error counts
	senders   []*sender
	receivers []Receiver
	receiving sync.WaitGroup
	ending    atomic.Bool

	missing atomic.Int64  // deliveries of this phase that have not come, and one more while it is being sent
	all     chan struct{} // takes one element when there is nothing missing
}

// sender is a Sender with what it has done.
type sender struct {
	Sender
	next    uint64 // number of the message that it sends next
	latency Histogram
}

// connectors is how many groups connect at once.
const connectors = 16

func (r *run) connect(b Broker) error {
	r.all = make(chan struct{}, 1)
	r.senders = make([]*sender, r.Groups)
	r.receivers = make([]Receiver, r.Groups*ReceiversPerGroup)
	var connecting sync.WaitGroup
	var next atomic.Int64
	errs := make([]error, connectors)
	for i := range errs {
		connecting.Go(func() {
			for group := int(next.Add(1)) - 1; group < r.Groups && errs[i] == nil; group = int(next.Add(1)) - 1 {
				errs[i] = r.connectGroup(b, group)
			}
		})
	}
	connecting.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i, receiver := range r.receivers {
		r.receiving.Go(func() { r.receive(i, receiver) })
	}
	return nil
}

func (r *run) connectGroup(b Broker, group int) error {
	for device := range ReceiversPerGroup {
		receiver, err := b.Receiver(group, device)
		if err != nil {
			return fmt.Errorf("receiver %d of group %d: %w", device, group, err)
		}
		receiver.SetDeadline(time.Time{})
		r.receivers[group*ReceiversPerGroup+device] = receiver
	}
	s, err := b.Sender(group)
	if err != nil {
		return fmt.Errorf("sender of group %d: %w", group, err)
	}
	s.SetDeadline(time.Time{})
	r.senders[group] = &sender{Sender: s}
	return nil
}

// end closes all connections and waits for the receivers.
func (r *run) end() {
	r.hangUp()
	for _, receiver := range r.receivers {
		if receiver != nil {
			receiver.Close()
		}
	}
	r.receiving.Wait()
}

func (r *run) receive(i int, receiver Receiver) {
	for {
		n, err := receiver.Receive()
		if err != nil {
			if !r.ending.Load() {
				r.fail(fmt.Errorf("receiver %d of group %d: %w", i%ReceiversPerGroup, i/ReceiversPerGroup, err))
			}
			return
		}
		r.arrived(int64(n))
	}
}

// arrived notes deliveries.
func (r *run) arrived(n int64) {
	if r.missing.Add(-n) == 0 {
		r.all <- struct{}{}
	}
}

// phase sends for a while and waits until all of it has arrived.
func (r *run) phase(ctx context.Context, d time.Duration) (Result, error) {
	r.missing.Store(1)
	var sending sync.WaitGroup
	var sent atomic.Int64
	stop := context.AfterFunc(ctx, r.hangUp) // a sender that waits for an acknowledgement must hear of a failure
	defer stop()
	start := time.Now()
	until := start.Add(d)
	for i, s := range r.senders {
		sending.Go(func() {
			n, err := r.send(ctx, s, until)
			sent.Add(n)
			if err != nil {
				r.fail(fmt.Errorf("sender of group %d: %w", i, err))
			}
		})
	}
	watch := time.AfterFunc(d+drainTimeout, func() {
		r.fail(fmt.Errorf("broker: %d deliveries and some acknowledgements are missing %v after the last message", r.missing.Load(), drainTimeout))
	})
	defer watch.Stop()
	sending.Wait()
	r.arrived(1)
	select {
	case <-r.all:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return Result{}, context.Cause(ctx)
	}
	result := Result{Messages: sent.Load(), Elapsed: time.Since(start)}
	for _, s := range r.senders {
		result.Latency.Add(&s.latency)
		s.latency = Histogram{}
	}
	if result.Messages == 0 {
		return Result{}, errors.New("broker: not one message was acknowledged")
	}
	return result, nil
}

// hangUp makes the senders return.
func (r *run) hangUp() {
	r.ending.Store(true)
	for _, s := range r.senders {
		if s != nil {
			s.Close()
		}
	}
}

// send keeps the window full until the time is over, waits for the last acknowledgement, and returns how many there were.
func (r *run) send(ctx context.Context, s *sender, until time.Time) (acked int64, err error) {
	var flight inFlight
	more, now := r.Window, time.Now()
	for {
		if now.Before(until) && ctx.Err() == nil {
			r.missing.Add(int64(more * ReceiversPerGroup))
			flight.sent(now, more)
			if err := s.Send(s.next, more); err != nil {
				return acked, err
			}
			s.next += uint64(more)
		}
		if flight.count == 0 {
			return acked, nil
		}
		if more, err = s.Acks(); err != nil {
			return acked, err
		}
		acked += int64(more)
		now = time.Now()
		flight.acked(now, more, &s.latency)
		if r.Think > 0 {
			time.Sleep(time.Duration(rand.ExpFloat64() * float64(r.Think)))
			now = time.Now()
		}
	}
}

// inFlight are the messages of a sender that are not acknowledged.
type inFlight struct {
	writes []write // oldest first
	count  int
}

type write struct {
	at time.Time
	n  int // messages of it that are not acknowledged
}

func (f *inFlight) sent(at time.Time, n int) {
	f.writes = append(f.writes, write{at, n})
	f.count += n
}

func (f *inFlight) acked(at time.Time, n int, latency *Histogram) {
	f.count -= n
	done := 0
	for n > 0 {
		w := &f.writes[done]
		some := min(n, w.n)
		latency.Record(at.Sub(w.at), some)
		w.n -= some
		n -= some
		if w.n == 0 {
			done++
		}
	}
	f.writes = append(f.writes[:0], f.writes[done:]...)
}
