package directory_test

import (
	"bytes"
	"crypto/ecdh"
	"encoding/hex"
	"strings"
	"testing"

	"openmediator/chatserver/directory"
)

func key(t *testing.T, b byte) *ecdh.PrivateKey {
	t.Helper()
	key, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{b}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// The response was computed with NaCl's beforenm and another implementation of BLAKE2b.
func TestProve(t *testing.T) {
	own, challenge := key(t, 1), key(t, 2)
	token := bytes.Repeat([]byte{3}, directory.TokenSize)
	const want = "05399cad495c997f162fd6c9d5cb8c747fe5e118e1f6e7ab01a6bd40c4ebbda4"
	for side, prove := range map[string]func() ([directory.ProofSize]byte, error){
		"client": func() ([directory.ProofSize]byte, error) {
			return directory.Prove(own, challenge.PublicKey(), own.PublicKey(), token)
		},
		"server": func() ([directory.ProofSize]byte, error) {
			return directory.Prove(challenge, own.PublicKey(), own.PublicKey(), token)
		},
	} {
		if got, err := prove(); err != nil || hex.EncodeToString(got[:]) != want {
			t.Errorf("%s: got %x, %v, want %s", side, got, err, want)
		}
	}
}

func TestParsePublicKey(t *testing.T) {
	public := key(t, 1).PublicKey()
	text := directory.FormatPublicKey(public)
	for _, good := range []string{text, strings.ToUpper(text)} {
		if got, err := directory.ParsePublicKey(good); err != nil || !got.Equal(public) {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", text[2:], text + "00", " " + text, strings.Repeat("x", 64),
		strings.Repeat("00", 32), "01" + strings.Repeat("00", 31), // of low order
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		if _, err := directory.ParsePublicKey(bad); err == nil || strings.Contains(err.Error(), "ecff") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
