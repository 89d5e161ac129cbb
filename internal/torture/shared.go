package main

import (
	"fmt"
	"strings"
	"time"

	"openmediator/internal/history"
)

// sharedData is what is known of the values that devices of a group have set (B33). A set has no ack: it is known to be
// durable when a Reflect is acked that was sent behind it.
type sharedData struct {
	sets []set
}

// set is one SetSharedDeviceData.
type set struct {
	value      history.Content
	connection *connection // nil for the empty value that a group begins with
	sent       time.Time
	durable    time.Time // zero if that is not known
}

// unproven is a set that is durable when one more Reflect of its connection is acked than had been sent before it.
type unproven struct {
	number   int // in sharedData
	reflects int
}

// newSharedData begins with the empty value.
func newSharedData() sharedData {
	began := time.Now()
	return sharedData{[]set{{value: history.ContentOf(nil), sent: began, durable: began}}}
}

// add notes that a value is about to be set, and returns its number.
func (s *sharedData) add(value history.Content, on *connection) int {
	s.sets = append(s.sets, set{value: value, connection: on, sent: time.Now()})
	return len(s.sets) - 1
}

// isDurable notes that a set has an ack behind it.
func (s *sharedData) isDurable(number int) { s.sets[number].durable = time.Now() }

// check judges the value that a login has got which began at a moment: somebody has set it, and it is not known to have been
// replaced by then. A group that may have begun anew meanwhile, because it had lost all its slots, may have lost its value.
func (s *sharedData) check(value history.Content, began time.Time, anew bool) string {
	known := false
	for i := range s.sets {
		if s.sets[i].value != value {
			continue
		}
		known = true
		if anew || !s.isReplaced(&s.sets[i], began) {
			return ""
		}
	}
	if known {
		return "B33: ServerInfo has shared data that had been replaced"
	}
	return "B33: ServerInfo has shared data that nobody has set"
}

// isReplaced says whether a later set is known to have taken the place of one.
func (s *sharedData) isReplaced(old *set, by time.Time) bool {
	for i := range s.sets {
		next := &s.sets[i]
		if next != old && !next.durable.IsZero() && next.durable.Before(by) && old.isBefore(next) {
			return true
		}
	}
	return false
}

// isBefore says whether the server has certainly handled a set before another one.
func (s *set) isBefore(next *set) bool {
	if s.connection == next.connection {
		return s.sent.Before(next.sent)
	}
	return !s.durable.IsZero() && s.durable.Before(next.sent)
}

// describe lists all sets, and says which of them are of a value.
func (s *sharedData) describe(value history.Content, now time.Time) string {
	var b strings.Builder
	ago := func(t time.Time) string {
		if t.IsZero() {
			return "not that is known"
		}
		return fmt.Sprintf("%.4f s ago", now.Sub(t).Seconds())
	}
	for i := range s.sets {
		set := &s.sets[i]
		fmt.Fprintf(&b, "\n  set %s, durable %s", ago(set.sent), ago(set.durable))
		if c := set.connection; c != nil {
			fmt.Fprintf(&b, ", by device %d on server %d", c.id, c.life.number)
		}
		if set.value == value {
			b.WriteString(": this one")
		}
	}
	return b.String()
}
