package client

import (
	"context"
	"crypto/ecdh"
	"errors"
	"fmt"
	"sync"

	"openmediator/csp"
)

// maxPublicKeys is how many keys of other identities a device keeps.
const maxPublicKeys = 1024

// publicKeys remembers the keys that were looked up: an identity never changes its
// key. Several goroutines may use it.
type publicKeys struct {
	lookup func(context.Context, csp.Identity) (*ecdh.PublicKey, error) // fixed

	mu     sync.Mutex
	known  map[csp.Identity]*ecdh.PublicKey
	order  []csp.Identity // a ring once it is full
	oldest int
}

func newPublicKeys(lookup func(context.Context, csp.Identity) (*ecdh.PublicKey, error)) *publicKeys {
	return &publicKeys{lookup: lookup, known: make(map[csp.Identity]*ecdh.PublicKey)}
}

// keyError is an error of a lookup.
type keyError struct{ error }

func (e keyError) Unwrap() error { return e.error }

// mayPass tells whether another attempt to open a message may succeed.
func mayPass(err error) bool {
	var failed keyError
	return errors.As(err, &failed) && !errors.Is(err, ErrUnknownIdentity)
}

// get returns an identity's key. Every error is a keyError.
func (p *publicKeys) get(ctx context.Context, identity csp.Identity) (*ecdh.PublicKey, error) {
	p.mu.Lock()
	key := p.known[identity]
	p.mu.Unlock()
	if key != nil {
		return key, nil
	}
	key, err := p.lookup(ctx, identity)
	if err == nil && key == nil {
		err = errors.New("there is none")
	}
	if err != nil {
		return nil, keyError{fmt.Errorf("public key of %v: %w", identity, err)}
	}
	p.add(identity, key)
	return key, nil
}

func (p *publicKeys) add(identity csp.Identity, key *ecdh.PublicKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known[identity] != nil {
		return
	}
	p.known[identity] = key
	if len(p.order) < maxPublicKeys {
		p.order = append(p.order, identity)
		return
	}
	delete(p.known, p.order[p.oldest])
	p.order[p.oldest] = identity
	p.oldest = (p.oldest + 1) % maxPublicKeys
}
