package d2m

import "fmt"

// SlotState tells whether a device has a slot in its group already.
type SlotState uint8

// The slot states.
const (
	SlotNew      SlotState = 0
	SlotExisting SlotState = 1
)

// String returns the protocol's name.
func (s SlotState) String() string { return enumName(uint8(s), "NEW", "EXISTING") }

// ExhaustedPolicy is what a device asks for if no slot is free.
type ExhaustedPolicy uint8

// The policies for exhausted slots.
const (
	Reject          ExhaustedPolicy = 0
	DropLeastRecent ExhaustedPolicy = 1
)

// String returns the protocol's name.
func (p ExhaustedPolicy) String() string { return enumName(uint8(p), "REJECT", "DROP_LEAST_RECENT") }

// ExpirationPolicy is what becomes of a slot while its device is away (B34).
type ExpirationPolicy uint8

// The policies for slots of absent devices.
const (
	Volatile   ExpirationPolicy = 0
	Persistent ExpirationPolicy = 1
)

// String returns the protocol's name.
func (p ExpirationPolicy) String() string { return enumName(uint8(p), "VOLATILE", "PERSISTENT") }

func enumName(value uint8, zero, one string) string {
	switch value {
	case 0:
		return zero
	case 1:
		return one
	}
	return fmt.Sprintf("value %d", value)
}
