package mediator

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"openmediator/chatproxy"
	"openmediator/d2m"
	"openmediator/privacy"
	"openmediator/reflect"
)

const (
	requestTimeout = 10 * time.Second // for a request to arrive whole
	maxHeaderBytes = 16 << 10
	usageInterval  = 5 * time.Second // between two looks at how full the store is

	// Of the store's limit, above how many eighths no new group registers: 70 % of the file system where the limit is
	// 80 % (B22).
	crowdedEighths = 7
)

// Server is a mediator. It is an http.Handler; Serve runs it on a listener.
type Server struct {
	// fixed
	store     reflect.Store
	verifiers *verifiers
	view      *privacy.View
	key       [32]byte // of this start: what addresses are counted by, and groups isolated
	groups    *groups
	chat      *chatproxy.Proxy
	pinger    *pinger
	limits    *limits
	counters  counters
	logins    chan struct{} // as many tokens as logins are checked at once
	stop      chan struct{} // closed by Shutdown when all connections have gone
	tasks     sync.WaitGroup

	current atomic.Pointer[Config] // replaced by Reconfigure, never written to

	full      atomic.Bool  // the store takes no more messages (B22)
	crowded   atomic.Bool  // the store takes no more groups
	proxySeen atomic.Bool  // somebody has behaved like a proxy who is not believed
	failing   atomic.Bool  // the store did not do its last work (B43)
	ending    atomic.Bool  // Shutdown has been called
	left      atomic.Int64 // Unix ms: when devices count as gone of which the store does not know (B31)
	tail      atomic.Int64 // bytes of stored messages in memory
	staged    atomic.Int64 // bytes of messages in transactions (B26)

	reconfiguring sync.Mutex // held by Reconfigure; taken before all other locks

	mu          sync.Mutex
	count       int // connections, those included that are being upgraded
	connections map[*conn]struct{}
	servers     []*http.Server
	stopping    bool          // nobody new is let in
	empty       chan struct{} // closed when stopping and the last connection has gone
}

// New starts a server over a store. The store stays the caller's to close, after Shutdown.
func New(store reflect.Store, config Config) (*Server, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	s := &Server{
		store:       store,
		verifiers:   newVerifiers(rand.Reader, verifiersAhead),
		chat:        chatproxy.New(config.Chat),
		view:        privacy.NewView(config.Privacy),
		pinger:      newPinger(config.PingInterval),
		logins:      make(chan struct{}, runtime.GOMAXPROCS(0)),
		stop:        make(chan struct{}),
		connections: make(map[*conn]struct{}),
		empty:       make(chan struct{}),
	}
	s.current.Store(&config)
	rand.Read(s.key[:])
	s.limits = newLimits(config, s.key)
	sortBy(&s.counters.commitDuration, commitDurations)
	sortBy(&s.counters.commitGroups, commitSizes)
	s.left.Store(time.Now().UnixMilli())
	s.groups = newGroups(s)
	if err := s.groups.restoreAlarms(); err != nil {
		s.Shutdown(context.Background())
		return nil, err
	}
	s.lookAtStore()
	s.tasks.Go(func() { s.verifiers.fill(s.stop) })
	s.tasks.Go(s.watchStore)
	s.tasks.Go(s.watchLimits)
	s.announce()
	return s, nil
}

// Serve accepts connections until Drain or Shutdown and then returns nil. The listener is closed.
func (s *Server) Serve(l net.Listener) error { return s.serveOn(l, s.limit(l)) }

// ServeTLS is Serve for connections that begin with a TLS handshake. For that they have the time of a request, and they count
// against the same limits.
func (s *Server) ServeTLS(l net.Listener, config *tls.Config) error {
	return s.serveOn(l, tls.NewListener(s.limit(l), config))
}

// serveOn accepts connections through limited, which is around l.
func (s *Server) serveOn(l, limited net.Listener) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: requestTimeout,
		ReadTimeout:       requestTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(httpLog{s}, "", 0),
		Protocols:         protocols,

		DisableGeneralOptionsHandler: true, // 405 like any other method (B1)
	}
	server.SetKeepAlivesEnabled(false)
	if !s.addServer(server) {
		return l.Close()
	}
	err := server.Serve(limited)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (s *Server) addServer(server *http.Server) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	s.servers = append(s.servers, server)
	return true
}

// ServeHTTP answers a request: an upgrade for a valid path becomes a connection, anything else is refused (B1).
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "this server only speaks WebSocket", http.StatusMethodNotAllowed)
		return
	}
	if !asksForUpgrade(r) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		http.Error(w, "this server only speaks WebSocket", http.StatusUpgradeRequired)
		return
	}
	url, err := d2m.ParsePath(r.URL.Path)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	client, evident := s.config().Front.client(r.RemoteAddr, r.Header)
	if evident {
		s.proxySeen.Store(true)
	}
	guest, err := s.admit(client)
	if err != nil {
		refuse(w, err)
		return
	}
	s.upgrade(guest, url, w, r)
}

