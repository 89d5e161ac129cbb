package main

import (
	"context"
	"strings"
	"time"

	"openmediator/admin"
	"openmediator/admin/page"
	"openmediator/d2m"
	"openmediator/mediator"
)

// shown is a server as the admin page shows it.
type shown struct {
	*operation
	started time.Time
}

// Vitals implements page.Source.
func (s *shown) Vitals() page.Vitals {
	stats, condition := s.server.Stats(), s.server.Condition()
	v := page.Vitals{
		State: stateOf(condition), Version: moduleVersion(), Started: s.started.UTC(),
		Connections: stats.Requests + stats.Unauthenticated + stats.Registered, LoggedIn: stats.Registered,
		Transactions: int(max(0, stats.Begun-stats.Committed-stats.Aborted)), ChatSessions: int(stats.Chat.Open),
		Reflected: uint64(stats.Reflected), Closes: make(map[d2m.CloseCode]uint64, len(stats.Closes)),
		StoreUsed: stats.StoreUsed, StoreLimit: stats.StoreLimit,
		Checks: []page.Check{}, Certificates: []page.Certificate{},
	}
	for code, n := range stats.Closes {
		v.Closes[code] = uint64(n)
	}
	for _, c := range admin.ReadinessOf(condition).Checks {
		v.Checks = append(v.Checks, page.Check{Name: c.Name, OK: c.OK, Text: c.Text})
	}
	if s.source != nil {
		if until := s.source.Expires(); !until.IsZero() {
			v.Certificates = append(v.Certificates, page.Certificate{Name: s.settings.Load().tls.name(), Until: until.UTC()})
		}
	}
	return v
}

func stateOf(c mediator.Condition) page.State {
	switch {
	case c.Stopping:
		return page.Draining
	case c.Ready():
		return page.Ready
	}
	return page.NotReady
}

// name says whose certificate there is.
func (t *tlsSettings) name() string {
	switch {
	case len(t.domains) > 0:
		return strings.Join(t.domains, ", ")
	case t.development:
		return "of a development CA"
	}
	return t.cert
}

// Groups implements page.Source.
func (s *shown) Groups(ctx context.Context, each func(page.Group) error) error {
	return s.server.Survey(func(g mediator.GroupState) error {
		group := page.Group{
			Name: s.server.Pseudonym(g.ID), Messages: g.Messages, Bytes: g.Bytes, Oldest: moment(g.Oldest), Seen: g.Seen.UTC(), Locked: g.Locked,
		}
		for _, d := range g.Devices {
			group.Devices = append(group.Devices, page.Device{
				Name: s.server.SlotPseudonym(g.ID, d.Device), Connected: d.Connected, Leads: d.Leads, Since: d.Since.UTC(),
				Messages: d.Messages, Bytes: d.Bytes, Oldest: moment(d.Oldest),
			})
		}
		if err := each(group); err != nil {
			return err
		}
		return ctx.Err()
	})
}

// moment returns a time, or nil for none.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// Drop implements page.Source.
func (s *shown) Drop(ctx context.Context, group, device string) (found bool, err error) {
	return s.server.DropNamed(ctx, group, device)
}

// Drain implements page.Source.
func (s *shown) Drain() { s.server.Drain() }
