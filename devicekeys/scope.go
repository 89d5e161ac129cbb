package devicekeys

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"openmediator/devicekeys/devicepb"
)

// Scope is what a transaction is about to change.
type Scope uint8

// The scopes; all but ScopeUnknown are values of the protocol.
const (
	ScopeUserProfile      Scope = 0
	ScopeContact          Scope = 1
	ScopeGroup            Scope = 2
	ScopeDistributionList Scope = 3
	ScopeSettings         Scope = 4
	ScopeMDMParameter     Scope = 5
	ScopeNewDevice        Scope = 6
	ScopeDropDevice       Scope = 7
	ScopeWorkSyncDelta    Scope = 8

	// ScopeUnknown is what cannot be decoded: one app encrypts something else.
	ScopeUnknown Scope = 255
)

// String returns the scope in words.
func (s Scope) String() string {
	switch s {
	case ScopeUserProfile:
		return "user profile"
	case ScopeContact:
		return "contact"
	case ScopeGroup:
		return "group"
	case ScopeDistributionList:
		return "distribution list"
	case ScopeSettings:
		return "settings"
	case ScopeMDMParameter:
		return "MDM parameter"
	case ScopeNewDevice:
		return "new device"
	case ScopeDropDevice:
		return "drop device"
	case ScopeWorkSyncDelta:
		return "work sync delta"
	}
	return "unknown"
}

// ParseScope reads plain bytes. What is not protobuf, and a value that the
// protocol does not list, is [ScopeUnknown].
func ParseScope(plain []byte) Scope {
	var pb devicepb.TransactionScope
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(plain, &pb); err != nil {
		return ScopeUnknown
	}
	if pb.Scope < 0 || pb.Scope > devicepb.TransactionScope_Scope(ScopeWorkSyncDelta) {
		return ScopeUnknown
	}
	return Scope(pb.Scope)
}

func (s Scope) plain() ([]byte, error) {
	if s > ScopeWorkSyncDelta {
		return nil, fmt.Errorf("scope %d is unknown", uint8(s))
	}
	return proto.Marshal(&devicepb.TransactionScope{Scope: devicepb.TransactionScope_Scope(s)})
}
