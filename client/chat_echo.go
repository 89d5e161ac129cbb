package client

import "time"

const (
	// chatLoginTimeout is for each of the chat server's two answers. The mediator gives
	// up after 10 s if it cannot reach the chat server (B37).
	chatLoginTimeout = 20 * time.Second
	// chatEchoInterval is how long the chat server may be silent before it is asked
	// for an echo, and chatEchoTimeout how long it may take for that.
	chatEchoInterval = 15 * time.Second
	chatEchoTimeout  = 10 * time.Second
)

// echoClock finds out whether the chat server is still there. It is told the time.
// Whatever comes is a sign of life, not the echo alone: on a slow link that stands
// behind messages.
type echoClock struct {
	loggedIn bool
	asked    bool
	since    time.Time // something came last, or an echo was asked for
}

// heard is called for each unit that comes.
func (e *echoClock) heard(now time.Time) { e.since, e.asked = now, false }

// due returns when tick is to be called next, if nothing comes before.
func (e *echoClock) due() time.Time {
	switch {
	case !e.loggedIn:
		return e.since.Add(chatLoginTimeout)
	case e.asked:
		return e.since.Add(chatEchoTimeout)
	}
	return e.since.Add(chatEchoInterval)
}

// tick tells whether it is time to ask for an echo, or why the connection is over.
func (e *echoClock) tick(now time.Time) (ask bool, err error) {
	switch {
	case now.Before(e.due()):
		return false, nil
	case !e.loggedIn:
		return false, &LostError{Err: errChatLogin}
	case e.asked:
		return false, &LostError{Err: errChatSilent}
	}
	e.since, e.asked = now, true
	return true, nil
}
