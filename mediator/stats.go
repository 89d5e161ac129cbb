package mediator

import (
	"time"

	"openmediator/chatproxy"
	"openmediator/d2m"
)

// Stats are the server's figures. What is counted is counted from its start on, and only ever rises.
type Stats struct {
	// connections that there are, by how far they have come
	Requests        int // accepted, and not upgraded yet
	Unauthenticated int // upgraded, and not registered yet
	Registered      int // closing ones included

	Upgrades       int64            // connections that were upgraded
	Refused        map[string]int64 // connections, requests and logins that a limit has refused, by limit
	Logins         int64            // devices that have registered
	WrongResponses int64            // logins without the group's key

	Reflected  int64 // messages taken from devices: to be stored, or in a transaction; ephemerals not counted
	Ephemerals int64 // taken from devices
	Delivered  int64 // messages given to devices, ephemerals included; one counts for each device
	Acked      int64 // messages that a device has acknowledged

	Begun, Committed, Aborted int64 // transactions

	CommitSeconds Histogram // how long the store takes for a commit
	CommitGroups  Histogram // how many groups share one

	StoreUsed, StoreLimit int64 // bytes; 0 if the store does not tell
	StoreFailures         int64 // times that the store did not do what it was asked
	StoreFailing          bool  // its last write failed (B43)
	StoreFull             bool  // no message is accepted (B22)
	Staged, Tail          int64 // bytes in memory: of transactions, and of messages that are stored, too
	GroupsInUse           int   // connected to, or with something left to be stored
	Addresses             int   // of which something is remembered

	Closes map[d2m.CloseCode]int64 // Close frames of this side; 0: codes of no known kind
	Chat   chatproxy.Stats
}

// Stats returns the figures of the moment. It is cheap; what takes time is in Survey.
func (s *Server) Stats() Stats {
	c := &s.counters
	held := s.Holdings()
	stats := Stats{
		Upgrades: c.upgrades.Load(), Logins: c.logins.Load(), WrongResponses: c.wrongResponses.Load(),
		Refused:   make(map[string]int64, limitKinds),
		Reflected: c.reflected.Load(), Ephemerals: c.ephemerals.Load(), Delivered: c.delivered.Load(), Acked: c.acked.Load(),
		Begun: c.begun.Load(), Committed: c.committed.Load(), Aborted: c.aborted.Load(),
		CommitSeconds: c.commitDuration.in(float64(time.Second)), CommitGroups: c.commitGroups.in(1),
		StoreFailures: c.storeFailures.Load(), StoreFailing: s.failing.Load(), StoreFull: s.full.Load(),
		Staged: held.Staged, Tail: held.Tail, GroupsInUse: held.Groups, Addresses: held.Addresses,
		Closes: make(map[d2m.CloseCode]int64, len(c.closes)),
		Chat:   s.chat.Stats(),
	}
	stats.StoreUsed, stats.StoreLimit, _ = s.store.Usage() // a store that fails has no size; the failure is told elsewhere
	for kind := limitNone + 1; kind < limitKinds; kind++ {
		stats.Refused[limitLabels[kind]] = s.limits.refused[kind].Load()
	}
	for i, code := range closeCodes {
		stats.Closes[code] = c.closes[i].Load()
	}
	stats.Closes[0] = c.closes[len(closeCodes)].Load()
	s.limits.mu.Lock()
	defer s.limits.mu.Unlock()
	guests := s.limits.guests
	stats.Requests, stats.Unauthenticated, stats.Registered = guests[stageRequest], guests[stageStranger], guests[stageMember]
	return stats
}
