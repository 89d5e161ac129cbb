package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"openmediator/d2m"
)

// maxSubmitted is how many requests wait for a connection before submitting waits.
const maxSubmitted = 64

// Device is a device of a group, connected again whenever it may. Its methods may be
// called by several goroutines.
type Device struct {
	// fixed
	config   Config
	address  string
	info     []byte          // sealed
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	requests chan *request
	turn     chan struct{} // holds one element while a transaction runs
	done     chan struct{} // closed when run has ended

	nonces, chatNonces nonceGuard
	nonceLock          sync.Mutex

	held []*request // the session's writer's: not sent because of a transaction

	// guarded by mu
	mu         sync.Mutex
	registered bool
	session    *session // nil while there is no connection
	leader     bool
	shared     []byte // sealed
	err        error  // why run has ended
	chat       *chat  // nil if there is none; itself fixed
}

// Connect makes a Device and returns when it is connected and registered. If that
// does not succeed at once, there is no Device: the errors are [CloseError],
// [UnreachableError], [ProtocolError], what OnRegistered returned, and those of a
// Config that does not hold together. The context ends the attempt, not the Device.
func Connect(ctx context.Context, config Config) (*Device, error) {
	d, err := newDevice(config)
	if err != nil {
		return nil, err
	}
	first, err := d.connect(ctx)
	if err != nil {
		d.cancel()
		return nil, err
	}
	go d.run(first)
	return d, nil
}

// Start makes a Device that connects in its own time, again and again if need be.
// The only errors are those of a Config that does not hold together.
func Start(config Config) (*Device, error) {
	d, err := newDevice(config)
	if err != nil {
		return nil, err
	}
	go d.run(nil)
	return d, nil
}

func newDevice(config Config) (*Device, error) {
	address, err := config.complete()
	if err != nil {
		return nil, err
	}
	info, err := sealInfo(config.Keys, config.Info)
	if err != nil {
		return nil, err
	}
	d := &Device{
		config:     config,
		address:    address,
		info:       info,
		requests:   make(chan *request, maxSubmitted),
		turn:       make(chan struct{}, 1),
		done:       make(chan struct{}),
		registered: config.Registered,
	}
	d.nonces = nonceGuard{store: config.Nonces, mu: &d.nonceLock}
	if config.Chat != nil {
		d.chat = newChat(*config.Chat)
		d.chatNonces = nonceGuard{store: config.Chat.Nonces, mu: &d.nonceLock}
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d, nil
}

// Close ends the device. A Receive that runs is waited for, and its message
// acknowledged; its context ends. Requests that have not been sent never will be;
// those without an answer end with an [UnknownError]. Then the connection is closed
// with 1000. A server that does not read or answer is given 10 s for all that, from
// the end of Receive on.
func (d *Device) Close() {
	d.cancel()
	<-d.done
}

// Done is closed when the device has ended: by Close, by a close code after which it
// must not come back (41xx), by an error of OnRegistered or the [NonceStore], or by
// the chat server, if that says that it must not come back ([ChatClosedError]).
func (d *Device) Done() <-chan struct{} { return d.done }

// Err returns why the device has ended: nil as long as it has not, and [ErrClosed]
// after Close.
func (d *Device) Err() error {
	select {
	case <-d.done:
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.err
	default:
		return nil
	}
}

// ended is Err, but tells of a Close before it is done.
func (d *Device) ended() error {
	closing := d.ctx.Err() != nil // asked first: the end cancels it, too, when Err knows the reason
	if err := d.Err(); err != nil {
		return err
	}
	if closing {
		return ErrClosed
	}
	return nil
}

// Registered tells whether the device has a slot, as far as it knows.
func (d *Device) Registered() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.registered
}

// Connected tells whether there is a connection on which the device is registered.
func (d *Device) Connected() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.session != nil
}

// IsLeader tells whether the device leads its group.
func (d *Device) IsLeader() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.leader
}

// run keeps the device connected until it ends.
func (d *Device) run(first *session) {
	defer d.cancel()
	defer close(d.done)
	err := d.stayConnected(first)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

func (d *Device) stayConnected(s *session) error {
	waits := backoff{min: d.config.ReconnectMin, max: d.config.ReconnectMax}
	for {
		var lasted time.Duration
		var err error
		if s == nil {
			s, err = d.connect(d.ctx)
		}
		if err == nil {
			since := time.Now()
			err = s.run()
			lasted = time.Since(since)
		}
		s = nil
		if d.ctx.Err() != nil {
			return ErrClosed
		}
		if !mayReconnect(err) {
			return err
		}
		if err := d.pause(err, waits.next(lasted)); err != nil {
			return err
		}
	}
}

// pause tells why there is no connection and waits for the next attempt.
func (d *Device) pause(reason error, retry time.Duration) error {
	if d.config.OnDisconnected != nil {
		d.config.OnDisconnected(reason, retry)
	}
	timer := time.NewTimer(retry)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-d.ctx.Done():
		return ErrClosed
	}
}

// callerError is an error of what the caller put into Config.
type callerError struct{ error }

func (e callerError) Unwrap() error { return e.error }

// mayReconnect tells whether a device may connect again by itself.
func mayReconnect(err error) bool {
	var closed *CloseError
	if errors.As(err, &closed) {
		return closed.Code.MayReconnect()
	}
	var chat *ChatClosedError
	if errors.As(err, &chat) {
		return chat.MayReconnect
	}
	var caller callerError
	return !errors.As(err, &caller)
}

// connect makes a connection on which the device is registered, and has that
// stored before anything else is done on it (B7).
func (d *Device) connect(ctx context.Context) (*session, error) {
	s, err := d.login(ctx)
	if err != nil {
		return nil, err
	}
	if !d.Registered() && d.config.OnRegistered != nil {
		if err := d.config.OnRegistered(); err != nil {
			s.wire.Close(d2m.CloseNormal, "")
			return nil, callerError{err}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.registered = true
	d.shared = s.info.SharedDeviceData
	d.session = s
	return s, nil
}

func (d *Device) currentSession() *session {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.session
}

func (d *Device) leaveSession() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.session = nil
	d.leader = false
	if d.chat != nil {
		d.chat.setLink(nil)
	}
}

// setLeader is told by a session that it leads. The reader may learn that when the
// session has been left already.
func (d *Device) setLeader(s *session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.session == s {
		d.leader = true
	}
}
