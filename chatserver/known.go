package chatserver

import (
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"go.etcd.io/bbolt"

	"openmediator/csp"
)

// Identities knows public keys of identities, all of them X25519.
type Identities interface {
	PublicKey(csp.Identity) (*ecdh.PublicKey, bool)
}

// FixedIdentities are identities that do not change while the server runs.
type FixedIdentities map[csp.Identity]*ecdh.PublicKey

// PublicKey implements Identities.
func (f FixedIdentities) PublicKey(id csp.Identity) (*ecdh.PublicKey, bool) {
	key, ok := f[id]
	return key, ok
}

var (
	errTaken     = errors.New("identity is taken")
	errCrowded   = errors.New("no more identities can register here")
	errNoneFound = errors.New("no free identity was found")
)

// known knows all public keys: those that were given, which win, and those that registered.
type known struct {
	// fixed
	given Identities // nil: none
	store *store

	registering sync.Mutex // held by one registration at a time, which waits for the disk

	mu         sync.RWMutex
	registered map[csp.Identity]*ecdh.PublicKey // all that are in the store, and no others
}

// loadKnown reads the registered identities.
func loadKnown(s *store, given Identities) (*known, error) {
	k := &known{given: given, store: s, registered: make(map[csp.Identity]*ecdh.PublicKey)}
	err := s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketIdentities).ForEach(func(id, raw []byte) error {
			key, err := ecdh.X25519().NewPublicKey(raw)
			if err != nil || len(id) != identitySize {
				return fmt.Errorf("%s: it holds an identity that makes no sense", storeName)
			}
			k.registered[csp.Identity(id)] = key
			return nil
		})
	})
	return k, err
}

// PublicKey returns the public key of an identity.
func (k *known) PublicKey(id csp.Identity) (*ecdh.PublicKey, bool) {
	if k.given != nil {
		if key, ok := k.given.PublicKey(id); ok {
			return key, true
		}
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	key, ok := k.registered[id]
	return key, ok
}

// register stores a new identity, the wished one if there is a wish, and returns it when it is on disk. Errors are
// errTaken, errCrowded, errNoneFound and those of the store.
func (k *known) register(key *ecdh.PublicKey, wish *csp.Identity, most int) (csp.Identity, error) {
	k.registering.Lock()
	defer k.registering.Unlock()
	if k.count() >= most {
		return csp.Identity{}, errCrowded
	}
	id, err := k.free(wish)
	if err != nil {
		return csp.Identity{}, err
	}
	err = k.store.do(func(t *transaction) error {
		t.set(bucketIdentities, id[:], key.Bytes())
		return nil
	})
	if err != nil {
		return csp.Identity{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.registered[id] = key
	return id, nil
}

func (k *known) count() int {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return len(k.registered)
}

// free returns an identity that nobody has.
func (k *known) free(wish *csp.Identity) (csp.Identity, error) {
	if wish != nil {
		if _, taken := k.PublicKey(*wish); taken {
			return csp.Identity{}, errTaken
		}
		return *wish, nil
	}
	for range 100 {
		id := randomIdentity()
		if _, taken := k.PublicKey(id); !taken {
			return id, nil
		}
	}
	return csp.Identity{}, errNoneFound
}

const identityCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// randomIdentity returns one of the 36⁸ identities, each as likely as the others.
func randomIdentity() (id csp.Identity) {
	const fair = 256 / len(identityCharacters) * len(identityCharacters)
	var b [1]byte
	for i := 0; i < len(id); {
		rand.Read(b[:])
		if int(b[0]) < fair {
			id[i] = identityCharacters[int(b[0])%len(identityCharacters)]
			i++
		}
	}
	return id
}
