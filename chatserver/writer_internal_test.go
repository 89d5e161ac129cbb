package chatserver

import (
	"runtime"
	"testing"
)

// A session that becomes the one that gets messages when its turn has just begun is told of them in that turn, since the
// turn takes the notice that there are some.
func TestUnblockDuringATurnIsNotLost(t *testing.T) {
	for range 1000 {
		s := &Server{sessions: newSessions(1)}
		c := newConn(s, nil)
		c.session = &session{conn: c}
		s.sessions.live[c.session.identity] = []*session{c.session}
		taken := make(chan turn)
		c.mu.Lock()
		go func() { taken <- c.take() }()
		for range 10 {
			runtime.Gosched() // the turn waits for the lock then, or has not begun
		}
		s.sessions.unblocked(c.session)
		c.behind = true
		c.mu.Unlock()
		if !(<-taken).behind {
			t.Fatal("nobody looks at the queue")
		}
	}
}
