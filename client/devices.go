package client

import (
	"context"
	"time"

	"openmediator/d2m"
	"openmediator/devicekeys"
)

// Slot is the place of a device in its group.
type Slot struct {
	ID d2m.DeviceID
	// Info is what the device says about itself; its texts come from a peer. It is
	// empty if the device says nothing, or nothing that could be read: then InfoErr
	// says why.
	Info    devicekeys.DeviceInfo
	InfoErr error

	Connected  bool
	Since      time.Time // of the login if Connected, else of the last connection's end
	Expiration d2m.ExpirationPolicy
}

// Devices lists all slots of the group, the own one too, sorted by id. Like
// [Device.Reflect] it waits for a connection; if that ends before the answer, the
// error is an [UnknownError].
func (d *Device) Devices(ctx context.Context) ([]Slot, error) {
	reply, err := d.ask(ctx, newRequest("devices", d2m.TypeDevicesInfo, d2m.GetDevicesInfo{}))
	if err != nil {
		return nil, err
	}
	devices := reply.(d2m.DevicesInfo).Devices
	slots := make([]Slot, len(devices))
	for i, device := range devices {
		slots[i] = d.slot(device)
	}
	return slots, nil
}

func (d *Device) slot(device d2m.DeviceInfo) Slot {
	slot := Slot{
		ID:         device.ID,
		Connected:  device.Connected,
		Since:      timestamp(device.Since),
		Expiration: device.Expiration,
	}
	if len(device.Info) == 0 {
		return slot
	}
	plain, _, err := d.config.Keys.OpenDeviceInfo(device.Info)
	if err == nil {
		slot.Info, err = devicekeys.ParseDeviceInfo(plain)
	}
	slot.InfoErr = err
	return slot
}

// Drop frees the slot and the queue of a device and returns when that is done; if
// there is no such device, it is done already. A device that drops itself is then
// closed with 4113 and must start anew as not registered. Like [Device.Reflect] it
// waits for a connection, and if that ends before the answer the error is an
// [UnknownError].
func (d *Device) Drop(ctx context.Context, id d2m.DeviceID) error {
	_, err := d.ask(ctx, newRequest("drop", d2m.TypeDropDeviceAck, d2m.DropDevice{DeviceID: id}))
	return err
}
