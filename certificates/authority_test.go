package certificates

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newECDSA(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// certify makes a self-signed certificate for a year from now on, unless change says otherwise.
func certify(t testing.TB, key crypto.Signer, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{DNSNames: []string{"server.example"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if change != nil {
		change(template)
	}
	life := 365 * 24 * time.Hour
	var parent = template
	certificate, err := sign(template, life, parent, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func chainText(certificates ...*x509.Certificate) []byte {
	var text []byte
	for _, c := range certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return text
}

func keyText(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	text, err := encodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t testing.TB, path string, text []byte) string {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// logBuffer is a log that a test reads.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// take returns what was logged since the last call.
func (b *logBuffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.text.Reset()
	return b.text.String()
}

func (b *logBuffer) log() zerolog.Logger { return zerolog.New(b) }

// shown is the certificate that a source shows now, in a real handshake.
func shown(t testing.TB, s Source) *x509.Certificate {
	t.Helper()
	c, err := shake(s.Config(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	return c.PeerCertificates[0]
}

// shake makes a handshake and returns how it went for the client.
func shake(server, client *tls.Config) (tls.ConnectionState, error) {
	l, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		s, err := l.Accept()
		if err == nil {
			err = s.(*tls.Conn).Handshake()
			s.Close()
		}
		served <- err
	}()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return tls.ConnectionState{}, err
	}
	c := tls.Client(raw, client)
	err = c.Handshake()
	raw.Close()
	return c.ConnectionState(), errors.Join(err, <-served)
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	at := func(name string, text []byte) string { return write(t, filepath.Join(dir, name), text) }
	key, other := newECDSA(t), newECDSA(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	leaf := certify(t, key, nil)
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("secret")})
	legacy := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"DEK-Info": "AES-128-CBC,00"}, Bytes: []byte("secret")})
	damaged := leaf.Raw[:len(leaf.Raw)-10]
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	good, goodKey := at("good", chainText(leaf)), at("key", keyText(t, key))
	if err := os.Mkdir(filepath.Join(dir, "directory"), 0o700); err != nil {
		t.Fatal(err)
	}

	for name, files := range map[string][2]string{
		"a pair":              {good, goodKey},
		"in one file":         {at("both", append(keyText(t, key), chainText(leaf)...)), at("both", append(keyText(t, key), chainText(leaf)...))},
		"a chain":             {at("chain", chainText(leaf, certify(t, other, nil))), goodKey},
		"RSA":                 {at("rsa", chainText(certify(t, rsaKey, nil))), at("rsa-key", keyText(t, rsaKey))},
		"PKCS 1":              {at("rsa", chainText(certify(t, rsaKey, nil))), at("pkcs1", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)}))},
		"text between blocks": {at("text", append([]byte("Subject: server\n"), chainText(leaf)...)), goodKey},
	} {
		if _, err := Load(files[0], files[1], time.Now()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, test := range map[string]struct {
		chain, key string
		want       string
	}{
		"no file":          {filepath.Join(dir, "none"), goodKey, "none: cannot be read: no such file"},
		"no key file":      {good, filepath.Join(dir, "none"), "key " + filepath.Join(dir, "none") + ": cannot be read"},
		"a directory":      {filepath.Join(dir, "directory"), goodKey, "is no regular file"},
		"a device":         {"/dev/zero", goodKey, "is no regular file"},
		"empty":            {at("empty", nil), goodKey, "holds none in PEM form"},
		"DER":              {at("der", leaf.Raw), goodKey, "holds none in PEM form"},
		"the key instead":  {goodKey, goodKey, "holds none in PEM form"},
		"swapped":          {good, good, "holds no private key in PEM form"},
		"cut":              {at("cut", chainText(leaf)[:200]), goodKey, "holds none in PEM form"},
		"damaged":          {at("damaged", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: damaged})), goodKey, "is damaged"},
		"damaged key":      {good, at("bad", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("garbage")})), "is damaged"},
		"too large":        {at("large", make([]byte, maxFileSize+1)), goodKey, "has more than 1048576 bytes"},
		"passphrase":       {good, at("encrypted", encrypted), "openssl pkey -in OLD -out NEW"},
		"old passphrase":   {good, at("legacy", legacy), "is protected by a passphrase"},
		"another's key":    {good, at("other", keyText(t, other)), "does not belong to the certificate in " + good + ", whose key has the pin " + string(PinOf(leaf))},
		"short RSA key":    {at("weak", chainText(certify(t, weak, nil))), at("weak-key", keyText(t, weak)), "weak-key: has 1024 bits of RSA, and clients want 2048; make another one"},
		"another kind":     {good, at("rsa-key", keyText(t, rsaKey)), "does not belong to the certificate"},
		"leaf last":        {at("order", chainText(certify(t, other, nil), leaf)), goodKey, "is not the first"},
		"no name":          {at("nameless", chainText(certify(t, key, func(c *x509.Certificate) { c.DNSNames = nil }))), goodKey, "has no subject alternative name"},
		"for clients only": {at("client", chainText(certify(t, key, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }))), goodKey, "lacks serverAuth"},
	} {
		if _, err := Load(test.chain, test.key, time.Now()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want one that says %q", name, err, test.want)
		}
	}
	if _, err := Load(good, goodKey, time.Now().Add(400*24*time.Hour)); err == nil || !strings.Contains(err.Error(), "has expired at ") {
		t.Errorf("expired: got %v", err)
	}
	if _, err := Load(good, goodKey, time.Now().Add(-48*time.Hour)); err == nil || !strings.Contains(err.Error(), "is the clock right?") {
		t.Errorf("not yet valid: got %v", err)
	}
}

// FuzzLoad reads whatever there is. It finds a pair or says in one line why not.
func FuzzLoad(f *testing.F) {
	key := newECDSA(f)
	chain, text := chainText(certify(f, key, nil)), keyText(f, key)
	f.Add(chain, text)
	f.Add(text, chain)
	f.Add(chain[:len(chain)/2], text)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), []byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, chain, key []byte) {
		p := pair{"chain", "key", chain, key}
		certificate, err := p.parse(time.Now())
		if (err == nil) != (certificate != nil) {
			t.Errorf("got %v and %v", certificate, err)
		}
	})
}

func TestOnlyForwardSecrecy(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{"RSA": rsaKey, "ECDSA": newECDSA(t)} {
		leaf := certify(t, key, nil)
		server := newConfig(func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}, nil
		})
		for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
			if _, err := shake(server, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version}); err == nil {
				t.Errorf("%s: %s is accepted", name, tls.VersionName(version))
			}
		}
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			state, err := shake(server, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
			if err != nil || state.Version != version || state.DidResume {
				t.Errorf("%s: %s: %v", name, tls.VersionName(version), err)
			}
		}
		all := append(tls.CipherSuites(), tls.InsecureCipherSuites()...)
		for _, suite := range all {
			if strings.HasPrefix(suite.Name, "TLS_ECDHE_") {
				continue
			}
			client := &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}}
			if _, err := shake(server, client); err == nil && suite.SupportedVersions[0] < tls.VersionTLS13 {
				t.Errorf("%s: %s is accepted", name, suite.Name)
			}
		}
		if _, err := shake(server, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}); err == nil {
			t.Errorf("%s: HTTP/2 is accepted", name)
		}
	}
}
