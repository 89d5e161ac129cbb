package mediator

import (
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"openmediator/chatproxy"
	"openmediator/devicegroup"
	"openmediator/privacy"
)

// Config is what an operator may set. DefaultConfig gives the defaults.
type Config struct {
	Group devicegroup.Config

	HandshakeTimeout time.Duration // from the upgrade to ClientHello (B3)
	PingInterval     time.Duration // between two pings to a connection
	StallTimeout     time.Duration // for a device that takes nothing and sends nothing (B21)
	DrainTime        time.Duration // in which devices are told that the server stops, up to a minute; 0: all at once (B41)
	MaxConnections   int           // open at once, closing ones included
	TailBytes        int           // stored messages kept in memory, of all groups together
	StagedBytes      int           // of all transactions together, each message counted 64 bytes more (B26)

	// From the first frame of a message until all of it has arrived, however fast it comes: 60 s are 1.1 KiB/s for the
	// largest one. Time in which this side does not read (B21) is not counted.
	MessageTimeout time.Duration

	// What strangers, one group and one address may take of the server (B44). An address is an IPv4 address or the /64 of an
	// IPv6 address. Peers on loopback and on unix sockets have none, and none of its limits, until they are believed to name
	// the client (Front). 0 turns a limit of addresses off. The defaults suit a small server: some hundred people behind one
	// address, with two or three devices each, do not reach them, not even when the server starts and all of them come at
	// once, but for being told to come again in 10 s.

	// Connections without a registered device, of all addresses; as many again may wait for the answer to their request.
	// 0: a quarter of MaxConnections, 16 at least.
	MaxUnauthenticated int

	MaxGroupConnections       int // of one group, closing ones included; 0: four times its slots
	MaxAddressConnections     int // of one address at once, closing ones included
	MaxAddressUnauthenticated int // of them without a registered device; as many again may wait for their answer
	MaxAddressUpgrades        int // connections that one address opens, per minute
	AddressUpgradeBurst       int // of them at once, before MaxAddressUpgrades counts
	MaxAddressGroups          int // device groups that come into being (B6) from one address, per hour
	AddressGroupBurst         int // of them at once, before MaxAddressGroups counts

	Access Access // which groups are accepted; nil: all

	Front Front // the proxies in front of the server that are believed

	Chat chatproxy.Config // how the chat servers are reached; the zero value knows none

	Privacy privacy.Policy // what the log may say of users (B42)
	Log     zerolog.Logger
}

// DefaultConfig returns the defaults of the rules, and a log that goes nowhere.
func DefaultConfig() Config {
	return Config{
		Group:            devicegroup.DefaultConfig(),
		HandshakeTimeout: 15 * time.Second,
		PingInterval:     25 * time.Second,
		StallTimeout:     60 * time.Second,
		DrainTime:        4 * time.Second, // above it devices that come back after 5 s would come too early
		MaxConnections:   50_000,
		TailBytes:        64 << 20,
		StagedBytes:      256 << 20,
		MessageTimeout:   60 * time.Second,

		MaxAddressConnections:     1000,
		MaxAddressUnauthenticated: 250,
		MaxAddressUpgrades:        600,
		AddressUpgradeBurst:       1000,
		MaxAddressGroups:          60,
		AddressGroupBurst:         60,

		Front: Front{Header: XForwardedFor},

		Chat: chatproxy.Config{Rate: 1 << 20},

		Log: zerolog.Nop(),
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
	case c.DrainTime < 0 || c.DrainTime > maxDrainTime:
		return fmt.Errorf("drain time: %v is not within 0 and %v", c.DrainTime, maxDrainTime)
	case c.MaxConnections < 1:
		return fmt.Errorf("connections: %d is below 1", c.MaxConnections)
	case c.TailBytes < 0:
		return fmt.Errorf("bytes kept in memory: %d is negative", c.TailBytes)
	case c.StagedBytes < c.Group.StagedBytes:
		return fmt.Errorf("bytes staged: %d is below the bytes staged per transaction, %d", c.StagedBytes, c.Group.StagedBytes)
	}
	if err := c.Front.validate(); err != nil {
		return err
	}
	if err := c.Privacy.Validate(time.Now()); err != nil {
		return err
	}
	if err := c.validateLimits(); err != nil {
		return err
	}
	return c.Group.Validate()
}
