package client

import "sync"

// NonceStore remembers the nonces of envelopes that a device has handled, or of chat
// messages (see [ChatConfig]; what is said of envelopes holds for them, too). The
// server, or whoever stands between, could deliver an envelope again: the nonce is
// under the envelope's authenticator, so a copy cannot have another one.
//
// A device calls one method at a time. An error ends the device, for it could not
// know any more what it has handled. A store that outlives the process keeps the
// promise across restarts, too.
type NonceStore interface {
	// Contains tells whether Add was called with this nonce.
	Contains(nonce [24]byte) (bool, error)
	// Add is called when the envelope has been handled and before that is told to the
	// server. A store may forget the oldest nonces to stay bounded.
	Add(nonce [24]byte) error
}

// DefaultNonces is how many nonces a device remembers if its [Config] has no store.
const DefaultNonces = 16_384

// MemoryNonces is a NonceStore that lives as long as the process and remembers the
// latest nonces. Several goroutines may use it.
type MemoryNonces struct {
	mu     sync.Mutex
	known  map[[24]byte]struct{}
	oldest int
	order  [][24]byte // a ring once it is full
	limit  int
}

// NewMemoryNonces makes a store of limit nonces, at least 1. Each takes about 100
// bytes.
func NewMemoryNonces(limit int) *MemoryNonces {
	return &MemoryNonces{known: make(map[[24]byte]struct{}), limit: max(limit, 1)}
}

// Contains implements [NonceStore]. It returns no error.
func (m *MemoryNonces) Contains(nonce [24]byte) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, known := m.known[nonce]
	return known, nil
}

// Add implements [NonceStore]. It returns no error.
func (m *MemoryNonces) Add(nonce [24]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.known[nonce]; known {
		return nil
	}
	m.known[nonce] = struct{}{}
	if len(m.order) < m.limit {
		m.order = append(m.order, nonce)
		return nil
	}
	delete(m.known, m.order[m.oldest])
	m.order[m.oldest] = nonce
	m.oldest = (m.oldest + 1) % m.limit
	return nil
}

// All returns the nonces from the oldest to the latest.
func (m *MemoryNonces) All() [][24]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([][24]byte, 0, len(m.order))
	all = append(all, m.order[m.oldest:]...)
	return append(all, m.order[:m.oldest]...)
}
