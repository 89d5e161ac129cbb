package certificates

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
)

// Pin names a public key: the SHA-256 of its SubjectPublicKeyInfo, 44 characters of base64.
type Pin string

// PinOf returns the pin of a certificate's key.
func PinOf(certificate *x509.Certificate) Pin {
	sum := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
	return Pin(base64.StdEncoding.EncodeToString(sum[:]))
}

// PinOfKey returns the pin of a private key's public half.
func PinOfKey(key crypto.Signer) Pin {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		panic(err) // keys are made and parsed by crypto/x509
	}
	sum := sha256.Sum256(der)
	return Pin(base64.StdEncoding.EncodeToString(sum[:]))
}

// Valid says whether a text can be a pin.
func (p Pin) Valid() bool {
	sum, err := base64.StdEncoding.Strict().DecodeString(string(p))
	return err == nil && len(sum) == sha256.Size
}
