package mediator

import (
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"openmediator/chatproxy"
	"openmediator/devicegroup"
)

// Config is what an operator may set. DefaultConfig gives the defaults.
type Config struct {
	Group devicegroup.Config

	HandshakeTimeout time.Duration // from the upgrade to ClientHello (B3)
	PingInterval     time.Duration // between two pings to a connection
	StallTimeout     time.Duration // for a device that takes nothing and sends nothing (B21)
	MaxConnections   int           // open at once, closing ones included
	TailBytes        int           // stored messages kept in memory, of all groups together
	StagedBytes      int           // of all transactions together, each message counted 64 bytes more (B26)

	Chat chatproxy.Config // how the chat servers are reached; the zero value knows none

	Privacy Privacy
	Log     zerolog.Logger
}

// DefaultConfig returns the defaults of the rules, and a log that goes nowhere.
func DefaultConfig() Config {
	return Config{
		Group:            devicegroup.DefaultConfig(),
		HandshakeTimeout: 15 * time.Second,
		PingInterval:     25 * time.Second,
		StallTimeout:     60 * time.Second,
		MaxConnections:   50_000,
		TailBytes:        64 << 20,
		StagedBytes:      256 << 20,
		Log:              zerolog.Nop(),
	}
}

// Validate names the first value that is out of its range.
func (c *Config) Validate() error {
	switch {
	case c.HandshakeTimeout < time.Second || c.HandshakeTimeout > time.Hour:
		return fmt.Errorf("handshake timeout: %v is not within 1s and 1h", c.HandshakeTimeout)
	case c.PingInterval < time.Second || c.PingInterval > time.Hour:
		return fmt.Errorf("ping interval: %v is not within 1s and 1h", c.PingInterval)
	case c.StallTimeout < time.Second || c.StallTimeout > time.Hour:
		return fmt.Errorf("stall timeout: %v is not within 1s and 1h", c.StallTimeout)
	case c.MaxConnections < 1:
		return fmt.Errorf("connections: %d is below 1", c.MaxConnections)
	case c.TailBytes < 0:
		return fmt.Errorf("bytes kept in memory: %d is negative", c.TailBytes)
	case c.StagedBytes < c.Group.StagedBytes:
		return fmt.Errorf("bytes staged: %d is below the bytes staged per transaction, %d", c.StagedBytes, c.Group.StagedBytes)
	}
	return c.Group.Validate()
}
