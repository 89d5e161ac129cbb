package d2m

import (
	"fmt"
	"testing"
)

func TestTypes(t *testing.T) {
	const device, server, both = 1, 2, 3
	want := map[Type]struct {
		name  string
		sides int
	}{
		0x00: {"Proxy", both},
		0x10: {"ServerHello", server},
		0x11: {"ClientHello", device},
		0x12: {"ServerInfo", server},
		0x20: {"ReflectionQueueDry", server},
		0x21: {"RolePromotedToLeader", server},
		0x30: {"GetDevicesInfo", device},
		0x31: {"DevicesInfo", server},
		0x32: {"DropDevice", device},
		0x33: {"DropDeviceAck", server},
		0x34: {"SetSharedDeviceData", device},
		0x40: {"BeginTransaction", device},
		0x41: {"BeginTransactionAck", server},
		0x42: {"CommitTransaction", device},
		0x43: {"CommitTransactionAck", server},
		0x44: {"TransactionRejected", server},
		0x45: {"TransactionEnded", server},
		0x80: {"Reflect", device},
		0x81: {"ReflectAck", server},
		0x82: {"Reflected", server},
		0x83: {"ReflectedAck", device},
	}
	for i := range 256 {
		payloadType := Type(i)
		w, known := want[payloadType]
		if !known {
			w.name = fmt.Sprintf("type 0x%02x", i)
		}
		if payloadType.Known() != known || payloadType.String() != w.name {
			t.Errorf("type 0x%02x is %v, known: %v", i, payloadType, payloadType.Known())
		}
		if payloadType.FromDevice() != (w.sides&device != 0) || payloadType.FromServer() != (w.sides&server != 0) {
			t.Errorf("%v: from device %v, from server %v", payloadType, payloadType.FromDevice(), payloadType.FromServer())
		}
	}
}
