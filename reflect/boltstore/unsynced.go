//go:build integration

package boltstore

// OpenUnsynced is Open, but what is committed is not synced. It is there so that a test of durability can be seen to fail,
// and is part of no server.
func OpenUnsynced(dir string, options Options) (*Store, error) {
	s, err := Open(dir, options)
	if err == nil {
		s.file.db.NoSync = true
	}
	return s, err
}
