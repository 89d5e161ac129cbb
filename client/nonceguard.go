package client

import (
	"fmt"
	"sync"
)

// nonceGuard is how a device uses a NonceStore: one method at a time, also if one
// store serves both envelopes and chat messages.
type nonceGuard struct {
	store NonceStore
	mu    *sync.Mutex // the device's, of all its stores
}

// contains returns an error that ends the device.
func (g nonceGuard) contains(nonce [24]byte) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	known, err := g.store.Contains(nonce)
	if err != nil {
		return false, callerError{fmt.Errorf("nonces: cannot be looked up: %w", err)}
	}
	return known, nil
}

// add returns an error that ends the device.
func (g nonceGuard) add(nonce [24]byte) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.store.Add(nonce); err != nil {
		return callerError{fmt.Errorf("nonces: cannot be stored: %w", err)}
	}
	return nil
}
