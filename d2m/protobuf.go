package d2m

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"openmediator/d2m/d2mpb"
)

// appendProto appends a frame. Map entries go out sorted by key, so that equal
// messages are equal bytes.
func appendProto(dst []byte, t Type, m proto.Message) []byte {
	dst, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(appendContainer(dst, t), m)
	if err != nil {
		panic("d2m: " + t.String() + " cannot be encoded: " + err.Error())
	}
	return dst
}

// parseProto reads a payload into m, which owns its bytes. what names the message
// in the error. The cause is left out: its text is not stable and says no more.
func parseProto(what string, payload []byte, m proto.Message) error {
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(payload, m); err != nil {
		return fmt.Errorf("%s is not valid protobuf", what)
	}
	return nil
}

// parseEmpty checks the payload of a message without fields. Fields of a future
// version are ignored.
func parseEmpty(what string, payload []byte) error {
	return parseProto(what, payload, new(d2mpb.Empty))
}

// checkSize and checkLimit are about one bytes field each.
func checkSize(what string, field []byte, want int) error {
	if len(field) != want {
		return fmt.Errorf("%s has %d bytes, want %d", what, len(field), want)
	}
	return nil
}

func checkLimit(what string, field []byte, limit int) error {
	if len(field) > limit {
		return fmt.Errorf("%s has %d bytes, want at most %d", what, len(field), limit)
	}
	return nil
}

// parseEnum returns an error for a value that the protocol does not list (B5).
// Every enum of this protocol has the values 0 and 1.
func parseEnum[Own ~uint8, Wire ~int32](what string, value Wire) (Own, error) {
	if value != 0 && value != 1 {
		return 0, fmt.Errorf("%s %d is unknown", what, value)
	}
	return Own(value), nil
}
