package kdf

import (
	"crypto/ecdh"
	"encoding/binary"

	"golang.org/x/crypto/salsa20"
)

// SharedKey returns the key of NaCl's box between two X25519 keys. The only error
// is a public key that is a low-order point: all would know the key then.
func SharedKey(secret *ecdh.PrivateKey, public *ecdh.PublicKey) ([32]byte, error) {
	shared, err := secret.ECDH(public)
	if err != nil {
		return [32]byte{}, err
	}
	return HSalsa20((*[32]byte)(shared)), nil
}

// HSalsa20 is HSalsa20 of a key and 16 zero bytes, which is how NaCl makes a box
// key of what X25519 yields. x/crypto's own is deprecated, and box.Precompute
// costs a second scalar multiplication.
//
// It is Salsa20's core without the last step, the addition of the input to the
// output. So it is a block of key stream with nonce and counter zero, less the
// input: the four constants in words 0, 5, 10, 15 and the zeroes in 6 to 9.
func HSalsa20(key *[32]byte) (out [32]byte) {
	var block [64]byte
	salsa20.XORKeyStream(block[:], block[:], make([]byte, 8), key)

	const sigma = "expand 32-byte k"
	for i, word := range [8]int{0, 5, 10, 15, 6, 7, 8, 9} {
		value := binary.LittleEndian.Uint32(block[4*word:])
		if i < 4 {
			value -= binary.LittleEndian.Uint32([]byte(sigma[4*i : 4*i+4]))
		}
		binary.LittleEndian.PutUint32(out[4*i:], value)
	}
	return out
}
