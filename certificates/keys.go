package certificates

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"openmediator/internal/durable"
)

// Names of the files in the directory of the keys.
const (
	presentName = "key.pem"
	nextName    = "next-key.pem"
)

// Keys are the server's own keys, in a directory that only its user may read: the present one, and the one that follows it.
// Each is made when it is first asked for, ECDSA on P-256. Several processes may use a directory.
type Keys struct{ dir string }

// OpenKeys makes the directory if it is not there.
func OpenKeys(dir string) (*Keys, error) {
	if err := makeDirectory(dir); err != nil {
		return nil, fmt.Errorf("directory %s: cannot be made: %w", dir, withoutPath(err))
	}
	return &Keys{dir}, nil
}

// makeDirectory makes a directory for its owner alone, and those above it, durably, unless it is there.
func makeDirectory(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := durable.MakeDirectory(dir); err != nil {
		return err
	}
	made, err := os.Open(dir)
	if err != nil {
		return err
	}
	durable.GiveToOwner(made)
	return made.Close()
}

// Present returns the key that certificates are made for.
func (k *Keys) Present() (crypto.Signer, error) { return loadOrMake(k.path(presentName)) }

// Next returns the key that is used after the present one.
func (k *Keys) Next() (crypto.Signer, error) { return loadOrMake(k.NextFile()) }

// NextFile returns where the next key is.
func (k *Keys) NextFile() string { return k.path(nextName) }

// Rotate makes the next key the present one, and makes a new next one. The old one is gone, but for a certificate that is in
// use until there is one for the new key.
func (k *Keys) Rotate() error {
	if _, err := k.Next(); err != nil {
		return err
	}
	if err := os.Rename(k.NextFile(), k.path(presentName)); err != nil {
		return fmt.Errorf("key %s: cannot be replaced: %w", k.path(presentName), err)
	}
	return k.afterRename()
}

// ReplaceNext makes another next key, because the one there is in use.
func (k *Keys) ReplaceNext() error {
	if err := os.Remove(k.NextFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("key %s: cannot be replaced: %w", k.NextFile(), withoutPath(err))
	}
	return k.afterRename()
}

func (k *Keys) afterRename() error {
	if err := durable.SyncDirectory(k.dir); err != nil {
		return err
	}
	_, err := k.Next()
	return err
}

func (k *Keys) path(name string) string { return filepath.Join(k.dir, name) }

// loadOrMake returns the key in a file, which is made if it is not there.
func loadOrMake(path string) (crypto.Signer, error) {
	key, err := loadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	made, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	text, err := encodeKey(made)
	if err != nil {
		return nil, err
	}
	if err := durable.Create(path, text, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("key %s: cannot be written: %w", path, withoutPath(err))
	}
	return loadKey(path) // another process may have been faster
}

func loadKey(path string) (crypto.Signer, error) {
	text, err := readFile("key", path)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w; restore it from a backup: clients know the server by it", path, err)
	}
	return key, nil
}

func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// parseKey reads the first private key of a PEM text.
func parseKey(text []byte) (crypto.Signer, error) {
	block := firstBlock(text, isKey)
	if block == nil {
		return nil, errors.New("holds no private key in PEM form")
	}
	var key any
	var err error
	switch block.Type {
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, fmt.Errorf("is damaged: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("is of a kind that cannot sign")
	}
	return signer, nil
}
