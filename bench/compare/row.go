package main

import (
	"context"
	"fmt"
	"path"
)

// metric is a kind of figure.
type metric struct {
	key  string // in JSON
	name string // in the table, with its unit
}

// Kinds of figures.
var (
	rate       = metric{"per_s", "per second"}
	cpu        = metric{"server_cpu_s_per_100000", "server CPU, s per 100,000"}
	ackLatency = metric{"latency_p50_us", "p50, µs"}
)

// loadCPU is a figure that is in JSON alone: what the load generator costs shows whether the contestants are driven alike.
const loadCPU = "load_cpu_s_per_100000"

// figures are what a run of a contestant shows, by the key of the metric.
type figures map[string]float64

// contestant is a program in one setting.
type contestant struct {
	id        string
	name      string
	guarantee string // what it promises to whom it has answered
	run       func(r run) (figures, error)
	missing   func() error // says what has to be installed; nil: nothing
	version   func() (name, version string)
}

// run is one turn of a contestant.
type run struct {
	context.Context
	options
	dir string // empty, for its files
}

// goal says how the figure of this server is to compare with that of a peer.
type goal struct {
	metric metric
	own    string  // contestant of this server
	peer   string  // another one
	factor float64 // of the peer's figure
	atMost bool    // the figure is to be at most that; otherwise at least
}

// row is one kind of work.
type row struct {
	id          string
	title       string
	metrics     []metric
	contestants []contestant
	goals       []goal
	together    func(run) (map[string]figures, error) // measures all contestants in one turn, if they have no run of their own
}

// ownID is the contestant that all others are compared with.
const ownID = "mediator"

// chosen returns the rows that the patterns name, each ROW or ROW/CONTESTANT as in path.Match; without patterns all.
func chosen(rows []row, patterns []string) ([]row, error) {
	if len(patterns) == 0 {
		return rows, nil
	}
	used := make([]bool, len(patterns))
	var some []row
	for _, r := range rows {
		all := r.contestants
		r.contestants = nil
		for _, c := range all {
			for i, pattern := range patterns {
				whole, err := path.Match(pattern, r.id)
				if err != nil {
					return nil, fmt.Errorf("--only %s: %w", pattern, err)
				}
				if one, _ := path.Match(pattern, r.id+"/"+c.id); whole || one {
					used[i] = true
					r.contestants = append(r.contestants, c)
					break
				}
			}
		}
		if len(r.contestants) > 0 {
			some = append(some, r)
		}
	}
	for i, pattern := range patterns {
		if !used[i] {
			return nil, fmt.Errorf("--only %s: names nothing; --list shows what there is", pattern)
		}
	}
	return some, nil
}
