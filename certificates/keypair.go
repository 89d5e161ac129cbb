package certificates

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

// maxFileSize is how long a file with a chain or a key may be, bytes.
const maxFileSize = 1 << 20

// minRSABits is how long an RSA key has to be. Browsers and libraries refuse shorter ones, with messages that nobody understands.
const minRSABits = 2048

// Load reads a chain and the private key of its first certificate, the leaf, both in PEM form; they may stand in one file.
// It is an error if they do not fit each other, or if the leaf is not for a server, or not for this time. The error is one
// sentence that names the file and the way out.
func Load(chainFile, keyFile string, now time.Time) (*tls.Certificate, error) {
	pair, err := readPair(chainFile, keyFile)
	if err != nil {
		return nil, err
	}
	return pair.parse(now)
}

// pair is what two files hold.
type pair struct {
	chainFile, keyFile string
	chain, key         []byte
}

func readPair(chainFile, keyFile string) (*pair, error) {
	chain, err := readFile("certificate", chainFile)
	if err != nil {
		return nil, ifAbsent(err, "tls-cert")
	}
	key, err := readFile("key", keyFile)
	if err != nil {
		return nil, ifAbsent(err, "tls-key")
	}
	return &pair{chainFile, keyFile, chain, key}, nil
}

// ifAbsent says which setting names a file that is not there.
func ifAbsent(err error, setting string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; set %s to a file that is there", err, setting)
	}
	return err
}

// readFile reads a file that is no larger than it should be, and never waits for one.
func readFile(what, path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%s %s: cannot be read: %w", what, path, withoutPath(err))
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s %s: is no regular file", what, path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s %s: cannot be read: %w; let the user of the server read it", what, path, withoutPath(err))
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("%s %s: cannot be read: %w", what, path, withoutPath(err))
	}
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("%s %s: has more than %d bytes, which is no %s", what, path, maxFileSize, what)
	}
	return data, nil
}

// withoutPath strips the path that an error of the file system repeats.
func withoutPath(err error) error {
	var inPath *fs.PathError
	if errors.As(err, &inPath) {
		return inPath.Err
	}
	return err
}

// parse makes a certificate of the files' content.
func (p *pair) parse(now time.Time) (*tls.Certificate, error) {
	leaf, err := p.leaf()
	if err != nil {
		return nil, err
	}
	if err := p.checkKey(); err != nil {
		return nil, err
	}
	certificate, err := tls.X509KeyPair(p.chain, p.key)
	if err != nil {
		return nil, p.misfit(leaf, err)
	}
	if weak, ok := leaf.PublicKey.(*rsa.PublicKey); ok && weak.N.BitLen() < minRSABits {
		return nil, fmt.Errorf("key %s: has %d bits of RSA, and clients want %d; make another one (openssl genpkey -algorithm EC "+
			"-pkeyopt ec_paramgen_curve:P-256 -out NEW), and have a certificate made for it", p.keyFile, weak.N.BitLen(), minRSABits)
	}
	if err := checkUse(leaf, now); err != nil {
		return nil, fmt.Errorf("certificate %s: %w", p.chainFile, err)
	}
	return &certificate, nil
}

// leaf returns the first certificate of the chain.
func (p *pair) leaf() (*x509.Certificate, error) {
	block := firstBlock(p.chain, isCertificate)
	if block == nil {
		return nil, fmt.Errorf("certificate %s: holds none in PEM form, which begins with -----BEGIN CERTIFICATE-----", p.chainFile)
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: is damaged: %w", p.chainFile, err)
	}
	return leaf, nil
}

// checkKey says what is wrong with a key that is none.
func (p *pair) checkKey() error {
	block := firstBlock(p.key, isKey)
	switch {
	case block == nil:
		return fmt.Errorf("key %s: holds no private key in PEM form, which begins with -----BEGIN PRIVATE KEY-----", p.keyFile)
	case block.Type == "ENCRYPTED PRIVATE KEY", block.Headers["DEK-Info"] != "":
		return fmt.Errorf("key %s: is protected by a passphrase, which nobody would be there to type; write it without: "+
			"openssl pkey -in OLD -out NEW", p.keyFile)
	}
	return nil
}

func isCertificate(kind string) bool { return kind == "CERTIFICATE" }

func isKey(kind string) bool { return strings.HasSuffix(kind, "PRIVATE KEY") }

func firstBlock(data []byte, wanted func(kind string) bool) *pem.Block {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil || wanted(block.Type) {
			return block
		}
	}
}

// misfit tells why a chain and a key that are sound each make no pair.
func (p *pair) misfit(leaf *x509.Certificate, err error) error {
	key, keyErr := parseKey(p.key)
	if keyErr != nil {
		return fmt.Errorf("key %s: is damaged or of a kind that TLS does not use: %w", p.keyFile, err)
	}
	own := PinOfKey(key)
	for rest := p.chain; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return fmt.Errorf("key %s: does not belong to the certificate in %s, whose key has the pin %s; this one has %s",
				p.keyFile, p.chainFile, PinOf(leaf), own)
		}
		if other, err := x509.ParseCertificate(block.Bytes); err == nil && PinOf(other) == own {
			return fmt.Errorf("certificate %s: the one that the key in %s belongs to is not the first; put it there, and behind "+
				"it who signed it", p.chainFile, p.keyFile)
		}
	}
}

// checkUse says why a server cannot show a certificate now.
func checkUse(leaf *x509.Certificate, now time.Time) error {
	usages := leaf.ExtKeyUsage
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("has expired at %s; renew it", leaf.NotAfter.Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("is valid from %s on, and not now; is the clock right?", leaf.NotBefore.Format(time.RFC3339))
	case len(usages) > 0 && !slices.Contains(usages, x509.ExtKeyUsageServerAuth) && !slices.Contains(usages, x509.ExtKeyUsageAny):
		return errors.New("is not for servers (its extended key usage lacks serverAuth); have one made that is")
	case len(leaf.DNSNames) == 0 && len(leaf.IPAddresses) == 0:
		return errors.New("has no subject alternative name, and clients look at no other; have one made that has")
	}
	return nil
}

// encode writes a certificate as one PEM text, its key first.
func encode(certificate *tls.Certificate) ([]byte, error) {
	key, err := encodeKey(certificate.PrivateKey.(crypto.Signer))
	if err != nil {
		return nil, err
	}
	text := bytes.NewBuffer(key)
	for _, der := range certificate.Certificate {
		if err := pem.Encode(text, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
			return nil, err
		}
	}
	return text.Bytes(), nil
}

// Leaf reads the first certificate of a chain, whose key need not be there. It may have expired.
func Leaf(chainFile string) (*x509.Certificate, error) {
	chain, err := readFile("certificate", chainFile)
	if err != nil {
		return nil, err
	}
	return (&pair{chainFile: chainFile, chain: chain}).leaf()
}
