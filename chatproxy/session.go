package chatproxy

import (
	"context"
	"net"
	"sync"
	"time"

	"openmediator/d2m"
)

// Session is the connection of one device to its chat server. [Session.Send] is for one goroutine, and so is
// [Session.Take]; the other methods may be called at any time.
type Session struct {
	// fixed
	proxy     *Proxy
	address   string
	isolation string
	device    Device

	mu       sync.Mutex
	changed  sync.Cond // signalled when something is taken in either direction, and at the end
	started  bool      // may connect
	running  bool      // connects or is connected
	left     bool      // the device has gone
	upstream net.Conn  // nil before it is connected and after its end
	cut      context.CancelFunc
	stalled  bool // the chat server takes nothing
	end      *End
	overdue  *time.Timer // runs from the end until the device has taken all, or has left

	up     []byte // from the device, to be written
	flying int    // of it, how much is being written
	writes bool   // a goroutine is at it

	down  units // from the chat server, for Take
	taken units // what Take gave last
}

// units are D2M messages one behind the other.
type units struct {
	data []byte
	ends []int // where each ends
}

// Send takes bytes from the device for the chat server; data stays the caller's. It waits while more than 64 KiB wait to
// be written, until the device has left or the session has ended; then it does nothing.
func (s *Session) Send(data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.up)+s.flying > maxWaiting && !s.left && s.end == nil {
		s.changed.Wait()
	}
	if s.left || s.end != nil {
		return
	}
	s.up = append(s.up, data...)
	s.advance()
}

// Start lets the session connect, as soon as there is something to be sent.
func (s *Session) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = true
	s.advance()
}

// Leave tells that the device has gone. What it has sent is given 5 s to reach the chat server; what comes from there is
// discarded. It does not wait.
func (s *Session) Leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left {
		return
	}
	s.left = true
	s.changed.Broadcast()
	stopTimer(s.overdue)
	switch {
	case !s.running || s.end != nil:
	case s.upstream == nil && len(s.up) == 0:
		s.cut()
	default:
		time.AfterFunc(leaveTimeout, s.cut)
		s.advance()
	}
}

func stopTimer(t *time.Timer) {
	if t != nil {
		t.Stop()
	}
}

// advance starts what is to be done next: connecting, writing, or telling the chat server that there is nothing more to
// come. s.mu is held.
func (s *Session) advance() {
	switch {
	case s.end != nil:
	case !s.running && s.started && !s.left && len(s.up) > 0:
		s.running = true
		var ctx context.Context
		ctx, s.cut = context.WithCancel(s.proxy.ctx)
		s.proxy.tasks.Go(func() { s.run(ctx) })
	case s.upstream != nil && !s.writes && (len(s.up) > 0 || s.left):
		s.writes = true
		s.proxy.tasks.Go(s.write)
	}
}

// run connects and brings the device what the chat server sends, until the session ends.
func (s *Session) run(ctx context.Context) {
	defer s.cut()
	conn, err := s.connect(ctx)
	if err != nil {
		s.finish(End{Code: d2m.CloseChatServerUnreachable, Reason: "chat server cannot be reached", Cause: err})
		return
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	s.finish(s.receive(conn))
	if stop() {
		conn.Close()
	}
}

func (s *Session) connect(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := s.proxy.dial(ctx, s.address, s.isolation)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.upstream = conn
	s.advance()
	return conn, nil
}

// finish notes how the session has ended. What came before can still be taken.
func (s *Session) finish(end End) {
	s.mu.Lock()
	if s.stalled {
		end = End{Code: d2m.CloseChatServerInternal, Reason: "chat server takes nothing", Cause: errStalled}
	}
	s.end = &end
	s.upstream, s.up = nil, nil
	if !s.left {
		s.overdue = time.AfterFunc(deliverTimeout, s.device.Overdue)
	}
	left := s.left
	s.changed.Broadcast()
	s.mu.Unlock()
	if !left {
		s.device.Wake()
	}
}
