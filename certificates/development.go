package certificates

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"openmediator/internal/durable"
)

const (
	developmentCALife   = 10 * 365 * 24 * time.Hour
	developmentLeafLife = 90 * 24 * time.Hour
)

// Development is a Source that has its certificates from a certificate authority of its own. Clients have to be told to trust
// that; whoever has its key can pass for any server towards them.
type Development struct {
	own
	dir   string
	names []string
	ca    *x509.Certificate
	key   crypto.Signer // of ca
}

// NewDevelopment reads the authority that is kept in a directory, or makes one, and a certificate for names: host names and
// IP addresses.
func NewDevelopment(dir string, names []string, log zerolog.Logger) (*Development, error) {
	keys, err := OpenKeys(dir)
	if err != nil {
		return nil, err
	}
	d := &Development{dir: dir, names: names}
	d.own = newOwn(keys, d, log)
	if d.key, err = loadOrMake(filepath.Join(dir, "development-ca-key.pem")); err != nil {
		return nil, err
	}
	if err := d.openAuthority(); err != nil {
		return nil, err
	}
	key, err := keys.Present()
	if err != nil {
		return nil, err
	}
	certificate, err := d.issue(context.Background(), key)
	if err != nil {
		return nil, err
	}
	d.current.Store(certificate)
	return d, nil
}

// CAFile is the certificate that clients have to trust, in PEM form.
func (d *Development) CAFile() string { return filepath.Join(d.dir, "development-ca.pem") }

// Config implements Source.
func (d *Development) Config() *tls.Config { return newConfig(d.current.get) }

// openAuthority reads the authority's certificate. It is made again if it is not there, not for its key, or expires within
// the life of a leaf.
func (d *Development) openAuthority() error {
	text, err := readFile("certificate", d.CAFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if block := firstBlock(text, isCertificate); block != nil {
		d.ca, err = x509.ParseCertificate(block.Bytes)
		if err == nil && PinOf(d.ca) == PinOfKey(d.key) && time.Now().Add(developmentLeafLife).Before(d.ca.NotAfter) {
			return nil
		}
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "mediator development CA"},
		KeyUsage:              x509.KeyUsageCertSign,
		IsCA:                  true,
		MaxPathLenZero:        true,
		BasicConstraintsValid: true,
	}
	if d.ca, err = sign(template, developmentCALife, template, d.key.Public(), d.key); err != nil {
		return err
	}
	text = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d.ca.Raw})
	if err := durable.Replace(d.CAFile(), text, 0o644); err != nil {
		return fmt.Errorf("certificate %s: cannot be written: %w", d.CAFile(), withoutPath(err))
	}
	return nil
}

// covers implements issuer. There is a certificate for all names from the start.
func (d *Development) covers(*tls.Certificate) bool { return true }

// issue implements issuer.
func (d *Development) issue(_ context.Context, key crypto.Signer) (*tls.Certificate, error) {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "mediator"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range d.names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	leaf, err := sign(template, developmentLeafLife, d.ca, key.Public(), d.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// sign makes a certificate that is valid from an hour ago, for clocks that are slow.
func sign(template *x509.Certificate, life time.Duration, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial.Add(serial, big.NewInt(1))
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = template.NotBefore.Add(life)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
