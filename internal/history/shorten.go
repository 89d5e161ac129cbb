package history

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// Shorten returns a history with a part of the events that breaks the same rule in the same way, as short as can be found in
// some time. One that breaks none is returned as it is. Of each device that is left it keeps the last connection that ran
// dry, for that shows that what is missing is not only late. The history is not changed.
func Shorten(h *History, limit time.Duration) *History {
	s := &shortening{wanted: verdict(h), best: h, end: time.Now().Add(limit)}
	if s.wanted == "" {
		return h
	}
	for {
		before := s.best.events()
		s.dropDevices()
		s.dropContents()
		s.dropConnections()
		s.dropEvents()
		if s.best.events() == before || s.isLate() {
			s.dropServers()
			return s.best
		}
	}
}

type shortening struct {
	wanted string
	best   *History
	end    time.Time
}

// verdict is what is wrong about a history, without the numbers.
func verdict(h *History) string {
	var v *Violation
	if !errors.As(Check(h), &v) {
		return ""
	}
	return v.Rule + strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, v.Text)
}

func (s *shortening) isLate() bool { return time.Now().After(s.end) }

func (h *History) events() (n int) {
	for _, d := range h.Devices {
		n += len(d.Events)
	}
	return n
}

// try takes a history if it shows the same.
func (s *shortening) try(h *History) bool {
	if h.events() >= s.best.events() || s.isLate() || verdict(h) != s.wanted {
		return false
	}
	s.best = h
	return true
}

// kept returns the events that show that a device has got all: its last Dry, and the connection on which that was.
func (h *History) kept() map[place]bool {
	kept := make(map[place]bool)
	for d := range h.Devices {
		dry := false
		for i := len(h.Devices[d].Events) - 1; i >= 0; i-- {
			kind := h.Devices[d].Events[i].Kind
			if kind == Dry && !dry || kind == Connected && dry {
				kept[place{d, i}] = true
				dry = true
			}
			if kind == Connected && dry {
				break
			}
		}
	}
	return kept
}

// without returns a history without some events.
func (h *History) without(drop func(p place, e *Event) bool) *History {
	short := &History{Servers: h.Servers, Devices: make([]Device, len(h.Devices))}
	for d := range h.Devices {
		short.Devices[d].ID = h.Devices[d].ID
		for i := range h.Devices[d].Events {
			if e := &h.Devices[d].Events[i]; !drop(place{d, i}, e) {
				short.Devices[d].Events = append(short.Devices[d].Events, *e)
			}
		}
	}
	return short
}

// dropDevices leaves out devices that have no part in it, with all that they have sent.
func (s *shortening) dropDevices() {
	for d := range s.best.Devices {
		about := s.best.about()
		own := make(map[Content]bool)
		for _, e := range s.best.Devices[d].Events {
			if e.Kind == Sent || e.Kind == BeginSent {
				own[e.Content] = true
			}
		}
		s.try(s.best.without(func(p place, _ *Event) bool { return p.device == d || own[about[p]] }))
	}
}

// dropContents leaves out messages and transactions, many at a time as long as that goes.
func (s *shortening) dropContents() {
	var contents []Content
	seen := make(map[Content]bool)
	about := s.best.about()
	for d := range s.best.Devices {
		for i := range s.best.Devices[d].Events {
			if content, has := about[place{d, i}]; has && !seen[content] {
				seen[content] = true
				contents = append(contents, content)
			}
		}
	}
	for size := len(contents); size > 0; size /= 2 {
		for chunk := range slices.Chunk(contents, size) {
			about := s.best.about()
			s.try(s.best.without(func(p place, _ *Event) bool {
				content, has := about[p]
				return has && slices.Contains(chunk, content)
			}))
		}
	}
}

// dropConnections leaves out connections.
func (s *shortening) dropConnections() {
	for d := range s.best.Devices {
		for i := len(s.best.Devices[d].Events) - 1; i >= 0; i-- {
			if s.best.Devices[d].Events[i].Kind != Connected {
				continue
			}
			end := i + 1
			for ; end < len(s.best.Devices[d].Events) && s.best.Devices[d].Events[end].Kind != Connected; end++ {
			}
			kept := s.best.kept()
			s.try(s.best.without(func(p place, _ *Event) bool { return p.device == d && p.event >= i && p.event < end && !kept[p] }))
		}
	}
}

// dropEvents leaves out single events.
func (s *shortening) dropEvents() {
	for d := range s.best.Devices {
		for i := len(s.best.Devices[d].Events) - 1; i >= 0; i-- {
			if p := (place{d, i}); !s.best.kept()[p] {
				s.try(s.best.without(func(other place, _ *Event) bool { return other == p }))
			}
		}
	}
}

// dropServers forgets the kills of servers that have no part in it, and devices without events.
func (s *shortening) dropServers() {
	short := s.best.without(func(place, *Event) bool { return false })
	short.Servers = slices.Clone(short.Servers)
	used := make(map[int]bool)
	for _, d := range short.Devices {
		for _, e := range d.Events {
			used[e.Server] = true
		}
	}
	for i := range short.Servers {
		if !used[i+1] {
			short.Servers[i] = Server{}
		}
	}
	short.Devices = slices.DeleteFunc(short.Devices, func(d Device) bool { return len(d.Events) == 0 })
	if verdict(short) == s.wanted {
		s.best = short
	}
}

// about returns which message or transaction an event is about.
func (h *History) about() map[place]Content {
	about := make(map[place]Content)
	for d := range h.Devices {
		var unacked, begun, committed []Content
		var open Content
		ids := make(map[uint32]Content)
		for i := range h.Devices[d].Events {
			p, e := place{d, i}, &h.Devices[d].Events[i]
			next := func(queue *[]Content) {
				if len(*queue) > 0 {
					about[p] = (*queue)[0]
					*queue = (*queue)[1:]
				}
			}
			switch e.Kind {
			case Connected:
				unacked, begun, committed = nil, nil, nil
			case Sent:
				about[p] = e.Content
				if !e.Ephemeral {
					unacked = append(unacked, e.Content)
				}
			case Acked:
				next(&unacked)
			case Received:
				about[p] = e.Content
				ids[uint32(e.ID)] = e.Content
			case AckSent:
				if content, has := ids[uint32(e.ID)]; has {
					about[p] = content
				}
			case BeginSent:
				about[p], open = e.Content, e.Content
				begun = append(begun, e.Content)
			case BeginAcked, Rejected:
				next(&begun)
			case CommitSent:
				about[p] = open
				committed = append(committed, open)
			case CommitAcked:
				next(&committed)
			case TransactionEnded:
				about[p] = e.Content
			}
		}
	}
	return about
}
