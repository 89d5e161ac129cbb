package csp

import (
	"crypto/ecdh"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/nacl/secretbox"

	"openmediator/kdf"
)

const (
	// KindText is the kind of a message whose body is UTF-8 text.
	KindText uint8 = 0x01

	minPadded  = 32  // bytes of body and padding together
	maxPadding = 255 // bytes
)

// maxPaddingDraws bounds how often the length of the padding is drawn. A byte is
// right seven times out of eight at least.
const maxPaddingDraws = 128

// SealMessage makes the box of a message from its sender (own) to its receiver
// (other): kind u8 · body · padding. The nonce must be random and never used twice
// between the two; it is that of the [Message].
//
// The padding is of random length, 1 to 255 bytes that all hold it, so that body
// and padding are at least 32 bytes. Each length that may be is as likely as the
// others; it is drawn from rand, byte by byte. Errors are those of rand, a body
// above [MaxBodySize], and keys that are not X25519 or of low order.
func SealMessage(rand io.Reader, own *ecdh.PrivateKey, other *ecdh.PublicKey, nonce [NonceSize]byte, kind uint8, body []byte) ([]byte, error) {
	if len(body) > MaxBodySize {
		return nil, fmt.Errorf("message: body has %d bytes, at most %d", len(body), MaxBodySize)
	}
	key, err := sharedKey("other key", own, other)
	if err != nil {
		return nil, err
	}
	padding, err := drawPadding(rand, len(body))
	if err != nil {
		return nil, err
	}
	plain := make([]byte, 0, 1+len(body)+int(padding))
	plain = append(append(plain, kind), body...)
	for range padding {
		plain = append(plain, padding)
	}
	return secretbox.Seal(nil, plain, &nonce, &key), nil
}

// drawPadding draws the length of the padding behind a body. Bytes that are too
// small are drawn again: raising them would make the shortest the likeliest.
func drawPadding(rand io.Reader, bodySize int) (padding byte, err error) {
	least := byte(max(1, minPadded-bodySize))
	for range maxPaddingDraws {
		var drawn [1]byte
		if _, err := io.ReadFull(rand, drawn[:]); err != nil {
			return 0, fmt.Errorf("random source: %w", err)
		}
		if drawn[0] >= least {
			return drawn[0], nil
		}
	}
	return 0, errors.New("random source: yields small bytes again and again")
}

// OpenMessage opens the box of a message, with the key of its receiver (own) and
// that of its sender (other); the sender itself can open it too. body is fresh
// memory. Errors are a box that cannot be opened, padding that is wrong, and keys
// that are not X25519 or of low order. Padding may be shorter than [SealMessage]
// would make it.
func OpenMessage(own *ecdh.PrivateKey, other *ecdh.PublicKey, nonce [NonceSize]byte, box []byte) (kind uint8, body []byte, err error) {
	key, err := sharedKey("other key", own, other)
	if err != nil {
		return 0, nil, err
	}
	plain, ok := secretbox.Open(nil, box, &nonce, &key)
	if !ok {
		return 0, nil, errors.New("message: box cannot be opened")
	}
	if len(plain) == 0 {
		return 0, nil, errors.New("message: box is empty")
	}
	body, err = cutPadding(plain[1:])
	if err != nil {
		return 0, nil, err
	}
	return plain[0], body, nil
}

// cutPadding returns what stands before the padding.
func cutPadding(padded []byte) ([]byte, error) {
	if len(padded) == 0 {
		return nil, errors.New("message: padding is missing")
	}
	padding := padded[len(padded)-1]
	size := len(padded) - int(padding)
	if padding == 0 || size < 0 {
		return nil, fmt.Errorf("message: padding of %d bytes in %d", padding, len(padded))
	}
	for _, b := range padded[size:] {
		if b != padding {
			return nil, errors.New("message: padding has bytes that differ")
		}
	}
	return padded[:size:size], nil
}

// SealMetadata makes the metadata box of a message. It uses the nonce of the
// message box, with another key.
func SealMetadata(own *ecdh.PrivateKey, other *ecdh.PublicKey, nonce [NonceSize]byte, plain []byte) ([]byte, error) {
	key, err := metadataKey(own, other)
	if err != nil {
		return nil, err
	}
	return secretbox.Seal(nil, plain, &nonce, &key), nil
}

// OpenMetadata opens the metadata box of a message. plain is fresh memory.
func OpenMetadata(own *ecdh.PrivateKey, other *ecdh.PublicKey, nonce [NonceSize]byte, box []byte) (plain []byte, err error) {
	key, err := metadataKey(own, other)
	if err != nil {
		return nil, err
	}
	plain, ok := secretbox.Open(nil, box, &nonce, &key)
	if !ok {
		return nil, errors.New("metadata: box cannot be opened")
	}
	return plain, nil
}

func metadataKey(own *ecdh.PrivateKey, other *ecdh.PublicKey) ([32]byte, error) {
	shared, err := sharedKey("other key", own, other)
	if err != nil {
		return [32]byte{}, err
	}
	return kdf.Sum256(shared[:], "mm", personal)
}
