package chatserver

import (
	"slices"
	"sync"

	"openmediator/csp"
)

// session is a logged-in client.
type session struct {
	// fixed
	identity csp.Identity
	device   *csp.DeviceID // nil: the client has none
	features csp.Features
	conn     *conn

	// guarded by the mutex of sessions
	live    bool   // among those of its identity
	unblock uint64 // when it unblocked, counted; 0: not yet
}

// sessions knows who is connected, and decides who gets the messages of an identity and whose connection ends for
// another one's. It does no I/O and calls nobody, so it may be asked with anything locked.
type sessions struct {
	limit int // sessions of one identity

	mu       sync.Mutex
	live     map[csp.Identity][]*session // in the order of login; no empty entries
	unblocks uint64
}

func newSessions(limit int) *sessions {
	return &sessions{limit: limit, live: make(map[csp.Identity][]*session)}
}

// How a connection ends that has to make room for another one of its identity.
var (
	replaced     = csp.Closed{MayReconnect: false, Text: "Another connection of this identity was opened"}
	replacedSame = csp.Closed{MayReconnect: true, Text: "Another connection of this device was opened"}
)

// ending is a session that is over, and what its client is told.
type ending struct {
	session *session
	why     csp.Closed
}

// login adds a session and returns those that end for it. A session without a device id ends all others, and has
// unblocked from the start. One with a device id ends those without, and the older one of the same device. It reports
// false if too many live side by side; then nothing has changed.
func (s *sessions) login(one *session) (ended []ending, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var stay []*session
	for _, other := range s.live[one.identity] {
		switch {
		case one.device == nil || other.device == nil:
			ended = append(ended, ending{other, replaced})
		case *one.device == *other.device:
			ended = append(ended, ending{other, replacedSame})
		default:
			stay = append(stay, other)
		}
	}
	if len(stay) >= s.limit {
		return nil, false
	}
	for _, e := range ended {
		e.session.live = false
	}
	one.live = true
	s.live[one.identity] = append(stay, one)
	if one.device == nil {
		s.markUnblocked(one)
	}
	return ended, true
}

// unblocked notes that a session wants messages. It has no effect on one that has done so before.
func (s *sessions) unblocked(one *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one.unblock == 0 {
		s.markUnblocked(one)
	}
}

func (s *sessions) markUnblocked(one *session) {
	s.unblocks++
	one.unblock = s.unblocks
}

// logout takes a session away. It has no effect on one that has ended for another.
func (s *sessions) logout(one *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !one.live {
		return
	}
	one.live = false
	rest := slices.DeleteFunc(s.live[one.identity], func(other *session) bool { return other == one })
	if len(rest) == 0 {
		delete(s.live, one.identity)
		return
	}
	s.live[one.identity] = rest
}

// receiver returns the session that gets the messages of an identity: of those that have unblocked the last. It is nil
// if none has.
func (s *sessions) receiver(id csp.Identity) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	var last *session
	for _, one := range s.live[id] {
		if one.unblock != 0 && (last == nil || one.unblock > last.unblock) {
			last = one
		}
	}
	return last
}
