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

// The same for metrics.
var limitLabels = [limitKinds]string{
	limitNone:                   "none",
	limitConnections:            "connections",
	limitRequests:               "requests",
	limitUnauthenticated:        "unauthenticated",
	limitGroupConnections:       "group_connections",
	limitAddressConnections:     "address_connections",
	limitAddressRequests:        "address_requests",
	limitAddressUnauthenticated: "address_unauthenticated",
	limitAddressUpgrades:        "address_upgrades",
	limitAddressGroups:          "address_groups",
}

// limitsInterval is between two lines in the log about the same limit.
const limitsInterval = time.Minute

// watchLimits says once a minute which limits have refused somebody, and forgets addresses.
func (s *Server) watchLimits() {
	ticker := time.NewTicker(limitsInterval)
	defer ticker.Stop()
	var front time.Time          // of the last line about proxies
	var logged [limitKinds]int64 // of what was refused
	for {
		select {
		case <-s.stop:
			return
		case now := <-ticker.C:
			s.logLimits(&logged)
			s.logFront(now, &front)
			s.limits.mu.Lock()
			s.limits.sweep(now)
			s.limits.mu.Unlock()
		}
	}
}

// logLimits tells what was refused and is not logged yet.
func (s *Server) logLimits(logged *[limitKinds]int64) {
	for kind := range limitKinds {
		refused := s.limits.refused[kind].Load()
		n := refused - logged[kind]
		if logged[kind] = refused; n > 0 {
			s.config().Log.Warn().Str("limit", kind.String()).Int64("refused", n).Msg("connections refused: a limit was reached")
		}
	}
}

// isLimit says whether a connection ends for a limit, which has a line in the log of its own.
func isLimit(why devicegroup.Close) bool { return why == tooManyOfGroup || why == tooManyNewGroups }
