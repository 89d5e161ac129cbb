package d2m

import (
	"crypto/ecdh"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/nacl/secretbox"

	"openmediator/kdf"
)

// Respond answers a ServerHello: it returns nonce 24 · box 48 for ClientHello.
// pathKey is the mediator path key. The nonce must be random. The only error is
// an esk that is a low-order point.
func Respond(pathKey *ecdh.PrivateKey, esk [32]byte, challenge Challenge, nonce [24]byte) ([ResponseSize]byte, error) {
	key, err := sharedKey(pathKey, esk)
	if err != nil {
		return [ResponseSize]byte{}, fmt.Errorf("server hello: esk %w", err)
	}
	return sealChallenge(&key, challenge, &nonce), nil
}

// Verifier is the mediator's half: an ephemeral secret and a challenge, both
// drawn for one connection. So a response that was made for another connection is
// wrong here.
type Verifier struct {
	secret    *ecdh.PrivateKey
	challenge Challenge
}

// NewVerifier draws the secret (32 bytes) and then the challenge (32 bytes) from
// rand. The only errors are those of rand.
func NewVerifier(rand io.Reader) (*Verifier, error) {
	var secret [32]byte
	var challenge Challenge
	if _, err := io.ReadFull(rand, secret[:]); err != nil {
		return nil, fmt.Errorf("random source: %w", err)
	}
	if _, err := io.ReadFull(rand, challenge[:]); err != nil {
		return nil, fmt.Errorf("random source: %w", err)
	}
	return &Verifier{secret: mustPrivateKey(secret), challenge: challenge}, nil
}

// Hello returns the ServerHello of this connection.
func (v *Verifier) Hello() ServerHello {
	return ServerHello{
		Version:   ProtocolVersion,
		ESK:       [32]byte(v.secret.PublicKey().Bytes()),
		Challenge: v.challenge,
	}
}

// Check tells whether the response was made by someone who holds the group's
// mediator path key. It takes the same time wherever a wrong response differs
// (B5). For a low-order group id it is false.
func (v *Verifier) Check(group GroupID, response *[ResponseSize]byte) bool {
	key, err := sharedKey(v.secret, group)
	if err != nil {
		return false
	}
	want := sealChallenge(&key, v.challenge, (*[24]byte)(response[:24]))
	return subtle.ConstantTimeCompare(want[:], response[:]) == 1
}

// Format implements [fmt.Formatter] and prints no secret.
func (Verifier) Format(state fmt.State, _ rune) { io.WriteString(state, "d2m.Verifier") }

func mustPrivateKey(secret [32]byte) *ecdh.PrivateKey {
	key, err := ecdh.X25519().NewPrivateKey(secret[:])
	if err != nil {
		panic("d2m: X25519 refuses 32 bytes: " + err.Error())
	}
	return key
}

// sharedKey is X25519HSalsa20, the key of NaCl's box.
func sharedKey(secret *ecdh.PrivateKey, public [32]byte) (key [32]byte, err error) {
	peer, err := ecdh.X25519().NewPublicKey(public[:])
	if err != nil {
		return key, err
	}
	if key, err = kdf.SharedKey(secret, peer); err != nil {
		return key, errors.New("is a low-order point")
	}
	return key, nil
}

// sealChallenge puts the challenge into a box. That is a function of its inputs,
// so both sides do the same and compare.
func sealChallenge(key *[32]byte, challenge Challenge, nonce *[24]byte) (response [ResponseSize]byte) {
	copy(response[:], nonce[:])
	secretbox.Seal(response[:24], challenge[:], nonce, key)
	return response
}
