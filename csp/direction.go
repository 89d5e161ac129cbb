package csp

import (
	"encoding/binary"

	"golang.org/x/crypto/nacl/secretbox"
)

// BoxOverhead is by how many bytes a box is longer than what is in it.
const BoxOverhead = secretbox.Overhead

// direction is one way of a connection: what one side seals and the other opens,
// from its first box in the handshake to the last.
type direction struct {
	cookie Cookie // of the side that seals
	boxes  uint64 // so far
}

// nonce is that of the next box: cookie 16 · number u64, the first being 1.
func (d *direction) nonce() (nonce [24]byte) {
	copy(nonce[:], d.cookie[:])
	binary.LittleEndian.PutUint64(nonce[len(d.cookie):], d.boxes+1)
	return nonce
}

// seal appends the next box to dst.
func (d *direction) seal(dst, plain []byte, key *[32]byte) []byte {
	nonce := d.nonce()
	d.boxes++
	return secretbox.Seal(dst, plain, &nonce, key)
}

// open returns what is in the next box, in fresh memory. A box that is not the
// right one does not count.
func (d *direction) open(box []byte, key *[32]byte) (plain []byte, ok bool) {
	nonce := d.nonce()
	plain, ok = secretbox.Open(nil, box, &nonce, key)
	if ok {
		d.boxes++
	}
	return plain, ok
}
