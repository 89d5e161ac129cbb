package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"openmediator/d2m"
	"openmediator/internal/history"
)

// report tells people, or programs, how the run goes.
type report struct {
	// fixed
	settings settings

	mu  sync.Mutex
	out io.Writer
}

func newReport(s settings, out io.Writer) *report { return &report{settings: s, out: out} }

// finding is something that a correct server does not do.
type finding struct {
	Seed    uint64
	Group   int
	Text    string
	History string `json:",omitempty"`

	kind kind
}

func (p *report) print(event string, text string, values any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.settings.asJSON {
		fmt.Fprintln(p.out, text)
		return
	}
	line, err := json.Marshal(map[string]any{"event": event, "value": values})
	if err != nil {
		panic(err) // numbers and texts
	}
	fmt.Fprintf(p.out, "%s\n", line)
}

func (p *report) begin() {
	s := &p.settings
	p.print("begin", fmt.Sprintf("seed %d, %v, %d groups, %d Reflects per second attempted, faults %v",
		s.seed, s.duration, s.groups, s.rate, s.faults),
		map[string]any{
			"seed": s.seed, "seconds": s.duration.Seconds(), "groups": s.groups, "rate": s.rate, "faults": s.faults.String(),
		})
}

func (p *report) note(format string, arguments ...any) {
	text := fmt.Sprintf(format, arguments...)
	p.print("note", text, text)
}

func (p *report) finding(f finding) {
	f.Seed = p.settings.seed
	p.print("finding", fmt.Sprintf("FINDING with seed %d, group %d (kind %d): %s\n%s",
		f.Seed, f.Group, f.kind, f.Text, f.History), f)
}

// follow prints a line every 5 s until what it returns is called.
func (p *report) follow(t *tally) (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(5 * time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				p.progress(t)
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		running.Wait()
	}
}

func (p *report) progress(t *tally) {
	s := t.summary()
	p.print("progress", fmt.Sprintf("%4.0f s: %d sent, %d acked, %d received; %d kills, %d terminations, %d stops, "+
		"%d cut or swallowed; %d connections, %d open; %d groups judged; %d findings",
		s.Seconds, s.Sent, s.Acked, s.Received, s.Kills, s.Terminations, s.Stops, s.Faulty, s.Connections, s.Open, s.Groups, s.Findings), s)
}

func (p *report) end(t *tally, data string) {
	s := t.summary()
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %.0f s, %d groups judged by %d events, %d findings\n",
		p.settings.seed, s.Seconds, s.Groups, s.Events, s.Findings)
	fmt.Fprintf(&b, "  messages      %d sent (%.0f/s), %d acked, %d ephemerals, %d received (%.0f/s)\n",
		s.Sent, float64(s.Sent)/s.Seconds, s.Acked, s.Ephemeral, s.Received, float64(s.Received)/s.Seconds)
	fmt.Fprintf(&b, "  server        %d kills, %d terminations, %d stops\n", s.Kills, s.Terminations, s.Stops)
	fmt.Fprintf(&b, "  connections   %d, %d left open and replaced; roads: %s\n", s.Connections, s.Duplicates, list(s.Roads))
	fmt.Fprintf(&b, "  ends          %s\n", list(s.Ends))
	fmt.Fprintf(&b, "  transactions  %d begun, %d rejected, %d committed, %d left, %d expired, %d over the limit\n",
		s.Begun, s.Rejected, s.Committed, s.Left, s.Expired, s.Staged)
	fmt.Fprintf(&b, "  requests      %d DropDevice, %d GetDevicesInfo, %d SetSharedDeviceData\n", s.Drops, s.Asked, s.Shared)
	fmt.Fprintf(&b, "  chat server   %d units came back\n", s.Units)
	fmt.Fprintf(&b, "  honest acks   %d while the server ran undisturbed, half within %.1f ms, 99 %% within %.1f ms",
		s.Honest, s.HonestHalf, s.Honest99)
	if p.settings.attackers > 0 {
		fmt.Fprintf(&b, "\n  while attacked %d by %d connections of strangers: half within %.1f ms, 99 %% within %.1f ms, %.2f of that before",
			s.Attacked, s.Assaults, s.AttackedHalf, s.Attacked99, s.Attacked99/s.Honest99)
	}
	if s.Findings > 0 {
		fmt.Fprintf(&b, "\n  data          %s", data)
	}
	p.print("end", b.String(), s)
}

