package mediator

// Condition is what decides whether devices should be sent to a server.
type Condition struct {
	Listening    bool // at least one listener is served
	Stopping     bool // no connection is accepted any more (B41)
	StoreFailing bool // the last write failed (B43)
	StoreFull    bool // no message is accepted (B22)
	Upstream     Upstream
}

// Ready says whether devices should be sent to the server. A store that is full is no reason against it: devices that
// acknowledge are what makes room. Nor is the chat server: without it devices still reflect.
func (c Condition) Ready() bool { return c.Listening && !c.Stopping && !c.StoreFailing }

// Upstream is what is known of the way to the chat servers.
type Upstream uint8

const (
	UpstreamNone    Upstream = iota // none is configured
	UpstreamUntried                 // no device has asked for one yet
	UpstreamWorks                   // the last try reached one
	UpstreamFails                   // the last try did not
)

// Condition tells how the server is. It is cheap, and waits for nothing.
func (s *Server) Condition() Condition {
	s.mu.Lock()
	c := Condition{Listening: len(s.servers) > 0, Stopping: s.stopping}
	s.mu.Unlock()
	c.Listening = c.Listening && !c.Stopping
	c.StoreFailing, c.StoreFull = s.failing.Load(), s.full.Load()
	switch chat := s.chat.Stats(); {
	case !chat.Configured:
		c.Upstream = UpstreamNone
	case chat.LastFailed:
		c.Upstream = UpstreamFails
	case chat.Reached > 0:
		c.Upstream = UpstreamWorks
	default:
		c.Upstream = UpstreamUntried
	}
	return c
}
