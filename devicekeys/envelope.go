package devicekeys

import (
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	"openmediator/d2m"
	"openmediator/devicekeys/devicepb"
)

// MaxEnvelopePlainSize is the most plain bytes that fit into an envelope.
const MaxEnvelopePlainSize = d2m.MaxEnvelopeSize - BoxOverhead

// Envelope is one message between the devices of a group.
type Envelope struct {
	Device          d2m.DeviceID // that reflects it
	ProtocolVersion uint32
	// Kind is which message of the apps Content is, protobuf that this package
	// does not look into. With [KindNone] there is no Content.
	Kind    Kind
	Content []byte
	// Text is a line from the command line, in a field that no app knows. Empty if
	// there is none.
	Text string
}

// Kind is one of the messages that apps reflect.
type Kind uint8

// The kinds of content; their values are those of the fields.
const (
	KindNone                  Kind = 0
	KindOutgoingMessage       Kind = 2
	KindIncomingMessage       Kind = 4
	KindUserProfileSync       Kind = 5
	KindContactSync           Kind = 6
	KindGroupSync             Kind = 7
	KindDistributionListSync  Kind = 8
	KindSettingsSync          Kind = 9
	KindOutgoingMessageUpdate Kind = 10
	KindIncomingMessageUpdate Kind = 11
	KindMDMParameterSync      Kind = 12
)

// String returns the kind in words.
func (k Kind) String() string {
	switch k {
	case KindNone:
		return "none"
	case KindOutgoingMessage:
		return "outgoing message"
	case KindIncomingMessage:
		return "incoming message"
	case KindUserProfileSync:
		return "user profile sync"
	case KindContactSync:
		return "contact sync"
	case KindGroupSync:
		return "group sync"
	case KindDistributionListSync:
		return "distribution list sync"
	case KindSettingsSync:
		return "settings sync"
	case KindOutgoingMessageUpdate:
		return "outgoing message update"
	case KindIncomingMessageUpdate:
		return "incoming message update"
	case KindMDMParameterSync:
		return "MDM parameter sync"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Append appends the plain bytes for [Keys.SealEnvelope] to dst, with a padding
// whose length and bytes come from rand. If the rest leaves room for less, the
// padding is shorter. Errors: a rest above MaxEnvelopePlainSize, an unlisted Kind,
// Content with KindNone, a Text that is not UTF-8, and those of rand.
func (e Envelope) Append(dst []byte, rand io.Reader) ([]byte, error) {
	pb := &devicepb.Envelope{
		DeviceId:        uint64(e.Device),
		ProtocolVersion: e.ProtocolVersion,
		Text:            e.Text,
	}
	if err := setContent(pb, e.Kind, e.Content); err != nil {
		return dst, err
	}
	return appendPadded("envelope", dst, rand, pb, MaxEnvelopePlainSize)
}

// ParseEnvelope reads plain bytes from [Keys.OpenEnvelope]. Content of an unknown
// kind is not an error: Kind is [KindNone] then. The result owns its bytes.
func ParseEnvelope(plain []byte) (Envelope, error) {
	var pb devicepb.Envelope
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(plain, &pb); err != nil {
		return Envelope{}, errors.New("envelope is not valid protobuf")
	}
	kind, content := content(&pb)
	return Envelope{
		Device:          d2m.DeviceID(pb.DeviceId),
		ProtocolVersion: pb.ProtocolVersion,
		Kind:            kind,
		Content:         content,
		Text:            pb.Text,
	}, nil
}

func setContent(pb *devicepb.Envelope, kind Kind, content []byte) error {
	switch kind {
	case KindNone:
		if len(content) > 0 {
			return errors.New("envelope: content without a kind")
		}
	case KindOutgoingMessage:
		pb.Content = &devicepb.Envelope_OutgoingMessage{OutgoingMessage: content}
	case KindIncomingMessage:
		pb.Content = &devicepb.Envelope_IncomingMessage{IncomingMessage: content}
	case KindUserProfileSync:
		pb.Content = &devicepb.Envelope_UserProfileSync{UserProfileSync: content}
	case KindContactSync:
		pb.Content = &devicepb.Envelope_ContactSync{ContactSync: content}
	case KindGroupSync:
		pb.Content = &devicepb.Envelope_GroupSync{GroupSync: content}
	case KindDistributionListSync:
		pb.Content = &devicepb.Envelope_DistributionListSync{DistributionListSync: content}
	case KindSettingsSync:
		pb.Content = &devicepb.Envelope_SettingsSync{SettingsSync: content}
	case KindOutgoingMessageUpdate:
		pb.Content = &devicepb.Envelope_OutgoingMessageUpdate{OutgoingMessageUpdate: content}
	case KindIncomingMessageUpdate:
		pb.Content = &devicepb.Envelope_IncomingMessageUpdate{IncomingMessageUpdate: content}
	case KindMDMParameterSync:
		pb.Content = &devicepb.Envelope_MdmParameterSync{MdmParameterSync: content}
	default:
		return fmt.Errorf("envelope: %v is unknown", kind)
	}
	return nil
}

func content(pb *devicepb.Envelope) (Kind, []byte) {
	switch c := pb.Content.(type) {
	case *devicepb.Envelope_OutgoingMessage:
		return KindOutgoingMessage, c.OutgoingMessage
	case *devicepb.Envelope_IncomingMessage:
		return KindIncomingMessage, c.IncomingMessage
	case *devicepb.Envelope_UserProfileSync:
		return KindUserProfileSync, c.UserProfileSync
	case *devicepb.Envelope_ContactSync:
		return KindContactSync, c.ContactSync
	case *devicepb.Envelope_GroupSync:
		return KindGroupSync, c.GroupSync
	case *devicepb.Envelope_DistributionListSync:
		return KindDistributionListSync, c.DistributionListSync
	case *devicepb.Envelope_SettingsSync:
		return KindSettingsSync, c.SettingsSync
	case *devicepb.Envelope_OutgoingMessageUpdate:
		return KindOutgoingMessageUpdate, c.OutgoingMessageUpdate
	case *devicepb.Envelope_IncomingMessageUpdate:
		return KindIncomingMessageUpdate, c.IncomingMessageUpdate
	case *devicepb.Envelope_MdmParameterSync:
		return KindMDMParameterSync, c.MdmParameterSync
	}
	return KindNone, nil
}
