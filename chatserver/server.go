package chatserver

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"openmediator/csp"
)

// acceptPause is how long no connection is accepted after the system had no descriptor for one.
const acceptPause = time.Second

// Server is a chat server. New opens it, Serve accepts connections, Close ends it.
type Server struct {
	// fixed
	config     Config
	store      *store
	known      *known
	sessions   *sessions
	challenges *challenges
	stop       chan struct{} // closed by Close

	failing atomic.Bool // the store did not do its last work

	mu        sync.Mutex
	conns     map[*conn]struct{}
	listeners map[net.Listener]struct{}
	http      []*http.Server
	stopping  bool
	empty     chan struct{} // closed when stopping and the last connection has gone
}

var (
	errStopping = errors.New("server is stopping")
	errTooMany  = errors.New("login: identity has too many connections")

	// stopped is how connections end when the server does.
	stopped = csp.Closed{MayReconnect: true, Text: "Server is stopping"}
)

// New opens the data directory of a server and starts it. The error is one sentence for the operator; it wraps ErrInUse
// if another process has the directory open.
func New(config Config) (*Server, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	st, err := openStore(config.DataDir, config.MaxQueue)
	if err != nil {
		return nil, err
	}
	known, err := loadKnown(st, config.Identities)
	if err != nil {
		return nil, errors.Join(err, st.db.Close())
	}
	s := &Server{
		config:     config,
		store:      st,
		known:      known,
		sessions:   newSessions(config.MaxPerIdentity),
		challenges: newChallenges(config.MaxChallenges),
		stop:       make(chan struct{}),
		conns:      make(map[*conn]struct{}),
		listeners:  make(map[net.Listener]struct{}),
		empty:      make(chan struct{}),
	}
	st.failed, st.works = s.storageFailed, s.storageWorks
	go st.run()
	return s, nil
}

// Serve accepts connections until Close and then returns nil. The listener is closed.
func (s *Server) Serve(l net.Listener) error {
	if !s.addListener(l) {
		return l.Close()
	}
	defer s.closeListener(l)
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			s.accept(nc)
		case s.isStopping():
			return nil
		case isPassing(err):
			if !s.pause(acceptPause) {
				return nil
			}
		default:
			return err
		}
	}
}

// isPassing tells whether accepting may succeed later.
func isPassing(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOBUFS) ||
		errors.Is(err, syscall.ENOMEM) || errors.Is(err, syscall.ECONNABORTED)
}

// pause waits. It reports false if the server ends meanwhile.
func (s *Server) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.stop:
		return false
	}
}

// accept serves a connection, or closes it if there are too many.
func (s *Server) accept(nc net.Conn) {
	if s.config.OnConnect != nil {
		s.config.OnConnect(nc.RemoteAddr())
	}
	c := newConn(s, nc)
	s.mu.Lock()
	fits := !s.stopping && len(s.conns) < s.config.MaxConnections
	if fits {
		s.conns[c] = struct{}{}
	}
	s.mu.Unlock()
	if !fits {
		nc.Close()
		return
	}
	go c.run()
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.stopping && len(s.conns) == 0 {
		close(s.empty)
	}
}

// Connections returns how many connections there are, those included that log in or end.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *Server) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopping {
		s.listeners[l] = struct{}{}
	}
	return !s.stopping
}

func (s *Server) closeListener(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
	l.Close()
}

func (s *Server) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

// Close ends the server: no new connection, each open one is told, all that was acked is on disk. Connections that are
// still there when ctx ends are cut off, and then the error is that of ctx. It is called once.
func (s *Server) Close(ctx context.Context) error {
	close(s.stop)
	for _, c := range s.refuseNew() {
		c.end(stopped)
	}
	err := s.awaitConnections(ctx)
	return errors.Join(err, s.store.close())
}

// refuseNew closes the listeners and returns the open connections.
func (s *Server) refuseNew() (open []*conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	for l := range s.listeners {
		l.Close()
	}
	for _, server := range s.http {
		server.Close()
	}
	for c := range s.conns {
		open = append(open, c)
	}
	if len(open) == 0 {
		close(s.empty)
	}
	return open
}

func (s *Server) awaitConnections(ctx context.Context) error {
	select {
	case <-s.empty:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.conns {
		c.nc.Close()
	}
	s.mu.Unlock()
	<-s.empty
	return ctx.Err()
}

// login makes a session known, and ends those that have to make room for it.
func (s *Server) login(one *session) error {
	ended, ok := s.sessions.login(one)
	if !ok {
		return errTooMany
	}
	for _, e := range ended {
		e.session.conn.end(e.why)
	}
	return nil
}

// logout ends a session. Another one of the identity may get the messages now.
func (s *Server) logout(one *session) {
	s.sessions.logout(one)
	s.stir(one.identity)
}

// stir makes the connection that gets the messages of an identity look for them.
func (s *Server) stir(id csp.Identity) {
	if one := s.sessions.receiver(id); one != nil {
		one.conn.stir()
	}
}

// storageFailed logs that the store did not do what it was asked; how, not of whom.
func (s *Server) storageFailed(err error) {
	if !s.failing.Swap(true) {
		cause := "unavailable"
		if number, ok := errors.AsType[syscall.Errno](err); ok {
			cause = number.Error()
		}
		s.config.Log.Error().Str("cause", cause).Msg("storage failed: nothing is acked, and the connections that need it are ended")
	}
}

func (s *Server) storageWorks() {
	if s.failing.Load() && s.failing.Swap(false) {
		s.config.Log.Info().Msg("storage works again")
	}
}

// logEnd logs that a connection has ended. The texts of package net hold addresses, so those are logged by kind.
func (s *Server) logEnd(err error) {
	s.config.Log.Debug().Str("cause", causeOf(err)).Msg("connection ended")
}

func causeOf(err error) string {
	_, network := errors.AsType[net.Error](err)
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "end of stream"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return "closed"
	case network:
		return "network"
	}
	return err.Error()
}
