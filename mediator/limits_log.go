package mediator

import (
	"time"

	"openmediator/devicegroup"
)

// limitKind names a limit.
type limitKind uint8

const (
	limitNone limitKind = iota
	limitConnections
	limitRequests
	limitUnauthenticated
	limitGroupConnections
	limitAddressConnections
	limitAddressRequests
	limitAddressUnauthenticated
	limitAddressUpgrades
	limitAddressGroups
	limitKinds
)

// What there is too much of.
var limitNames = [limitKinds]string{
	limitNone:                   "of nothing",
	limitConnections:            "connections",
	limitRequests:               "requests",
	limitUnauthenticated:        "connections that are not logged in",
	limitGroupConnections:       "connections of one group",
	limitAddressConnections:     "connections from this address",
	limitAddressRequests:        "requests from this address",
	limitAddressUnauthenticated: "connections from this address that are not logged in",
	limitAddressUpgrades:        "connections from this address in a minute",
	limitAddressGroups:          "new groups from this address",
}

func (k limitKind) String() string { return limitNames[k] }

// limitsInterval is between two lines in the log about the same limit.
const limitsInterval = time.Minute

// watchLimits says once a minute which limits have refused somebody, and forgets addresses.
func (s *Server) watchLimits() {
	ticker := time.NewTicker(limitsInterval)
	defer ticker.Stop()
	var front time.Time // of the last line about proxies
	for {
		select {
		case <-s.stop:
			return
		case now := <-ticker.C:
			s.logLimits()
			s.logFront(now, &front)
			s.limits.mu.Lock()
			s.limits.sweep(now)
			s.limits.mu.Unlock()
		}
	}
}

func (s *Server) logLimits() {
	for kind := range limitKinds {
		if n := s.limits.refused[kind].Swap(0); n > 0 {
			s.config().Log.Warn().Stringer("limit", kind).Int64("refused", n).Msg("connections refused: a limit was reached")
		}
	}
}

// isLimit says whether a connection ends for a limit, which has a line in the log of its own.
func isLimit(why devicegroup.Close) bool { return why == tooManyOfGroup || why == tooManyNewGroups }
