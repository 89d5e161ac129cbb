package client

import (
	"context"
	"crypto/rand"

	"openmediator/d2m"
)

// SetSharedData replaces what the group's devices share: at most 8,152 bytes, whose
// meaning is the caller's. The others learn of it when they connect next.
//
// The protocol has no answer for it. So a question is sent behind, and SetSharedData
// returns with the answer to that: the server takes the messages of a connection in
// order. It waits and fails like [Device.Reflect].
func (d *Device) SetSharedData(ctx context.Context, plain []byte) error {
	sealed, err := d.config.Keys.SealSharedData(rand.Reader, plain)
	if err != nil {
		return err
	}
	r := newRequest("shared data", d2m.TypeDevicesInfo, d2m.SetSharedDeviceData{Data: sealed}, d2m.GetDevicesInfo{})
	// Set where answers come in: that has an order, callers have none.
	r.answered = func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.shared = sealed
	}
	_, err = d.ask(ctx, r)
	return err
}

// SharedData returns what the group's devices share, as it was at the last login or
// as this device has set it since. It is nil as long as nobody has set it. The only
// error is that it was not made with the group's key.
func (d *Device) SharedData() ([]byte, error) {
	d.mu.Lock()
	sealed := d.shared
	d.mu.Unlock()
	if len(sealed) == 0 {
		return nil, nil
	}
	plain, _, err := d.config.Keys.OpenSharedData(sealed)
	return plain, err
}
