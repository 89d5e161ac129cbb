package d2m

import (
	"crypto/ecdh"
	"crypto/rand"
	"testing"

	"golang.org/x/crypto/nacl/box"
)

// BenchmarkLogin measures what a login costs in cryptography: what can be done ahead of it, what cannot, and both as NaCl's
// box does them.
func BenchmarkLogin(b *testing.B) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	group := GroupID(key.PublicKey().Bytes())
	verifier, err := NewVerifier(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	hello := verifier.Hello()
	response, err := Respond(key, hello.ESK, hello.Challenge, [24]byte{1})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("ahead", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := NewVerifier(rand.Reader); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("login", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			verifier.Hello()
			if !verifier.Check(group, &response) {
				b.Fatal("refused")
			}
		}
	})
	b.Run("box", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, secret, err := box.GenerateKey(rand.Reader)
			if err != nil {
				b.Fatal(err)
			}
			box.Open(nil, response[24:], (*[24]byte)(response[:24]), (*[32]byte)(&group), secret)
		}
	})
}
