package certificates

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"time"

	"github.com/rs/zerolog"
)

const (
	// lookInterval is the time between two looks at the files. What is new is taken up when two looks have seen the same:
	// whoever replaces a chain and a key does so one after the other.
	lookInterval = 2 * time.Second

	// Of its lifetime a certificate should not be left with less than a tenth, at most expirySoon: from then on the log says
	// so every remindInterval.
	expirySoon     = 14 * 24 * time.Hour
	remindInterval = 24 * time.Hour
)

// Files is a Source that the operator provides.
type Files struct {
	// fixed
	chainFile, keyFile string
	log                zerolog.Logger
	wake               chan struct{}

	current current

	// of Run
	used     content   // what the certificate was made of
	seen     content   // by the last look
	refused  string    // the last reason in the log
	reminded time.Time // when the log last said that the certificate expires
	expired  bool      // and that it has
}

// content names what two files hold.
type content [sha256.Size]byte

// NewFiles reads a chain and a key as Load does.
func NewFiles(chainFile, keyFile string, log zerolog.Logger) (*Files, error) {
	f := &Files{chainFile: chainFile, keyFile: keyFile, log: log, wake: make(chan struct{}, 1)}
	read, err := readPair(chainFile, keyFile)
	if err != nil {
		return nil, err
	}
	certificate, err := read.parse(time.Now())
	if err != nil {
		return nil, err
	}
	f.current.Store(certificate)
	f.used = read.content()
	return f, nil
}

func (p *pair) content() content {
	chain, key := sha256.Sum256(p.chain), sha256.Sum256(p.key)
	return sha256.Sum256(append(chain[:], key[:]...))
}

// Config implements Source.
func (f *Files) Config() *tls.Config { return newConfig(f.current.get) }

// Expires implements Source.
func (f *Files) Expires() time.Time { return f.current.expires() }

// Reload implements Source.
func (f *Files) Reload() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Run implements Source.
func (f *Files) Run(ctx context.Context) {
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f.look(false)
		case <-f.wake:
			f.look(true)
		}
	}
}

// look takes up what is new; at once, or if the look before has seen the same.
func (f *Files) look(atOnce bool) {
	f.remind(time.Now())
	read, err := readPair(f.chainFile, f.keyFile)
	var now content
	if err == nil {
		now = read.content()
	}
	settled := now == f.seen || atOnce
	f.seen = now
	if !settled {
		return
	}
	if err == nil && now == f.used {
		f.refused = ""
		return
	}
	var certificate *tls.Certificate
	if err == nil {
		certificate, err = read.parse(time.Now())
	}
	if err != nil {
		f.refuse(err)
		return
	}
	f.take(certificate)
	f.used, f.refused = now, ""
}

// refuse says once why new files are not taken.
func (f *Files) refuse(err error) {
	if reason := err.Error(); reason != f.refused {
		f.refused = reason
		f.log.Error().Str("cause", reason).Msg("TLS certificate stays the old one: the new files cannot be used")
	}
}

func (f *Files) take(certificate *tls.Certificate) {
	old := f.current.Swap(certificate)
	f.reminded, f.expired = time.Time{}, false
	f.log.Info().Time("expires", certificate.Leaf.NotAfter).Msg("TLS certificate replaced")
	if before, after := PinOf(old.Leaf), PinOf(certificate.Leaf); before != after {
		f.log.Warn().Str("before", string(before)).Str("now", string(after)).
			Msg("TLS key is another one: clients that pin the old one and not this one cannot connect any more")
	}
}

// remind says from time to time that the certificate expires.
func (f *Files) remind(now time.Time) {
	leaf := f.current.Load().Leaf
	left, soon := leaf.NotAfter.Sub(now), min(expirySoon, leaf.NotAfter.Sub(leaf.NotBefore)/10)
	if left > soon || f.expired == (left < 0) && now.Sub(f.reminded) < remindInterval {
		return
	}
	f.reminded, f.expired = now, left < 0
	if f.expired {
		f.log.Error().Time("expired", leaf.NotAfter).Str("file", f.chainFile).Msg("TLS certificate has expired: clients cannot connect")
		return
	}
	f.log.Warn().Time("expires", leaf.NotAfter).Str("file", f.chainFile).Msg("TLS certificate expires soon: renew it")
}
