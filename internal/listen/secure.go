package listen

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"
)

// Secure is a Listener whose connections speak TLS. What it accepts does not yet: see Serve.
type Secure struct {
	Listener
	config *tls.Config // of the server
	roots  *x509.CertPool
}

// serverName is in the certificate of a Secure.
const serverName = "server"

// NewSecure makes a listener one for TLS, with a certificate of its own.
func NewSecure(t testing.TB, l Listener) Secure {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{serverName},
		NotBefore:    time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC), // fake time begins a day later
		NotAfter:     time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	certificate := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
	return Secure{l, &tls.Config{Certificates: []tls.Certificate{certificate}, SessionTicketsDisabled: true}, roots}
}

// Dial connects to the listener. The handshake comes with the first byte that is read or written.
func (l Secure) Dial() (net.Conn, error) {
	c, err := l.Listener.Dial()
	if err != nil {
		return nil, err
	}
	return secureConn{tls.Client(c, &tls.Config{RootCAs: l.roots, ServerName: serverName})}, nil
}

// secureConn does not say when it is closed. Over a pipe it would have to wait until that is read.
type secureConn struct{ *tls.Conn }

// Close closes the connection below.
func (c secureConn) Close() error { return c.NetConn().Close() }

// Server is what the tests run.
type Server interface {
	Serve(l net.Listener) error
	ServeTLS(l net.Listener, config *tls.Config) error
}

// Serve runs a server on a listener, with TLS if it is a Secure.
func Serve(s Server, l Listener) error {
	if secure, ok := l.(Secure); ok {
		return s.ServeTLS(secure.Listener, secure.config)
	}
	return s.Serve(l)
}
