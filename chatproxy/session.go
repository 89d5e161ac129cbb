package chatproxy

import (
	"context"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"openmediator/d2m"
	"openmediator/internal/nowait"
)

// Session is the connection of one device to its chat server. [Session.Send] is for one goroutine, and so is
// [Session.Take]; the other methods may be called at any time.
type Session struct {
	// fixed
	proxy     *Proxy
	dial      func(ctx context.Context, address, isolation string) (net.Conn, error)
	address   string
	isolation string
	device    Device
	ctx       context.Context // ends when the device has left or the session has ended
	leave     context.CancelFunc
	upRate    *rate.Limiter
	downRate  *rate.Limiter

	mu       sync.Mutex
	changed  sync.Cond // signalled when something is taken in either direction, and when the session is left or ends
	started  bool      // may connect
	running  bool      // connects or is connected
	left     bool      // the device has gone
	upstream *upstream // nil until what was sent before it was connected is written, and after its end
	early    []byte    // from the device, until then
	writing  bool      // a Send is at it
	cut      context.CancelFunc
	stalled  bool // the chat server takes nothing
	end      *End
	overdue  *time.Timer // runs from the end until the device has taken all, or has left

	down   *units // from the chat server, for Take; nil if there are none
	taken  *units // what Take gave last; nil after Release
	unsent int    // bytes of what Take gave last
}

// Start lets the session connect, as soon as there is something to be sent.
func (s *Session) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = true
	s.connectOnce()
}

// connectOnce makes the session connect if it is time to. s.mu is held.
func (s *Session) connectOnce() {
	if s.running || !s.started || s.left || len(s.early) == 0 {
		return
	}
	s.running = true
	s.proxy.counters.began.Add(1)
	var ctx context.Context
	ctx, s.cut = context.WithCancel(s.proxy.ctx)
	s.proxy.tasks.Go(func() { s.run(ctx) })
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
	s.leave()
	s.changed.Broadcast()
	stopTimer(s.overdue)
	if !s.running || s.end != nil {
		return
	}
	time.AfterFunc(leaveTimeout, s.cut)
	s.sayGoodbye()
}

// sayGoodbye tells the chat server that nothing more will come, if the device has left and all is written. s.mu is held.
func (s *Session) sayGoodbye() {
	if !s.left || s.writing || s.upstream == nil {
		return
	}
	if half, ok := s.upstream.Conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	} else {
		s.upstream.Close()
	}
}

func stopTimer(t *time.Timer) {
	if t != nil {
		t.Stop()
	}
}

// run connects, and brings the device what the chat server sends, until the session ends.
func (s *Session) run(ctx context.Context) {
	defer s.cut()
	counters := &s.proxy.counters
	counters.open.Add(1)
	defer counters.open.Add(-1)
	conn, err := s.connect(ctx)
	counters.lastFailed.Store(err != nil)
	if err != nil {
		s.finish(End{Code: d2m.CloseChatServerUnreachable, Reason: "chat server cannot be reached", Cause: err})
		return
	}
	counters.reached.Add(1)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	if s.writeEarly(&upstream{conn, nowait.Socket(conn)}) {
		s.finish(s.receive(conn))
	} else {
		s.finish(End{Code: d2m.CloseChatServerClosed, Reason: "connection to the chat server was lost"})
	}
	if stop() {
		conn.Close()
	}
}

func (s *Session) connect(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return s.dial(ctx, s.address, s.isolation)
}

// finish notes how the session has ended. What came before can still be taken.
func (s *Session) finish(end End) {
	s.mu.Lock()
	if s.stalled {
		end = End{Code: d2m.CloseChatServerInternal, Reason: "chat server takes nothing", Cause: errStalled}
	}
	left := s.left
	s.proxy.counters.ended[endingOf(end, left)].Add(1)
	s.end = &end
	s.upstream, s.early = nil, nil
	s.leave()
	if !left {
		s.overdue = time.AfterFunc(deliverTimeout, s.device.Overdue)
	}
	s.changed.Broadcast()
	s.mu.Unlock()
	if !left {
		s.device.Wake()
	}
}
