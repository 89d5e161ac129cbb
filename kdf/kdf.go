// Package kdf derives the protocol's keys: with BLAKE2b that has key, salt and
// personal, and between two X25519 keys as NaCl's box does.
//
// golang.org/x/crypto/blake2b has neither salt nor personal as a parameter. All
// parameters of BLAKE2b (RFC 7693, section 2.5 and the BLAKE2 paper, section
// 2.8) are XORed into the initial state, though, and the library lets a state be
// taken out and put back: so this package takes the state of a hash without
// them, XORs them in, and puts it back. A key is a first block of input.
//
// Salt and personal shorter than 16 bytes are padded with zero bytes, so "p"
// and "p\x00" are the same. The vectors in testdata come from another
// implementation.
package kdf

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/blake2b"
)

const (
	// MaxKeySize is the longest key in bytes.
	MaxKeySize = blake2b.Size
	// MaxSaltSize is the longest salt in bytes.
	MaxSaltSize = 16
	// MaxPersonalSize is the longest personal string in bytes.
	MaxPersonalSize = 16
)

// Sum256 returns the 32-byte hash of the parts of input, one after the other.
// The length asked for is a parameter of the hash: this is not a prefix of
// [Sum512]. An empty key makes an unkeyed hash. The only errors are a key above
// 64 bytes and a salt or personal above 16 bytes.
func Sum256(key []byte, salt, personal string, input ...[]byte) ([32]byte, error) {
	sum, err := sum(32, key, salt, personal, input)
	return [32]byte(sum[:32]), err
}

// Sum512 is like [Sum256] with 64 bytes.
func Sum512(key []byte, salt, personal string, input ...[]byte) ([64]byte, error) {
	return sum(64, key, salt, personal, input)
}

// sum returns size bytes, the rest being zero.
func sum(size int, key []byte, salt, personal string, input [][]byte) (out [64]byte, err error) {
	if err := checkSizes(len(key), len(salt), len(personal)); err != nil {
		return out, err
	}
	hash, err := blake2b.New(size, nil)
	if err != nil {
		return out, err
	}
	state, err := hash.(stateHolder).MarshalBinary()
	if err != nil {
		return out, err
	}
	addParameters(state, len(key), salt, personal)
	if err := hash.(stateHolder).UnmarshalBinary(state); err != nil {
		return out, err
	}
	if len(key) > 0 {
		var block [blake2b.BlockSize]byte
		copy(block[:], key)
		hash.Write(block[:])
	}
	for _, part := range input {
		hash.Write(part)
	}
	hash.Sum(out[:0])
	return out, nil
}

// stateHolder is what blake2b's hash is besides a hash.Hash.
type stateHolder interface {
	MarshalBinary() ([]byte, error)
	UnmarshalBinary([]byte) error
}

func checkSizes(key, salt, personal int) error {
	switch {
	case key > MaxKeySize:
		return fmt.Errorf("key has %d bytes, at most %d", key, MaxKeySize)
	case salt > MaxSaltSize:
		return fmt.Errorf("salt has %d bytes, at most %d", salt, MaxSaltSize)
	case personal > MaxPersonalSize:
		return fmt.Errorf("personal has %d bytes, at most %d", personal, MaxPersonalSize)
	}
	return nil
}

// addParameters XORs the parameters into a state as the library hands it out:
// "b2b" and then the eight words of h, big-endian. The parameter block is eight
// words too, little-endian: byte 1 of word 0 is the key's length, words 4 and 5
// are the salt, 6 and 7 the personal.
func addParameters(state []byte, keySize int, salt, personal string) {
	var block [64]byte
	block[1] = byte(keySize)
	copy(block[32:48], salt)
	copy(block[48:64], personal)

	h := state[len("b2b"):]
	for i := 0; i < len(block); i += 8 {
		word := binary.BigEndian.Uint64(h[i:]) ^ binary.LittleEndian.Uint64(block[i:])
		binary.BigEndian.PutUint64(h[i:], word)
	}
}
