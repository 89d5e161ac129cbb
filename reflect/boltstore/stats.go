package boltstore

import "sync/atomic"

// Stats are what a store has done by itself since it was opened.
type Stats struct {
	Compactions        int64 // files replaced by a copy without what was deleted (see Store.Compact)
	CompactionFailures int64 // compactions that were given up
	Recoveries         int64 // times that it was made sound after a failure (B43)
}

// counters are the Stats as they are counted.
type counters struct{ compactions, compactionFailures, recoveries atomic.Int64 }

// Stats returns what the store has done.
func (s *Store) Stats() Stats {
	c := &s.counters
	return Stats{c.compactions.Load(), c.compactionFailures.Load(), c.recoveries.Load()}
}
