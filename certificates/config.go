package certificates

import (
	"context"
	"crypto/tls"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
)

// Source has the certificate of the moment.
type Source interface {
	// Config is what a listener is served with. It stays right while the certificate changes.
	Config() *tls.Config

	// Run keeps the certificate fresh until ctx ends.
	Run(ctx context.Context)

	// Reload makes Run look at once.
	Reload()

	// Expires is when the certificate of the moment does; zero if there is none yet.
	Expires() time.Time
}

// forwardSecret are the cipher suites of TLS 1.2 whose keys are of no use to whoever gets the server's key later. Those of
// TLS 1.3 all are of this kind.
var forwardSecret = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// newConfig is what all sources have in common.
func newConfig(get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{
		GetCertificate: get,
		MinVersion:     tls.VersionTLS12,
		CipherSuites:   forwardSecret,
		NextProtos:     []string{"http/1.1"}, // WebSocket needs no other

		// A ticket is a key that outlives its connection, and would let a client go on with a certificate that is gone.
		SessionTicketsDisabled: true,

		// Frames are collected before they are written: small records would only cost system calls.
		DynamicRecordSizingDisabled: true,
	}
}

// withChallenges makes a Config answer TLS-ALPN-01 as well.
func withChallenges(c *tls.Config) *tls.Config {
	c.NextProtos = append(c.NextProtos, acme.ALPNProto)
	return c
}

// errNone ends a handshake for which there is no certificate yet.
var errNone = errors.New("certificate: there is none yet")

// current is the certificate of the moment, for any name that a client asks for: a pin says more than a name.
type current struct {
	atomic.Pointer[tls.Certificate]
}

func (c *current) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if certificate := c.Load(); certificate != nil {
		return certificate, nil
	}
	return nil, errNone
}

// expires is when the certificate does; zero if there is none.
func (c *current) expires() time.Time {
	if certificate := c.Load(); certificate != nil {
		return certificate.Leaf.NotAfter
	}
	return time.Time{}
}
