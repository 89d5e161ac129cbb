package admin

import (
	"encoding/json"
	"io"
	"net/http"

	"openmediator/mediator"
)

const (
	livePath    = "/livez"
	readyPath   = "/readyz"
	metricsPath = "/metrics"
)

// Readiness is the answer to GET /readyz.
type Readiness struct {
	Ready  bool    `json:"ready"`
	Checks []Check `json:"checks"`
}

// Check is one thing that was looked at.
type Check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Info bool   `json:"info,omitempty"` // it says something, and the server is ready all the same
	Text string `json:"text"`
}

// ReadinessOf tells a condition check by check.
func ReadinessOf(c mediator.Condition) Readiness {
	r := Readiness{Ready: c.Ready()}
	add := func(check Check, bad string) {
		if !check.OK {
			check.Text = bad
		}
		r.Checks = append(r.Checks, check)
	}
	check := func(name string, ok bool, good, bad string) { add(Check{Name: name, OK: ok, Text: good}, bad) }
	inform := func(name string, ok bool, good, bad string) {
		add(Check{Name: name, OK: ok, Info: true, Text: good}, bad)
	}
	check("store", !c.StoreFailing, "stores what it is given", "the last write failed: is the disk full or failing?")
	check("listener", c.Listening, "connections are accepted", "no connection is accepted yet, or any more")
	check("drain", !c.Stopping, "the server is not stopping", "the server is stopping")
	inform("room", !c.StoreFull, "the store takes messages", "the store has reached its limit: messages are refused, devices can "+
		"fetch and acknowledge what waits; raise max-store-bytes or make room")
	inform("upstream", c.Upstream != mediator.UpstreamFails, upstreamTexts[c.Upstream], upstreamTexts[c.Upstream])
	return r
}

var upstreamTexts = map[mediator.Upstream]string{
	mediator.UpstreamNone:    "no chat server is configured",
	mediator.UpstreamUntried: "no device has asked for a chat server yet",
	mediator.UpstreamWorks:   "the chat server that was asked for last was reached",
	mediator.UpstreamFails:   "the chat server that was asked for last could not be reached",
}

// live answers as long as the process serves anybody.
func (a *api) live(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, "alive\n")
}

// ready answers with 200 or 503.
func (a *api) ready(w http.ResponseWriter, _ *http.Request) {
	answer := ReadinessOf(a.Server.Condition())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !answer.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(answer)
}
