package crash

import (
	"fmt"

	"openmediator/internal/history"
)

// tally counts what has happened in a run.
type tally struct {
	groups, devices, connections int

	sent, ephemeral int
	acked, unknown  int // Reflects with and without an ack
	received, again int // Reflected, and how many of them came again
	kept            int // acks that left more than AckGrace before their server was killed

	commits
}

func (s *tally) add(h *history.History) {
	s.groups++
	s.devices += len(h.Devices)
	for _, d := range h.Devices {
		s.addDevice(h.Servers, d.Events)
	}
	s.commits.add(h)
}

func (s *tally) addDevice(servers []history.Server, events []history.Event) {
	seen := make(map[history.Content]bool)
	server := history.Server{}
	for _, e := range events {
		switch e.Kind {
		case history.Connected:
			s.connections++
			server = servers[e.Server-1]
		case history.Sent:
			if e.Ephemeral {
				s.ephemeral++
			} else {
				s.sent++
				s.unknown++
			}
		case history.Acked:
			s.acked++
			s.unknown--
		case history.Received:
			s.received++
			if seen[e.Content] {
				s.again++
			}
			seen[e.Content] = true
		case history.AckSent:
			if server.Killed && server.At > e.At+history.AckGrace {
				s.kept++
			}
		}
	}
}

// String implements fmt.Stringer.
func (s *tally) String() string {
	return fmt.Sprintf("%d groups, %d devices, %d connections: %d messages sent, %d acked, %d with unknown outcome, "+
		"%d ephemerals; %d received, %d of them again; %d acks that had to survive a kill; %v",
		s.groups, s.devices, s.connections, s.sent, s.acked, s.unknown, s.ephemeral, s.received, s.again, s.kept, &s.commits)
}
