package d2m

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"testing"
)

// vectorFile is testdata/d2m.json: bytes made by other implementations.
type vectorFile struct {
	About                string            `json:"about"`
	ClientURLInfo        []urlVector       `json:"client_url_info"`
	ClientURLInfoInvalid []urlVector       `json:"client_url_info_invalid"`
	ChallengeResponse    []challengeVector `json:"challenge_response"`
	ProtobufFrames       []frameVector     `json:"protobuf_frames"`
	StructFrames         []frameVector     `json:"struct_frames"`
	Invalid              []frameVector     `json:"invalid"`
}

type urlVector struct {
	GroupID     hexBytes `json:"device_group_id"`
	ServerGroup string   `json:"server_group"`
	Path        string   `json:"path"`
	Note        string   `json:"note"`
	Why         string   `json:"why"`
}

type challengeVector struct {
	PathKeySecret hexBytes `json:"path_key_secret"`
	GroupID       hexBytes `json:"device_group_id"`
	ESKSecret     hexBytes `json:"esk_secret"`
	ESKPublic     hexBytes `json:"esk_public"`
	Challenge     hexBytes `json:"challenge"`
	Nonce         hexBytes `json:"nonce"`
	Response      hexBytes `json:"response"`
}

type frameVector struct {
	Name    string       `json:"name"`
	Type    Type         `json:"type"`
	Message string       `json:"message"`
	Fields  vectorFields `json:"fields"`
	Frame   hexBytes     `json:"frame"`
}

// vectorFields has the fields of all messages.
type vectorFields struct {
	Version               uint32           `json:"version"`
	ESK                   hexBytes         `json:"esk"`
	Challenge             hexBytes         `json:"challenge"`
	Response              hexBytes         `json:"response"`
	DeviceID              DeviceID         `json:"device_id,string"`
	SlotsExhausted        ExhaustedPolicy  `json:"device_slots_exhausted_policy"`
	Expiration            ExpirationPolicy `json:"device_slot_expiration_policy"`
	DeviceInfo            hexBytes         `json:"encrypted_device_info"`
	Expected              SlotState        `json:"expected_device_slot_state"`
	MaxDeviceSlots        uint32           `json:"max_device_slots"`
	SlotState             SlotState        `json:"device_slot_state"`
	SharedDeviceData      hexBytes         `json:"encrypted_shared_device_data"`
	CurrentTime           uint64           `json:"current_time,string"`
	ReflectionQueueLength uint32           `json:"reflection_queue_length"`
	Scope                 hexBytes         `json:"encrypted_scope"`
	TTL                   uint32           `json:"ttl"`
	Data                  hexBytes         `json:"data"`
	Flags                 uint16           `json:"flags"`
	ReflectID             ReflectID        `json:"reflect_id"`
	ReflectedID           ReflectedID      `json:"reflected_id"`
	Timestamp             uint64           `json:"timestamp,string"`
	Envelope              hexBytes         `json:"envelope"`

	AugmentedDeviceInfo map[string]struct {
		DeviceInfo     hexBytes         `json:"encrypted_device_info"`
		ConnectedSince uint64           `json:"connected_since,string"`
		Expiration     ExpirationPolicy `json:"device_slot_expiration_policy"`
	} `json:"augmented_device_info"`
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b
	return err
}

func readVectors(t testing.TB) vectorFile {
	t.Helper()
	data, err := os.ReadFile("testdata/d2m.json")
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var file vectorFile
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	return file
}

// message builds by hand what the vector says its frame means.
func (v frameVector) message(t *testing.T) Message {
	t.Helper()
	f := v.Fields
	switch v.Type {
	case TypeProxy:
		return Proxy{Data: f.Data}
	case TypeServerHello:
		return ServerHello{Version: f.Version, ESK: [32]byte(f.ESK), Challenge: Challenge(f.Challenge)}
	case TypeClientHello:
		return ClientHello{
			Version: f.Version, Response: [72]byte(f.Response), DeviceID: f.DeviceID, SlotsExhausted: f.SlotsExhausted,
			Expiration: f.Expiration, DeviceInfo: f.DeviceInfo, Expected: f.Expected,
		}
	case TypeServerInfo:
		return ServerInfo{
			MaxDeviceSlots: f.MaxDeviceSlots, SlotState: f.SlotState, SharedDeviceData: f.SharedDeviceData,
			CurrentTime: f.CurrentTime, ReflectionQueueLength: f.ReflectionQueueLength,
		}
	case TypeReflectionQueueDry:
		return ReflectionQueueDry{}
	case TypeRolePromotedToLeader:
		return RolePromotedToLeader{}
	case TypeGetDevicesInfo:
		return GetDevicesInfo{}
	case TypeDevicesInfo:
		return v.devicesInfo(t)
	case TypeDropDevice:
		return DropDevice{DeviceID: f.DeviceID}
	case TypeDropDeviceAck:
		return DropDeviceAck{DeviceID: f.DeviceID}
	case TypeSetSharedDeviceData:
		return SetSharedDeviceData{Data: f.SharedDeviceData}
	case TypeBeginTransaction:
		return BeginTransaction{Scope: f.Scope, TTL: f.TTL}
	case TypeBeginTransactionAck:
		return BeginTransactionAck{}
	case TypeCommitTransaction:
		return CommitTransaction{}
	case TypeCommitTransactionAck:
		return CommitTransactionAck{}
	case TypeTransactionRejected:
		return TransactionRejected{DeviceID: f.DeviceID, Scope: f.Scope}
	case TypeTransactionEnded:
		return TransactionEnded{DeviceID: f.DeviceID, Scope: f.Scope}
	case TypeReflect:
		return Reflect{Flags: f.Flags, ID: f.ReflectID, Envelope: f.Envelope}
	case TypeReflectAck:
		return ReflectAck{ID: f.ReflectID, Timestamp: f.Timestamp}
	case TypeReflected:
		return Reflected{Flags: f.Flags, ID: f.ReflectedID, Timestamp: f.Timestamp, Envelope: f.Envelope}
	case TypeReflectedAck:
		return ReflectedAck{ID: f.ReflectedID}
	}
	t.Fatalf("vector has type %v", v.Type)
	return nil
}

