package chatserver

import (
	"crypto/ecdh"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/rs/zerolog"

	"openmediator/csp"
)

// Config is what whoever starts a server sets. DefaultConfig gives the rest.
type Config struct {
	Key        *ecdh.PrivateKey // the server's permanent key, X25519
	DataDir    string           // holds chatserver.db; made, with mode 0700, if it is not there
	Identities Identities       // public keys that need no registration; nil: none. The server does not close it.
	Log        zerolog.Logger

	// OnConnect, if not nil, is called with the peer's address of each connection that is accepted, before anything is
	// read from it. It shows what a chat server sees of its clients; nothing of it is logged.
	OnConnect func(net.Addr)

	HandshakeTimeout time.Duration // for the whole handshake
	IdleTimeout      time.Duration // until the client sets another; 30 s to 600 s
	EchoInterval     time.Duration // between two echo requests to a client that announced that it answers them
	StallTimeout     time.Duration // for a client to take 16 KiB of what is written to it
	CloseTimeout     time.Duration // for a client to take a close error, and then to close

	MaxConnections int // at once; a connection beyond them is closed as soon as it is accepted
	MaxPerIdentity int // connections of one identity side by side
	MaxUnsent      int // bytes, of what a connection has to send besides stored messages
	MaxQueue       int // messages that wait for one receiver
	MaxRegistered  int // identities that have registered over HTTP
	MaxChallenges  int // registrations that have begun and not ended
}

// DefaultConfig returns the limits, with neither key nor data directory nor identities, and a log that goes nowhere.
func DefaultConfig() Config {
	return Config{
		Log:              zerolog.Nop(),
		HandshakeTimeout: 20 * time.Second,
		IdleTimeout:      300 * time.Second,
		EchoInterval:     100 * time.Second,
		StallTimeout:     60 * time.Second,
		CloseTimeout:     5 * time.Second,
		MaxConnections:   10_000,
		MaxPerIdentity:   32,
		MaxUnsent:        256 << 10,
		MaxQueue:         10_000,
		MaxRegistered:    100_000,
		MaxChallenges:    1_024,
	}
}

// Range of the idle timeout; what a client asks beyond it is clamped.
const (
	minIdleTimeout = 30 * time.Second
	maxIdleTimeout = 600 * time.Second
)

// Validate names the first value that makes no sense.
func (c *Config) Validate() error {
	switch {
	case c.Key == nil || c.Key.Curve() != ecdh.X25519():
		return errors.New("key: it is not an X25519 key")
	case c.DataDir == "":
		return errors.New("data directory: none is named")
	case c.IdleTimeout < minIdleTimeout || c.IdleTimeout > maxIdleTimeout:
		return fmt.Errorf("idle timeout: %v is not within %v and %v", c.IdleTimeout, minIdleTimeout, maxIdleTimeout)
	case c.MaxUnsent < csp.MaxBoxSize:
		return fmt.Errorf("unsent bytes: %d are less than one frame's %d", c.MaxUnsent, csp.MaxBoxSize)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"handshake timeout", c.HandshakeTimeout}, {"echo interval", c.EchoInterval},
		{"stall timeout", c.StallTimeout}, {"close timeout", c.CloseTimeout},
	} {
		if d.value < time.Second || d.value > time.Hour {
			return fmt.Errorf("%s: %v is not within 1s and 1h", d.name, d.value)
		}
	}
	for _, n := range []struct {
		name  string
		value int
	}{
		{"connections", c.MaxConnections}, {"connections of an identity", c.MaxPerIdentity}, {"queue", c.MaxQueue},
		{"registered identities", c.MaxRegistered}, {"challenges", c.MaxChallenges},
	} {
		if n.value < 1 {
			return fmt.Errorf("%s: %d is below 1", n.name, n.value)
		}
	}
	return nil
}
