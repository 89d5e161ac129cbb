package chatserver

import "go.etcd.io/bbolt"

// FailStore makes each commit from now on fail with err, or succeed if it is nil.
func (s *Server) FailStore(err error) {
	s.store.do(func(*transaction) error {
		s.store.fault = func() error { return err } // in the committer, which alone reads it
		return nil
	})
}

// Stored returns how many messages are stored, of all receivers together. What the indexes of the queue say must agree.
func (s *Server) Stored() (n int) {
	s.store.db.View(func(tx *bbolt.Tx) error {
		n = tx.Bucket(bucketQueue).Stats().KeyN
		if tx.Bucket(bucketWaiting).Stats().KeyN != n || tx.Bucket(bucketExpiring).Stats().KeyN > n {
			n = -1
		}
		return nil
	})
	return n
}

// Unsent returns how many bytes wait in memory to be written, of all connections together.
func (s *Server) Unsent() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.mu.Lock()
		n += c.unsent
		c.mu.Unlock()
	}
	return n
}
