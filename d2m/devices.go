package d2m

import (
	"cmp"
	"slices"

	"openmediator/d2m/d2mpb"
)

// GetDevicesInfo asks for DevicesInfo.
type GetDevicesInfo struct{}

// Type returns [TypeGetDevicesInfo].
func (GetDevicesInfo) Type() Type { return TypeGetDevicesInfo }

// Append implements [Message].
func (GetDevicesInfo) Append(dst []byte) []byte { return appendContainer(dst, TypeGetDevicesInfo) }

// ParseGetDevicesInfo reads a payload.
func ParseGetDevicesInfo(payload []byte) (GetDevicesInfo, error) {
	return GetDevicesInfo{}, parseEmpty("get devices info", payload)
}

// DevicesInfo lists every slot of the group, the asker's too (B31).
type DevicesInfo struct {
	// Devices is sorted by id after parsing and goes out in that order. If an id
	// stands in it twice, the later one counts.
	Devices []DeviceInfo
}

// DeviceInfo is one slot in a DevicesInfo.
type DeviceInfo struct {
	ID        DeviceID
	Info      []byte // encrypted
	Connected bool
	// Since is the time of the login of a connected device and the time of the
	// end of the last connection of another: Unix time, ms. 0 if the server does
	// not tell.
	Since      uint64
	Expiration ExpirationPolicy
}

// Type returns [TypeDevicesInfo].
func (DevicesInfo) Type() Type { return TypeDevicesInfo }

// Append implements [Message].
func (m DevicesInfo) Append(dst []byte) []byte {
	pb := &d2mpb.DevicesInfo{
		AugmentedDeviceInfo: make(map[uint64]*d2mpb.AugmentedDeviceInfo, len(m.Devices)),
	}
	for _, device := range m.Devices {
		pb.AugmentedDeviceInfo[uint64(device.ID)] = device.augmented()
	}
	return appendProto(dst, TypeDevicesInfo, pb)
}

func (d DeviceInfo) augmented() *d2mpb.AugmentedDeviceInfo {
	pb := &d2mpb.AugmentedDeviceInfo{
		EncryptedDeviceInfo:        d.Info,
		DeviceSlotExpirationPolicy: d2mpb.DeviceSlotExpirationPolicy(d.Expiration),
	}
	if d.Connected {
		pb.ConnectedSince = &d.Since
	} else {
		pb.LastDisconnectAt = &d.Since
	}
	return pb
}

// ParseDevicesInfo reads a payload. A device without connection state counts as
// not connected since 0; one with both counts as connected.
func ParseDevicesInfo(payload []byte) (DevicesInfo, error) {
	var pb d2mpb.DevicesInfo
	if err := parseProto("devices info", payload, &pb); err != nil {
		return DevicesInfo{}, err
	}
	devices := make([]DeviceInfo, 0, len(pb.AugmentedDeviceInfo))
	for id, augmented := range pb.AugmentedDeviceInfo {
		device, err := parseAugmented(DeviceID(id), augmented)
		if err != nil {
			return DevicesInfo{}, err
		}
		devices = append(devices, device)
	}
	slices.SortFunc(devices, func(a, b DeviceInfo) int { return cmp.Compare(a.ID, b.ID) })
	return DevicesInfo{Devices: devices}, nil
}

func parseAugmented(id DeviceID, pb *d2mpb.AugmentedDeviceInfo) (DeviceInfo, error) {
	expiration, err := parseEnum[ExpirationPolicy]("devices info: slot expiration policy", pb.GetDeviceSlotExpirationPolicy())
	if err != nil {
		return DeviceInfo{}, err
	}
	device := DeviceInfo{
		ID:         id,
		Info:       pb.GetEncryptedDeviceInfo(),
		Connected:  pb.ConnectedSince != nil,
		Since:      pb.GetLastDisconnectAt(),
		Expiration: expiration,
	}
	if device.Connected {
		device.Since = pb.GetConnectedSince()
	}
	return device, nil
}

// DropDevice frees the slot and the queue of a device, one's own too (B32).
type DropDevice struct {
	DeviceID DeviceID
}

// Type returns [TypeDropDevice].
func (DropDevice) Type() Type { return TypeDropDevice }

// Append implements [Message].
func (m DropDevice) Append(dst []byte) []byte {
	return appendProto(dst, TypeDropDevice, &d2mpb.DropDevice{DeviceId: uint64(m.DeviceID)})
}

// ParseDropDevice reads a payload.
func ParseDropDevice(payload []byte) (DropDevice, error) {
	var pb d2mpb.DropDevice
	if err := parseProto("drop device", payload, &pb); err != nil {
		return DropDevice{}, err
	}
	return DropDevice{DeviceID: DeviceID(pb.DeviceId)}, nil
}

// DropDeviceAck tells that the device has no slot any more.
type DropDeviceAck struct {
	DeviceID DeviceID
}

// Type returns [TypeDropDeviceAck].
func (DropDeviceAck) Type() Type { return TypeDropDeviceAck }

// Append implements [Message].
func (m DropDeviceAck) Append(dst []byte) []byte {
	return appendProto(dst, TypeDropDeviceAck, &d2mpb.DropDevice{DeviceId: uint64(m.DeviceID)})
}

// ParseDropDeviceAck reads a payload.
func ParseDropDeviceAck(payload []byte) (DropDeviceAck, error) {
	var pb d2mpb.DropDevice
	if err := parseProto("drop device ack", payload, &pb); err != nil {
		return DropDeviceAck{}, err
	}
	return DropDeviceAck{DeviceID: DeviceID(pb.DeviceId)}, nil
}

// SetSharedDeviceData replaces what the group's devices share (B33).
type SetSharedDeviceData struct {
	Data []byte // encrypted, at most 8,192 bytes
}

// Type returns [TypeSetSharedDeviceData].
func (SetSharedDeviceData) Type() Type { return TypeSetSharedDeviceData }

// Append implements [Message].
func (m SetSharedDeviceData) Append(dst []byte) []byte {
	return appendProto(dst, TypeSetSharedDeviceData, &d2mpb.SetSharedDeviceData{EncryptedSharedDeviceData: m.Data})
}

// ParseSetSharedDeviceData reads a payload. Data above 8,192 bytes is an error (B33).
func ParseSetSharedDeviceData(payload []byte) (SetSharedDeviceData, error) {
	var pb d2mpb.SetSharedDeviceData
	if err := parseProto("set shared device data", payload, &pb); err != nil {
		return SetSharedDeviceData{}, err
	}
	if err := checkLimit("set shared device data: data", pb.EncryptedSharedDeviceData, MaxSharedDataSize); err != nil {
		return SetSharedDeviceData{}, err
	}
	return SetSharedDeviceData{Data: pb.EncryptedSharedDeviceData}, nil
}
