package crash

import (
	"fmt"

	"openmediator/internal/history"
)

// commits counts what became of transactions.
type commits struct {
	begun, rejected, committed int
	there, gone                int          // commits without an ack, and whether their messages were delivered
	kills                      map[int]bool // servers that were killed between a commit and its ack
}

// attempt is a CommitTransaction without an ack so far.
type attempt struct {
	event    history.Event
	server   int
	messages []history.Content // what was reflected behind the BeginTransaction
}

func (s *commits) add(h *history.History) {
	received := make(map[history.Content]bool)
	for _, d := range h.Devices {
		for _, e := range d.Events {
			if e.Kind == history.Received {
				received[e.Content] = true
			}
		}
	}
	for _, d := range h.Devices {
		for _, a := range s.addDevice(h, d.Events) {
			s.decide(&a, received)
		}
	}
}

// decide counts a commit without an ack.
func (s *commits) decide(a *attempt, received map[history.Content]bool) {
	for _, m := range a.messages {
		if received[m] {
			s.there++
			return
		}
	}
	s.gone++
}

// addDevice returns the commits that were never acked.
func (s *commits) addDevice(h *history.History, events []history.Event) (unknown []attempt) {
	var current attempt
	for _, e := range events {
		waits := current.event.Kind == history.CommitSent
		switch e.Kind {
		case history.Connected:
			current = attempt{server: e.Server}
		case history.BeginSent:
			s.begun++
			current = attempt{server: current.server}
		case history.Rejected:
			s.rejected++
		case history.Sent:
			if !waits && !e.Ephemeral {
				current.messages = append(current.messages, e.Content)
			}
		case history.CommitSent:
			current.event = e
		case history.CommitAcked:
			s.committed++
			s.interrupted(h, &current, e)
			current = attempt{server: current.server}
		case history.Ended:
			if waits {
				s.interrupted(h, &current, e)
				unknown = append(unknown, current)
				current = attempt{}
			}
		}
	}
	return unknown
}

// interrupted notes a kill between a commit and its ack, or the end of its connection.
func (s *commits) interrupted(h *history.History, a *attempt, end history.Event) {
	server := h.Servers[a.server-1]
	if server.Killed && a.event.At < server.At && server.At < end.At {
		if s.kills == nil {
			s.kills = make(map[int]bool)
		}
		s.kills[a.server] = true
	}
}

// String implements fmt.Stringer.
func (s *commits) String() string {
	return fmt.Sprintf("%d transactions begun, %d rejected, %d committed, %d committed without an ack and there, %d and gone; "+
		"%d kills between a commit and its ack", s.begun, s.rejected, s.committed, s.there, s.gone, len(s.kills))
}