// asksForUpgrade says whether a request is one for a WebSocket (RFC 6455, 4.1). To any other the path does not matter.
func asksForUpgrade(r *http.Request) bool {
	return r.Method == http.MethodGet && r.ProtoAtLeast(1, 1) &&
		holdsToken(r.Header.Values("Connection"), "upgrade") && holdsToken(r.Header.Values("Upgrade"), "websocket")
}

// holdsToken says whether a header that lists tokens has one, in any case.
func holdsToken(header []string, token string) bool {
	for _, value := range header {
		for one := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(one), token) {
				return true
			}
		}
	}
	return false
}

// upgrade makes a request a connection and starts its reader. The handler returns, so that the HTTP server forgets it.
func (s *Server) upgrade(guest *guest, url d2m.ClientURLInfo, w http.ResponseWriter, r *http.Request) {
	c := &conn{server: s, url: url, name: privacy.NewPseudonym(), guest: guest, base: s.base(r.URL.Path), parts: 2}
	u := &upgrader{ResponseWriter: w, stir: c.wake}
	ws, err := websocket.Accept(u, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // any Origin: authentication is the challenge (B1)
		OnPongReceived:     func(context.Context, []byte) { c.pong() },
		OnPingReceived:     func(context.Context, []byte) (answer bool) { return !c.mute.Load() },
	})
	if err != nil {
		if u.out != nil {
			u.out.cut()
		}
		guest.end()
		s.unreserve()
		return
	}
	ws.SetReadLimit(-1) // readFrom has its own, which can answer 4010
	c.ws, c.out, c.link = ws, u.out, linkOf(u.out.Conn)
	c.out.pong = c.pong
	if c.link != nil {
		c.link.request.end()
	}
	guest.limitStay(s.config().HandshakeTimeout+2*closeTimeout, c.out.cut)
	c.reading.watch(c) // before anybody else may read: the writer does at a shutdown
	s.counters.upgrades.Add(1)
	s.adopt(c)
	go c.run()
}

// admit makes room for a connection of a client, within all limits, until guest.end and unreserve.
func (s *Server) admit(client string) (*guest, error) {
	if err := s.reserve(); err != nil {
		return nil, err
	}
	guest, err := s.limits.admit(client)
	if err != nil {
		s.unreserve()
		return nil, err
	}
	return guest, nil
}

// reserve makes room for a connection, unreserve gives it back.
func (s *Server) reserve() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopping:
		return errStopping
	case s.count >= s.config().MaxConnections:
		s.limits.refused[limitConnections].Add(1)
		return &refusal{kind: limitConnections, after: retryConnection}
	}
	s.count++
	return nil
}

func (s *Server) unreserve() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count--
	if s.stopping && s.count == 0 {
		close(s.empty)
	}
}

// adopt makes a connection known; one that comes too late is told at once. Until then nobody else has it.
func (s *Server) adopt(c *conn) {
	s.mu.Lock()
	s.connections[c] = struct{}{}
	if s.stopping {
		c.close = &shutdown
	}
	s.mu.Unlock()
	s.pinger.add(c)
}

func (s *Server) remove(c *conn) {
	s.pinger.remove(c)
	s.mu.Lock()
	delete(s.connections, c)
	s.mu.Unlock()
	c.guest.end()
	s.unreserve()
}

// Connections returns how many connections there are, closing ones included.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// checkResponse checks a challenge response, no more at once than there are processors, so that logins do not starve
// the rest.
func (s *Server) checkResponse(v *d2m.Verifier, group d2m.GroupID, response *[d2m.ResponseSize]byte) bool {
	s.logins <- struct{}{}
	defer func() { <-s.logins }()
	return v.Check(group, response)
}

func (s *Server) leftAt() time.Time { return time.UnixMilli(s.left.Load()) }

// addTail counts memory, in bytes, and returns the sum.
func (s *Server) addTail(bytes int) int64 { return s.tail.Add(int64(bytes)) }

// watchStore looks regularly how full the store is.
func (s *Server) watchStore() {
	ticker := time.NewTicker(usageInterval)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
			s.lookAtStore()
			if s.failing.Load() {
				s.probeStore()
			}
		}
	}
}

// probeStore finds out whether a store that has failed works again, though no device comes to use it: one that is not ready
// is sent none. It stores that a group is gone which never was.
func (s *Server) probeStore() {
	var group d2m.GroupID
	rand.Read(group[:])
	snapshot, err := s.store.Claim(group)
	if err != nil {
		return
	}
	defer s.store.Release(group, snapshot.Epoch)
	if s.store.Commit([]*reflect.Batch{{Group: group, Epoch: snapshot.Epoch, Erase: true}})[0] == nil {
		s.storeWorks()
	}
}

func (s *Server) lookAtStore() {
	used, limit, err := s.store.Usage()
	if err != nil || limit == 0 {
		return
	}
	s.setFull(used >= limit)
	s.crowded.Store(used >= limit/8*crowdedEighths)
}

// storeFailed notes that the store did not do what it was asked (B43).
func (s *Server) storeFailed(err error) {
	s.counters.storeFailures.Add(1)
	s.left.Store(time.Now().UnixMilli())
	s.logStoreFailed(err)
}
