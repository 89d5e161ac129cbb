package devicekeys

import (
	"crypto/ecdh"
	"fmt"
	"io"

	"openmediator/d2m"
	"openmediator/kdf"
)

// KDF parameters: the personal string and, per key, the salt.
const (
	personal = "3ma-mdev"

	saltDeviceGroupKey   = "mk"  // from the identity's private key
	saltOriginalPathKey  = "mpk" // original scheme
	saltPathKey          = "p"
	saltReflectKey       = "r"
	saltDeviceInfoKey    = "di"
	saltSharedDataKey    = "sdd"
	saltTransactionScope = "ts"
)

// Keys are the keys of a device group. They are fixed once made and may be used
// by several goroutines. Printing them shows nothing of them.
type Keys struct {
	pathKey *ecdh.PrivateKey

	// Pointers, because fmt does not ask for a Format method where a Keys stands
	// in an unexported field, and prints what is not behind a second pointer.
	reflect    *boxKey
	deviceInfo *boxKey
	sharedData *boxKey
	scope      *boxKey
}

// FromGroupKey derives the keys from a device group key, 32 random bytes, as
// current apps do.
func FromGroupKey(dgk [32]byte) (*Keys, error) { return derive(dgk, saltPathKey) }

// FromIdentityKey derives the keys from the private key of an identity: the
// original scheme.
func FromIdentityKey(secret [32]byte) (*Keys, error) {
	dgk, err := kdf.Sum256(secret[:], saltDeviceGroupKey, personal)
	if err != nil {
		return nil, fmt.Errorf("device group key: %w", err)
	}
	return derive(dgk, saltOriginalPathKey)
}

// derive makes all keys of a device group key. Only the path key's salt depends
// on the scheme.
func derive(dgk [32]byte, pathSalt string) (*Keys, error) {
	pathSecret, err := kdf.Sum256(dgk[:], pathSalt, personal)
	if err != nil {
		return nil, fmt.Errorf("path key: %w", err)
	}
	pathKey, err := ecdh.X25519().NewPrivateKey(pathSecret[:])
	if err != nil {
		return nil, fmt.Errorf("path key: %w", err)
	}
	keys := &Keys{pathKey: pathKey}
	for _, k := range []struct {
		salt string
		key  **boxKey
	}{
		{saltReflectKey, &keys.reflect},
		{saltDeviceInfoKey, &keys.deviceInfo},
		{saltSharedDataKey, &keys.sharedData},
		{saltTransactionScope, &keys.scope},
	} {
		key, err := kdf.Sum256(dgk[:], k.salt, personal)
		if err != nil {
			return nil, fmt.Errorf("key with salt %q: %w", k.salt, err)
		}
		*k.key = (*boxKey)(&key)
	}
	return keys, nil
}

// GroupID returns the public key of the path key, by which the mediator knows the
// group.
func (k *Keys) GroupID() d2m.GroupID { return d2m.GroupID(k.pathKey.PublicKey().Bytes()) }

// PathKey returns the key that answers the mediator's challenge. It prints its
// secret: hand it to [d2m.Respond] and to nothing that prints.
func (k *Keys) PathKey() *ecdh.PrivateKey { return k.pathKey }

// Format implements [fmt.Formatter] and prints no key, whatever the verb.
func (k Keys) Format(state fmt.State, _ rune) { fmt.Fprintf(state, "keys of group %v", k.GroupID()) }

// Format implements [fmt.Formatter] and prints nothing of the key.
func (boxKey) Format(state fmt.State, _ rune) { io.WriteString(state, "secret") }
