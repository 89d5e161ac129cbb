package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// measured is a row with its figures: for each contestant those of all rounds.
type measured struct {
	row
	rounds map[string][]figures
}

// measure runs the rounds of a row.
func measure(ctx context.Context, r row, o options, progress func(string, ...any)) (measured, error) {
	m := measured{row: r, rounds: map[string][]figures{}}
	for round := range o.Rounds {
		note := func(id string, f figures, start time.Time) {
			m.rounds[id] = append(m.rounds[id], f)
			progress("%s round %d of %d: %-22s %s (%.1f s)", r.id, round+1, o.Rounds, id, r.summary(f), time.Since(start).Seconds())
		}
		if err := r.round(ctx, round, o, note); err != nil {
			return m, err
		}
	}
	return m, nil
}

// round gives each contestant its turn and notes its figures.
func (r row) round(ctx context.Context, round int, o options, note func(id string, f figures, start time.Time)) error {
	if r.together != nil {
		start := time.Now()
		all, err := turn(ctx, r.together, o)
		if err != nil {
			return fmt.Errorf("%s: %w", r.id, err)
		}
		for _, c := range r.contestants {
			note(c.id, all[c.id], start)
		}
		return nil
	}
	for i := range r.contestants {
		c := r.contestants[(round+i)%len(r.contestants)]
		start := time.Now()
		f, err := turn(ctx, c.run, o)
		if err != nil {
			return fmt.Errorf("%s/%s: %w", r.id, c.id, err)
		}
		note(c.id, f, start)
	}
	return nil
}

// turn measures in an empty directory.
func turn[F any](ctx context.Context, measure func(run) (F, error), o options) (f F, err error) {
	dir, err := os.MkdirTemp(o.Dir, "compare-")
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return measure(run{ctx, o, dir})
}

func (r row) summary(f figures) (text string) {
	for _, m := range r.metrics {
		if value, ok := f[m.key]; ok {
			text += fmt.Sprintf("%s %s  ", number(value), m.name)
		}
	}
	return text
}

// spread is what several rounds have shown.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// spread returns the figures of a contestant; ok says whether there are any.
func (m measured) spread(contestant string, kind metric) (s spread, ok bool) {
	var values []float64
	for _, f := range m.rounds[contestant] {
		if value, ok := f[kind.key]; ok {
			values = append(values, value)
		}
	}
	if len(values) == 0 {
		return spread{}, false
	}
	slices.Sort(values)
	middle := len(values) / 2
	s = spread{values[middle], values[0], values[len(values)-1]}
	if len(values)%2 == 0 {
		s.Median = (values[middle-1] + values[middle]) / 2
	}
	return s, true
}
