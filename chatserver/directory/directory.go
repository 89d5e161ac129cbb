// Package directory is the HTTP interface of the bundled chat server: its messages, the proof that a registration needs,
// and the calls that a client makes. All bodies are JSON objects of at most 4 KiB, keys and tokens in them hexadecimal.
//
// # Look up
//
//	GET /identities/ABCD1234
//	200 {"identity":"ABCD1234","publicKey":"<64 digits>"}     404: nobody has this identity
//
// # Register
//
// Two calls. The first names the public key (X25519) and gets a challenge, which is good for one minute and one attempt:
//
//	POST /identities {"publicKey":"<64 digits>"}
//	200 {"token":"<64 digits>","challengePublicKey":"<64 digits>"}
//
// The second shows that the caller holds the secret key, and may wish for an identity; without a wish a random one is given:
//
//	POST /identities {"publicKey":…,"token":…,"response":"<64 digits>","identity":"ABCD1234"}
//	201 {"identity":"ABCD1234","publicKey":…}                 409: it is taken
//
// The response is BLAKE2b(out 32, key = K, salt "registration", personal "openmediator", input = token · public key), where
// K is HSalsa20 of X25519(secret key, challenge public key), as in NaCl's beforenm. The challenge key is made for this one
// challenge, so the answer is of no use for anything else.
//
// The same key may be registered several times; each time it gets another identity.
//
// # Errors
//
// Any other status comes with {"error":"one sentence"}. POST wants the content type application/json, which no web page
// can send to a server that is not its own.
package directory

import (
	"crypto/ecdh"
	"encoding/hex"
	"errors"

	"openmediator/kdf"
)

const (
	// Path is where identities are; one of them is at Path + "/" + identity.
	Path = "/identities"
	// MaxBodySize is the longest body of a request or an answer, bytes.
	MaxBodySize = 4_096
	// ContentType is that of all bodies.
	ContentType = "application/json"
	// TokenSize is the size of a challenge's token, bytes.
	TokenSize = 32
	// ProofSize is the size of a response, bytes.
	ProofSize = 32
)

// Registration is the body of both calls that register. Without a token it asks for a challenge.
type Registration struct {
	PublicKey string `json:"publicKey"`
	Token     string `json:"token,omitempty"`
	Response  string `json:"response,omitempty"`
	Identity  string `json:"identity,omitempty"` // wished for
}

// Challenge is the answer to the first of them.
type Challenge struct {
	Token              string `json:"token"`
	ChallengePublicKey string `json:"challengePublicKey"`
}

// Entry is an identity and its public key.
type Entry struct {
	Identity  string `json:"identity"`
	PublicKey string `json:"publicKey"`
}

// Failure is the body of an answer that is an error.
type Failure struct {
	Error string `json:"error"`
}

var errPublicKey = errors.New("public key is not 64 hexadecimal digits of a usable X25519 key")

// ParsePublicKey reads a public key from 64 hexadecimal digits. Keys of low order, with which every secret is the same,
// are refused. The error does not hold the text.
func ParsePublicKey(text string) (*ecdh.PublicKey, error) {
	raw, err := hex.DecodeString(text)
	if err != nil {
		return nil, errPublicKey
	}
	key, err := ecdh.X25519().NewPublicKey(raw)
	if err != nil {
		return nil, errPublicKey
	}
	probe, err := ecdh.X25519().NewPrivateKey(append(make([]byte, 31), 64))
	if err != nil {
		return nil, err
	}
	if _, err := probe.ECDH(key); err != nil {
		return nil, errPublicKey
	}
	return key, nil
}

// FormatPublicKey writes what ParsePublicKey reads.
func FormatPublicKey(key *ecdh.PublicKey) string { return hex.EncodeToString(key.Bytes()) }

// Prove returns the response to a challenge, between one's own secret key and the other side's public key; publicKey is the
// one that registers. Both sides get the same. The only errors are keys that are not X25519 or of low order.
func Prove(own *ecdh.PrivateKey, other, publicKey *ecdh.PublicKey, token []byte) ([ProofSize]byte, error) {
	key, err := kdf.SharedKey(own, other)
	if err != nil {
		return [ProofSize]byte{}, err
	}
	return kdf.Sum256(key[:], "registration", "openmediator", token, publicKey.Bytes())
}
