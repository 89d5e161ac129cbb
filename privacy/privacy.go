// Package privacy is the one way by which something about users reaches a log, metrics or a page for the operator (B42).
//
// Whoever wants to name a group or a connection there asks a [View] for a value, a [Who]. The value knows the device group id
// and the client's address, and gives away what the level allows at the moment when it is written, however it is printed.
//
//	level      of a connection             of a group
//	strict     a pseudonym of its own      nothing
//	operator   the same                    a pseudonym that changes with each start of the server
//	full       the same, and the address   the device group id
//
// Full is for debugging. It has an end, at most [MaxFull] away, after which strict holds.
//
// Device ids, server groups and payloads have no way here at all; a device slot has a pseudonym, which no log gets.
package privacy

import (
	"errors"
	"fmt"
	"time"
)

// Level is how much of its users a server tells its operator.
type Level uint8

const (
	Strict   Level = iota // a pseudonym per connection, nothing else
	Operator              // a pseudonym per group besides
	Full                  // the device group id and the client's address
)

var levelNames = [...]string{"strict", "operator", "full"}

// String returns the name of a level.
func (l Level) String() string { return levelNames[l] }

// ParseLevel returns the level with this name.
func ParseLevel(name string) (Level, error) {
	for i, n := range levelNames {
		if n == name {
			return Level(i), nil
		}
	}
	return 0, fmt.Errorf("privacy: %q is not one of strict, operator, full", name)
}

// MaxFull is how far away the end of [Full] may be.
const MaxFull = 31 * 24 * time.Hour

// Policy is a level and how long it holds. The zero value is strict for ever.
type Policy struct {
	Level Level
	Until time.Time // of Full: its end. The other levels have none
}

// Validate wants an end for full, not too far away; one that has passed is none too late, for strict holds then.
func (p Policy) Validate(now time.Time) error {
	switch {
	case p.Level != Full:
		return nil
	case p.Until.IsZero():
		return errors.New("privacy: full shows who the users are, and needs a time when it ends")
	case p.Until.Sub(now) > MaxFull:
		return fmt.Errorf("privacy: full until %v is more than %d days away", p.Until.Format(time.RFC3339), MaxFull/(24*time.Hour))
	}
	return nil
}

// At returns the level that holds at a moment.
func (p Policy) At(now time.Time) Level {
	if p.Level == Full && !now.Before(p.Until) {
		return Strict
	}
	return p.Level
}
