package devicegroup

import (
	"fmt"
	"time"

	"openmediator/d2m"
	"openmediator/transactions"
)

// Config holds what an operator may set of a group's behaviour. DefaultConfig gives the defaults.
type Config struct {
	MaxSlots       int           // device slots per group, 1 to MaxSlotsLimit (B8)
	VolatileExpiry time.Duration // how long a VOLATILE slot outlives its connection (B34)
	MaxAbsence     time.Duration // how long a PERSISTENT one does; 0: for ever (B34)

	// A slot for which more waits is dropped (B22).
	QueueMessages int
	QueueBytes    int64 // of envelopes

	GroupBytes int64 // of envelopes that wait in a group; a Reflect that exceeds it is not taken (B22)

	MaxTTL      time.Duration // of a transaction (B29)
	StagedBytes int           // of a transaction, each message counted 64 bytes more than its envelope (B26)

	TailBytes int // of lately stored messages that are kept in memory per group
}

// MaxSlotsLimit is the largest number of slots for which DevicesInfo still fits into one message (B11).
const MaxSlotsLimit = (d2m.MaxMessageSize - d2m.HeaderSize) / (d2m.MaxDeviceInfoSize + deviceInfoOverhead)

// deviceInfoOverhead is the most that an entry of DevicesInfo takes beside the device info, in bytes: three tags and
// lengths of nested messages, the device id, a time and a policy.
const deviceInfoOverhead = 64

// DefaultConfig returns the defaults of the rules.
func DefaultConfig() Config {
	return Config{
		MaxSlots:       10,
		VolatileExpiry: 10 * time.Minute,
		QueueMessages:  100_000,
		QueueBytes:     256 << 20,
		GroupBytes:     1 << 30,
		MaxTTL:         30 * time.Minute,
		StagedBytes:    8 << 20,
		TailBytes:      256 << 10,
	}
}

// Validate names the first value that is out of its range.
func (c *Config) Validate() error {
	switch {
	case c.MaxSlots < 1 || c.MaxSlots > MaxSlotsLimit:
		return fmt.Errorf("device slots per group: %d is not within 1 and %d", c.MaxSlots, MaxSlotsLimit)
	case c.VolatileExpiry < time.Second:
		return fmt.Errorf("expiry of volatile slots: %v is below 1s", c.VolatileExpiry)
	case c.MaxAbsence != 0 && c.MaxAbsence < time.Minute:
		return fmt.Errorf("maximum absence: %v is below 1m; 0 turns it off", c.MaxAbsence)
	case c.QueueMessages < 1:
		return fmt.Errorf("messages per reflection queue: %d is below 1", c.QueueMessages)
	case c.QueueBytes < d2m.MaxEnvelopeSize:
		return fmt.Errorf("bytes per reflection queue: %d is below the largest envelope, %d", c.QueueBytes, d2m.MaxEnvelopeSize)
	case c.GroupBytes < c.QueueBytes:
		return fmt.Errorf("bytes per group: %d is below the bytes per reflection queue, %d", c.GroupBytes, c.QueueBytes)
	case c.MaxTTL < time.Second || c.MaxTTL > 24*time.Hour:
		return fmt.Errorf("time-to-live of transactions: %v is not within 1s and 24h", c.MaxTTL)
	case c.StagedBytes < d2m.MaxEnvelopeSize+transactions.StagedOverhead:
		return fmt.Errorf("bytes staged per transaction: %d is below the largest message, %d", c.StagedBytes, d2m.MaxEnvelopeSize+transactions.StagedOverhead)
	case c.TailBytes < 0:
		return fmt.Errorf("bytes kept in memory per group: %d is negative", c.TailBytes)
	}
	return nil
}
