package d2m

import (
	"encoding/binary"

	"golang.org/x/crypto/salsa20"
)

// hsalsa20 is HSalsa20 of a key and 16 zero bytes, which is how NaCl makes a box
// key of what X25519 yields. x/crypto's own is deprecated, and box.Precompute
// costs a second scalar multiplication.
//
// It is Salsa20's core without the last step, the addition of the input to the
// output. So it is a block of key stream with nonce and counter zero, less the
// input: the four constants in words 0, 5, 10, 15 and the zeroes in 6 to 9.
func hsalsa20(key *[32]byte) (out [32]byte) {
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