func list(counts map[string]int) string {
	var parts []string
	for name, n := range counts {
		parts = append(parts, fmt.Sprintf("%s %d", name, n))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// summary is the tally at a moment.
type summary struct {
	Seconds                                           float64
	Groups, Events, Findings                          int64
	Sent, Acked, Ephemeral, Received                  int64
	Kills, Terminations, Stops                        int64
	Connections, Duplicates, Open, Faulty             int64
	Begun, Rejected, Committed, Left, Expired, Staged int64
	Drops, Asked, Shared, Units                       int64
	Roads, Ends                                       map[string]int
	Honest                                            int64
	HonestHalf, Honest99                              float64 // milliseconds
	Attacked, Assaults                                int64   // acks while there was an attack; connections of strangers
	AttackedHalf, Attacked99                          float64 // milliseconds
}

func (t *tally) summary() summary {
	s := summary{
		Seconds: time.Since(t.started).Seconds(),
		Groups:  t.groups.Load(), Events: t.events.Load(), Findings: t.findings.Load(),
		Sent: t.sent.Load(), Acked: t.acked.Load(), Ephemeral: t.ephemeral.Load(), Received: t.received.Load(),
		Kills: t.kills.Load(), Terminations: t.terms.Load(), Stops: t.stops.Load(),
		Connections: t.connections.Load(), Duplicates: t.duplicates.Load(), Open: t.open.Load(),
		Begun: t.begun.Load(), Rejected: t.rejected.Load(), Committed: t.committed.Load(),
		Left: t.left.Load(), Expired: t.expired.Load(), Staged: t.staged.Load(),
		Drops: t.drops.Load(), Asked: t.asked.Load(), Shared: t.shared.Load(), Units: t.units.Load(),
		Roads: make(map[string]int), Ends: t.copyEnds(),
	}
	for kind := range roadKinds {
		n := t.roads[kind].Load()
		s.Roads[roadNames[kind]] = int(n)
		if (road{kind: kind}).faulty() {
			s.Faulty += n
		}
	}
	half, n := t.latency.quantile(0.5)
	most, _ := t.latency.quantile(0.99)
	s.Honest, s.HonestHalf, s.Honest99 = n, float64(half)/1e6, float64(most)/1e6
	half, n = t.attackLatency.quantile(0.5)
	most, _ = t.attackLatency.quantile(0.99)
	s.Attacked, s.AttackedHalf, s.Attacked99 = n, float64(half)/1e6, float64(most)/1e6
	s.Assaults = t.assaults.Load()
	return s
}

// shortenLimit is how long a history may be shortened.
const shortenLimit = 20 * time.Second

// findHistory reports a history that no correct server could have caused.
func (r *run) findHistory(g *group, h *history.History, err error) {
	if r.hopeless.Err() != nil {
		return
	}
	short := history.Shorten(h, shortenLimit)
	text := "in short: " + sentence(history.Check(short)) + "\n" + short.String()
	r.find(finding{Group: g.number, Text: err.Error(), kind: g.kind, History: text})
}

// sentence returns what is wrong about a history without the excerpt.
func sentence(err error) string {
	first, _, _ := strings.Cut(fmt.Sprint(err), "\n")
	return first
}

// excerpt returns the end of a device's history.
func excerpt(h *history.History, id d2m.DeviceID) string {
	const last = 60
	_, own, _ := strings.Cut("\n"+h.String(), fmt.Sprintf("\ndevice %d\n", id)) // lines of others may end with its name
	lines := strings.Split(own, "\n")
	if end := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "device ") }); end >= 0 {
		lines = lines[:end]
	}
	return strings.Join(lines[max(0, len(lines)-last):], "\n")
}