func (v frameVector) devicesInfo(t *testing.T) DevicesInfo {
	t.Helper()
	var m DevicesInfo
	for key, augmented := range v.Fields.AugmentedDeviceInfo {
		id, err := strconv.ParseUint(key, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		m.Devices = append(m.Devices, DeviceInfo{
			ID: DeviceID(id), Info: augmented.DeviceInfo, Connected: true, Since: augmented.ConnectedSince,
			Expiration: augmented.Expiration,
		})
	}
	return m
}

// describe makes messages comparable: type and all fields, and no difference
// between nil and empty bytes.
func describe(m Message) string { return fmt.Sprintf("%T%+v", m, m) }

// decodeOnly are the frames that another sender may write otherwise than we do.
var decodeOnly = map[string]string{
	"server hello":                                "version 0 written out",
	"client hello, all fields":                    "version 0 written out",
	"reflect, longer header from a future client": "header of 12 bytes",
	"reflected ack, reserved bytes not zero (a client in the wild sends this)": "reserved bytes not zero",
	"container reserved bytes not zero":                                        "reserved bytes not zero",
}

func TestVectorFrames(t *testing.T) {
	file := readVectors(t)
	types := map[Type]bool{}
	names := map[string]bool{}
	for _, v := range append(file.ProtobufFrames, file.StructFrames...) {
		types[v.Type] = true
		names[v.Name] = true
		t.Run(v.Name, func(t *testing.T) { checkFrame(t, v) })
	}
	for i := range 256 {
		if kind := Type(i); kind.Known() && !types[kind] {
			t.Errorf("type %v has no vector", kind)
		}
	}
	for name := range decodeOnly {
		if !names[name] {
			t.Errorf("decode-only frame %q is not among the vectors", name)
		}
	}
}

func checkFrame(t *testing.T, v frameVector) {
	want := v.message(t)
	got, err := Parse(v.Frame)
	if err != nil {
		t.Fatal(err)
	}
	if describe(got) != describe(want) {
		t.Errorf("parsed\n%s, want\n%s", describe(got), describe(want))
	}
	if got.Type() != v.Type {
		t.Errorf("type is %v, want %v", got.Type(), v.Type)
	}
	encoded := want.Append(nil)
	exact := bytes.Equal(encoded, v.Frame)
	if reason, listed := decodeOnly[v.Name]; exact == listed {
		t.Errorf("encoded\n%x, vector is\n%x, decode-only because of %q", encoded, []byte(v.Frame), reason)
	}
	again, err := Parse(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if describe(again) != describe(want) {
		t.Errorf("parsed after encoding\n%s, want\n%s", describe(again), describe(want))
	}
}

// refusedByServer are frames that are right by themselves: only the server knows
// that they are out of place.
var refusedByServer = map[string]bool{
	"server-to-client type sent by a client": true,
	"a second client hello":                  true,
	"commit without a transaction":           true,
}

func TestB40_VectorInvalid(t *testing.T) {
	names := map[string]bool{}
	for _, v := range readVectors(t).Invalid {
		names[v.Name] = true
		t.Run(v.Name, func(t *testing.T) {
			m, err := Parse(v.Frame)
			if refusedByServer[v.Name] {
				if err != nil {
					t.Errorf("error %v for a frame that is the server's to refuse", err)
				}
				return
			}
			if err == nil {
				t.Errorf("parsed as %s", describe(m))
			}
			if m != nil {
				t.Errorf("message beside the error is %s", describe(m))
			}
		})
	}
	for name := range refusedByServer {
		if !names[name] {
			t.Errorf("frame %q is not among the vectors", name)
		}
	}
}
