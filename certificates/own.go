package certificates

import (
	"context"
	"crypto"
	"crypto/tls"
	"time"

	"github.com/rs/zerolog"
)

const (
	// watchInterval is the time between two looks at whether a certificate is due: because it gets old, or because the key
	// was rotated by another process.
	watchInterval = 10 * time.Second

	// issueTimeout is how long one attempt to get a certificate may take.
	issueTimeout = 5 * time.Minute

	// After a failed attempt the next one comes after firstRetry, then after four times as long each, up to lastRetry:
	// certificate authorities count failures, and refuse who has too many.
	firstRetry = time.Minute
	lastRetry  = 4 * time.Hour
)

// issuer makes certificates.
type issuer interface {
	// issue makes a certificate for a key; covers says whether one is for the names that are wanted now.
	issue(ctx context.Context, key crypto.Signer) (*tls.Certificate, error)
	covers(certificate *tls.Certificate) bool
}

// own is a Source with a key of the server's own.
type own struct {
	// fixed
	keys   *Keys
	issuer issuer
	log    zerolog.Logger
	wake   chan struct{}

	current current

	// of Run
	retry   time.Duration // after the next failure
	blocked time.Time     // until then nothing is tried
	broken  string        // the last trouble with the key in the log
}

func newOwn(keys *Keys, issuer issuer, log zerolog.Logger) own {
	return own{keys: keys, issuer: issuer, log: log, wake: make(chan struct{}, 1), retry: firstRetry}
}

// Reload implements Source: what has failed is tried again at once.
func (o *own) Reload() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Expires implements Source.
func (o *own) Expires() time.Time { return o.current.expires() }

// Run implements Source.
func (o *own) Run(ctx context.Context) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		o.renew(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-o.wake:
			o.blocked, o.retry = time.Time{}, firstRetry
		}
	}
}

// renew gets a certificate if one is due.
func (o *own) renew(ctx context.Context) {
	key, err := o.keys.Present()
	if err != nil {
		if reason := err.Error(); reason != o.broken {
			o.broken = reason
			o.log.Error().Str("cause", reason).Msg("TLS certificate is not renewed: its key cannot be used")
		}
		return
	}
	o.broken = ""
	if now := time.Now(); !o.due(key, now) || now.Before(o.blocked) {
		return
	}
	limited, cancel := context.WithTimeout(ctx, issueTimeout)
	defer cancel()
	certificate, err := o.issuer.issue(limited, key)
	switch {
	case err == nil:
		o.take(certificate)
	case ctx.Err() == nil:
		o.failed(err)
	}
}

func (o *own) take(certificate *tls.Certificate) {
	o.retry = firstRetry
	o.current.Store(certificate)
	o.log.Info().Time("expires", certificate.Leaf.NotAfter).Str("pin", string(PinOf(certificate.Leaf))).Msg("TLS certificate obtained")
}

func (o *own) failed(err error) {
	wait := max(o.retry, retryAfter(err))
	o.blocked = time.Now().Add(wait)
	o.retry = min(4*o.retry, lastRetry)
	o.log.Error().Str("cause", err.Error()).Str("again", wait.String()).Msg("TLS certificate could not be obtained")
}

// due says whether another certificate is wanted: there is none, it is for another key or other names, or less than a third
// of its time is left.
func (o *own) due(key crypto.Signer, now time.Time) bool {
	certificate := o.current.Load()
	if certificate == nil || PinOf(certificate.Leaf) != PinOfKey(key) || !o.issuer.covers(certificate) {
		return true
	}
	leaf := certificate.Leaf
	return now.After(leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore) / 3))
}

// coversNames says whether a certificate is for all of some names.
func coversNames(certificate *tls.Certificate, names []string) bool {
	for _, name := range names {
		if certificate.Leaf.VerifyHostname(name) != nil {
			return false
		}
	}
	return true
}
