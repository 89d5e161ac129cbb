package csp

import (
	"encoding/binary"
	"fmt"
)

// Sizes in bytes.
const (
	// NonceSize is the nonce of a message, which both its boxes use.
	NonceSize = 24
	// MaxMessageBoxes is the most that the two boxes of a message have together, so
	// that it fits into a frame.
	MaxMessageBoxes = MaxDataSize - messageHeaderSize - NonceSize
	// MaxBodySize is the longest body for which, whatever its padding, the box fits
	// into a message without metadata. With metadata it is less by the size of the
	// metadata's box.
	MaxBodySize = MaxMessageBoxes - BoxOverhead - 1 - maxPadding

	messageHeaderSize = 64
	minMessageSize    = messageHeaderSize + NonceSize
)

// Message is sender 8 · receiver 8 · message id u64 · created-at u32 · flags u8 ·
// zero u8 · metadata length u16 · legacy nickname 32 · metadata box · nonce 24 ·
// message box.
type Message struct {
	Sender    Identity
	Receiver  Identity
	ID        MessageID
	CreatedAt uint32 // Unix time, s; 0: the server puts in its time
	Flags     MessageFlags
	Nickname  [32]byte // of the sender, legacy; UTF-8, padded with zero bytes
	Metadata  []byte   // box; empty: none
	Nonce     [NonceSize]byte
	Box       []byte
}

// MessageFlags is a set of how a message is to be handled. Unknown bits are kept.
type MessageFlags uint8

const (
	// FlagPush asks for a push notification.
	FlagPush MessageFlags = 0x01
	// FlagDoNotQueue is of a message that is delivered at once or not at all.
	FlagDoNotQueue MessageFlags = 0x02
	// FlagNoAck is of a message that nobody acks.
	FlagNoAck MessageFlags = 0x04
	// FlagShortLived is of a message that is deleted after 60 s if not delivered.
	FlagShortLived MessageFlags = 0x20
	// FlagNoDeliveryReceipt is of a message for which the receiver's client sends
	// no delivery receipt.
	FlagNoDeliveryReceipt MessageFlags = 0x80
)

// Append appends the payload's data to dst and returns the extended slice. The only
// error is a message whose boxes have more than [MaxMessageBoxes] together; then
// nothing is appended.
func (m Message) Append(dst []byte) ([]byte, error) {
	if size := len(m.Metadata) + len(m.Box); size > MaxMessageBoxes {
		return dst, fmt.Errorf("message: boxes have %d bytes, at most %d", size, MaxMessageBoxes)
	}
	dst = append(dst, m.Sender[:]...)
	dst = append(dst, m.Receiver[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.ID))
	dst = binary.LittleEndian.AppendUint32(dst, m.CreatedAt)
	dst = append(dst, byte(m.Flags), 0)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(m.Metadata)))
	dst = append(dst, m.Nickname[:]...)
	dst = append(dst, m.Metadata...)
	dst = append(dst, m.Nonce[:]...)
	return append(dst, m.Box...), nil
}

// ParseMessage reads a payload's data. Metadata and Box alias it; they are opaque
// and of any size that fits. The identities may be invalid. Errors are data that is
// too short for what it announces, or above [MaxDataSize].
func ParseMessage(data []byte) (Message, error) {
	if len(data) < minMessageSize {
		return Message{}, fmt.Errorf("message has %d bytes, want at least %d", len(data), minMessageSize)
	}
	if len(data) > MaxDataSize {
		return Message{}, fmt.Errorf("message has %d bytes, at most %d", len(data), MaxDataSize)
	}
	m := Message{
		Sender:    Identity(data[:8]),
		Receiver:  Identity(data[8:16]),
		ID:        MessageID(binary.LittleEndian.Uint64(data[16:])),
		CreatedAt: binary.LittleEndian.Uint32(data[24:]),
		Flags:     MessageFlags(data[28]),
		Nickname:  [32]byte(data[32:64]),
	}
	metadataSize := int(binary.LittleEndian.Uint16(data[30:]))
	rest := data[messageHeaderSize:]
	if most := len(rest) - NonceSize; metadataSize > most {
		return Message{}, fmt.Errorf("message: metadata has %d bytes, at most %d fit", metadataSize, most)
	}
	m.Metadata, rest = rest[:metadataSize:metadataSize], rest[metadataSize:]
	m.Nonce, m.Box = [NonceSize]byte(rest), rest[NonceSize:]
	return m, nil
}
