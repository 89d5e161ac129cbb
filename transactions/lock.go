// Package transactions is the lock of one device group: who holds it, until when, and what its holder has staged
// (B24 to B30).
//
// A [Lock] is pure data: it has no clock and no timer of its own. The group's core (package devicegroup) makes one when
// a device begins a transaction, asks for its deadline, and takes what is staged when the transaction is committed. What
// the other devices reflect meanwhile is deferred: it is stored at once and gets its place when the lock ends.
package transactions

import (
	"errors"
	"slices"
	"time"

	"openmediator/d2m"
)

const (
	// StagedOverhead is what a staged message counts beside its envelope, bytes (B26).
	StagedOverhead = 64

	// MaxEphemeral is of the ephemerals that other devices have sent while the lock is held, the last of which are kept,
	// bytes (B26).
	MaxEphemeral = 64 << 10

	// minEphemeral is what an ephemeral counts at least, bytes: no number of empty ones is without bound (B44).
	minEphemeral = 16
)

// ErrStagedLimit says that a transaction has staged more than it may.
var ErrStagedLimit = errors.New("transaction: more is staged than allowed")

// Lock is a group's transaction lock while it is held.
type Lock struct {
	Number   uint32 // of the lock in its group, from 1
	Holder   d2m.DeviceID
	Scope    []byte    // encrypted, at most d2m.MaxScopeSize bytes; the lock's own
	Deadline time.Time // when the ttl runs out (B29)

	staged []Staged
	size   int

	ordinal    uint64 // of the next deferred message
	ephemerals []Ephemeral
	waiting    int // what ephemerals count, bytes
}

// Staged is a message of the holder that nobody has got yet. Its envelope is the lock's.
type Staged struct {
	Ephemeral bool
	Timestamp uint64 // Unix milliseconds
	Envelope  []byte
}

// Ephemeral is an ephemeral message of another device that waits for the end of the lock. Its envelope is the lock's.
type Ephemeral struct {
	Ordinal   uint64
	Sender    d2m.DeviceID
	Timestamp uint64 // Unix milliseconds
	Envelope  []byte
}

// Begin takes the lock for a device. ttl is what it asks for, in seconds; 0, or more than limit, means limit (B29).
func Begin(now time.Time, number uint32, holder d2m.DeviceID, scope []byte, ttl uint32, limit time.Duration) *Lock {
	lasts := time.Duration(ttl) * time.Second
	if ttl == 0 || lasts > limit {
		lasts = limit
	}
	return &Lock{Number: number, Holder: holder, Scope: slices.Clone(scope), Deadline: now.Add(lasts)}
}

// Stage keeps a message of the holder, and a copy of its envelope, until the commit. limit is what may be staged, bytes,
// each message counted StagedOverhead more than its envelope.
func (l *Lock) Stage(m Staged, limit int) error {
	size := len(m.Envelope) + StagedOverhead
	if l.size+size > limit {
		return ErrStagedLimit
	}
	l.size += size
	m.Envelope = slices.Clone(m.Envelope)
	l.staged = append(l.staged, m)
	return nil
}

// Staged returns what is staged, in order. It is the lock's.
func (l *Lock) Staged() []Staged { return l.staged }

// Size returns how much is staged, counted as for Stage.
func (l *Lock) Size() int { return l.size }

// StoredBytes returns how many bytes of envelopes are to be stored at the commit.
func (l *Lock) StoredBytes() (bytes int) {
	for _, m := range l.staged {
		if !m.Ephemeral {
			bytes += len(m.Envelope)
		}
	}
	return bytes
}

// Defer returns the place of the next message of another device behind the lock.
func (l *Lock) Defer() uint64 {
	ordinal := l.ordinal
	l.ordinal++
	return ordinal
}

// Deferred returns how many places behind the lock are taken.
func (l *Lock) Deferred() uint64 { return l.ordinal }

// DeferEphemeral keeps an ephemeral of another device, and a copy of its envelope, until the lock ends. It reports how
// many older ones had to go for it (B26).
func (l *Lock) DeferEphemeral(sender d2m.DeviceID, timestamp uint64, envelope []byte) (lost int) {
	e := Ephemeral{Ordinal: l.Defer(), Sender: sender, Timestamp: timestamp, Envelope: slices.Clone(envelope)}
	l.ephemerals = append(l.ephemerals, e)
	l.waiting += e.size()
	for l.waiting > MaxEphemeral {
		l.waiting -= l.ephemerals[lost].size()
		lost++
	}
	l.ephemerals = slices.Delete(l.ephemerals, 0, lost)
	return lost
}

func (e *Ephemeral) size() int { return max(len(e.Envelope), minEphemeral) }

// Ephemerals returns the ephemerals of other devices that wait, in order. They are the lock's.
func (l *Lock) Ephemerals() []Ephemeral { return l.ephemerals }
