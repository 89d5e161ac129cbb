package csp

import (
	"crypto/ecdh"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	"openmediator/kdf"
)

// Sizes in bytes.
const (
	// ClientHelloSize is TCK.public 32 · CCK 16.
	ClientHelloSize = 48
	// ServerHelloSize is SCK 16 · box of (TSK.public 32 · CCK 16).
	ServerHelloSize = 80
)

// maxCookieDraws bounds how often a server draws its cookie until it is not the
// client's. A working random source needs one.
const maxCookieDraws = 4

// appendClientHello appends the first bytes of a connection.
func appendClientHello(dst []byte, temporary *ecdh.PublicKey, cookie Cookie) []byte {
	return append(append(dst, temporary.Bytes()...), cookie[:]...)
}

func parseClientHello(hello []byte) (temporary *ecdh.PublicKey, cookie Cookie, err error) {
	if len(hello) != ClientHelloSize {
		return nil, cookie, fmt.Errorf("client hello has %d bytes, want %d", len(hello), ClientHelloSize)
	}
	temporary, err = ecdh.X25519().NewPublicKey(hello[:32])
	if err != nil {
		return nil, cookie, fmt.Errorf("client hello: temporary key: %w", err)
	}
	return temporary, Cookie(hello[32:]), nil
}

// sealServerHello makes the server's first box, under the key between its
// permanent key and the client's temporary one.
func sealServerHello(server *direction, helloKey *[32]byte, temporary *ecdh.PublicKey, client Cookie) []byte {
	hello := append(make([]byte, 0, ServerHelloSize), server.cookie[:]...)
	return server.seal(hello, append(temporary.Bytes(), client[:]...), helloKey)
}

// openServerHello sets the server's cookie in its direction.
func openServerHello(server *direction, helloKey *[32]byte, client Cookie, hello []byte) (*ecdh.PublicKey, error) {
	if len(hello) != ServerHelloSize {
		return nil, fmt.Errorf("server hello has %d bytes, want %d", len(hello), ServerHelloSize)
	}
	server.cookie = Cookie(hello[:16])
	if server.cookie == client {
		// Both sides' boxes would have the same nonces under the same key.
		return nil, errors.New("server hello: cookie is the client's")
	}
	plain, ok := server.open(hello[16:], helloKey)
	if !ok {
		return nil, errors.New("server hello: box cannot be opened")
	}
	if subtle.ConstantTimeCompare(plain[32:], client[:]) != 1 {
		return nil, errors.New("server hello: client cookie is another one")
	}
	temporary, err := ecdh.X25519().NewPublicKey(plain[:32])
	if err != nil {
		return nil, fmt.Errorf("server hello: temporary key: %w", err)
	}
	return temporary, nil
}

// drawKey reads 32 bytes.
func drawKey(rand io.Reader) (*ecdh.PrivateKey, error) {
	var secret [32]byte
	if _, err := io.ReadFull(rand, secret[:]); err != nil {
		return nil, fmt.Errorf("random source: %w", err)
	}
	return ecdh.X25519().NewPrivateKey(secret[:])
}

// drawCookie reads 16 bytes.
func drawCookie(rand io.Reader) (cookie Cookie, err error) {
	if _, err := io.ReadFull(rand, cookie[:]); err != nil {
		return Cookie{}, fmt.Errorf("random source: %w", err)
	}
	return cookie, nil
}

// drawOtherCookie reads 16 bytes until they are not those of other.
func drawOtherCookie(rand io.Reader, other Cookie) (Cookie, error) {
	for range maxCookieDraws {
		cookie, err := drawCookie(rand)
		if err != nil || cookie != other {
			return cookie, err
		}
	}
	return Cookie{}, errors.New("random source: yields the client's cookie again and again")
}

// sharedKey is kdf.SharedKey with an error for keys that are missing or of
// another curve, and one that says whose key is bad.
func sharedKey(name string, secret *ecdh.PrivateKey, public *ecdh.PublicKey) ([32]byte, error) {
	if public == nil || public.Curve() != ecdh.X25519() {
		return [32]byte{}, fmt.Errorf("%s is not an X25519 key", name)
	}
	if secret == nil || secret.Curve() != ecdh.X25519() {
		return [32]byte{}, errors.New("secret key is not an X25519 key")
	}
	key, err := kdf.SharedKey(secret, public)
	if err != nil {
		return key, fmt.Errorf("%s is a low-order point", name)
	}
	return key, nil
}
