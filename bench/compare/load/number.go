package load

import (
	"encoding/binary"
	"fmt"
)

// Number writes the number of a message to its begin.
func Number(message []byte, n uint64) { binary.BigEndian.PutUint64(message, n) }

// Order checks that messages come in the order of their numbers, and that none is missing.
type Order struct{ next uint64 }

// Next checks the message that has come.
func (o *Order) Next(message []byte) error {
	if len(message) < 8 {
		return fmt.Errorf("message: has %d bytes, want at least 8", len(message))
	}
	if n := binary.BigEndian.Uint64(message); n != o.next {
		return fmt.Errorf("message: has number %d, want %d", n, o.next)
	}
	o.next++
	return nil
}
