package devicekeys

import (
	"fmt"
	"io"

	"golang.org/x/crypto/nacl/secretbox"

	"openmediator/d2m"
)

// BoxOverhead is how many bytes a box is larger than its plain bytes: nonce 24 ·
// authenticator 16.
const BoxOverhead = nonceSize + secretbox.Overhead

const nonceSize = 24

// boxKey encrypts one kind of content.
type boxKey [32]byte

// SealEnvelope encrypts plain for [d2m.Reflect], with a nonce from rand. A box
// above 65,516 bytes is an error: it could never be delivered.
func (k *Keys) SealEnvelope(rand io.Reader, plain []byte) ([]byte, error) {
	return k.reflect.seal("envelope", rand, plain, d2m.MaxEnvelopeSize)
}

// OpenEnvelope decrypts what [d2m.Reflected] carries. The caller remembers the
// nonce and discards an envelope whose nonce it has seen.
func (k *Keys) OpenEnvelope(box []byte) (plain []byte, nonce [24]byte, err error) {
	return k.reflect.open("envelope", box)
}

// SealDeviceInfo encrypts plain for [d2m.ClientHello], with a nonce from rand. A
// box above 4,096 bytes is an error (B11).
func (k *Keys) SealDeviceInfo(rand io.Reader, plain []byte) ([]byte, error) {
	return k.deviceInfo.seal("device info", rand, plain, d2m.MaxDeviceInfoSize)
}

// OpenDeviceInfo decrypts what [d2m.DevicesInfo] carries for each device. A
// device info may be empty (B11), which is no box and so an error here.
func (k *Keys) OpenDeviceInfo(box []byte) (plain []byte, nonce [24]byte, err error) {
	return k.deviceInfo.open("device info", box)
}

// SealSharedData encrypts plain for [d2m.SetSharedDeviceData], with a nonce from
// rand. A box above 8,192 bytes is an error (B33).
func (k *Keys) SealSharedData(rand io.Reader, plain []byte) ([]byte, error) {
	return k.sharedData.seal("shared device data", rand, plain, d2m.MaxSharedDataSize)
}

// OpenSharedData decrypts what [d2m.ServerInfo] carries. It is empty as long as
// no device has set it, which is no box and so an error here.
func (k *Keys) OpenSharedData(box []byte) (plain []byte, nonce [24]byte, err error) {
	return k.sharedData.open("shared device data", box)
}

// SealScope encrypts a scope for [d2m.BeginTransaction], with a nonce from rand.
// [ScopeUnknown] and other values that the protocol does not list are an error.
func (k *Keys) SealScope(rand io.Reader, scope Scope) ([]byte, error) {
	plain, err := scope.plain()
	if err != nil {
		return nil, err
	}
	return k.scope.seal("scope", rand, plain, d2m.MaxScopeSize)
}

// OpenScope decrypts what [d2m.TransactionRejected] and [d2m.TransactionEnded]
// carry. Whatever cannot be opened or decoded is [ScopeUnknown]: a transaction
// has to be waited for also if one does not know what it is about.
func (k *Keys) OpenScope(box []byte) Scope {
	plain, _, err := k.scope.open("scope", box)
	if err != nil {
		return ScopeUnknown
	}
	return ParseScope(plain)
}

// seal returns nonce · box, a new slice.
func (key *boxKey) seal(what string, rand io.Reader, plain []byte, limit int) ([]byte, error) {
	size := len(plain) + BoxOverhead
	if size > limit {
		return nil, fmt.Errorf("%s: box has %d bytes, want at most %d", what, size, limit)
	}
	box := make([]byte, nonceSize, size)
	if _, err := io.ReadFull(rand, box); err != nil {
		return nil, fmt.Errorf("%s: random source: %w", what, err)
	}
	return secretbox.Seal(box, plain, (*[nonceSize]byte)(box), (*[32]byte)(key)), nil
}

// open returns the plain bytes, a new slice.
func (key *boxKey) open(what string, box []byte) (plain []byte, nonce [nonceSize]byte, err error) {
	if len(box) < BoxOverhead {
		return nil, nonce, fmt.Errorf("%s: box has %d bytes, want at least %d", what, len(box), BoxOverhead)
	}
	nonce = [nonceSize]byte(box)
	plain, ok := secretbox.Open(nil, box[nonceSize:], &nonce, (*[32]byte)(key))
	if !ok {
		return nil, nonce, fmt.Errorf("%s: box does not open with this group's key", what)
	}
	return plain, nonce, nil
}
