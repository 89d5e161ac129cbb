package client

import (
	"errors"
	"testing"
	"time"
)

func TestEchoClock(t *testing.T) {
	begin := time.Now()
	at := func(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }
	var e echoClock
	tick := func(seconds int, ask bool, end error) {
		t.Helper()
		if got, err := e.tick(at(seconds)); got != ask || !errors.Is(err, end) || (err == nil) != (end == nil) {
			t.Errorf("at %d s: ask %v, %v; want %v, %v", seconds, got, err, ask, end)
		}
	}
	e.heard(at(0))
	tick(19, false, nil)
	tick(20, false, errChatLogin)

	e.loggedIn = true
	e.heard(at(100))
	tick(114, false, nil)
	tick(115, true, nil)
	tick(124, false, nil)
	e.heard(at(124)) // whatever it is
	tick(125, false, nil)
	tick(138, false, nil)
	tick(139, true, nil)
	tick(148, false, nil)
	if due := e.due(); !due.Equal(at(149)) {
		t.Errorf("due at %v", due.Sub(begin))
	}
	tick(149, false, errChatSilent)
}
