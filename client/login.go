package client

import (
	"context"
	"crypto/rand"

	"openmediator/d2m"
	"openmediator/devicekeys"
)

// Login waits for ServerHello, answers its challenge by a ClientHello and waits for
// ServerInfo. Of hello, Login fills in the response; DeviceInfo is sealed already,
// or empty. What is behind is sent directly behind ClientHello. The errors are those
// of Receive and Send.
func (w *Wire) Login(
	ctx context.Context, keys *devicekeys.Keys, hello d2m.ClientHello, behind ...d2m.Message,
) (d2m.ServerInfo, error) {
	message, err := w.Receive(ctx)
	if err != nil {
		return d2m.ServerInfo{}, err
	}
	challenge, ok := message.(d2m.ServerHello)
	if !ok {
		return d2m.ServerInfo{}, violation("%v: comes before ServerHello", message.Type())
	}
	var nonce [24]byte
	rand.Read(nonce[:])
	hello.Response, err = d2m.Respond(keys.PathKey(), challenge.ESK, challenge.Challenge, nonce)
	if err != nil {
		return d2m.ServerInfo{}, &ProtocolError{Err: err}
	}
	for _, message := range append([]d2m.Message{hello}, behind...) {
		if err := w.Send(ctx, message); err != nil {
			return d2m.ServerInfo{}, err
		}
	}
	message, err = w.Receive(ctx)
	if err != nil {
		return d2m.ServerInfo{}, err
	}
	info, ok := message.(d2m.ServerInfo)
	if !ok {
		return d2m.ServerInfo{}, violation("%v: comes before ServerInfo", message.Type())
	}
	return info, nil
}

// login connects and registers the device. The returned connection is the
// caller's; after an error there is none.
func (d *Device) login(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, d.config.ConnectTimeout)
	defer cancel()
	s, err := newSession(d)
	if err != nil {
		return nil, err
	}
	wire, err := d.config.Dialer.dial(ctx, d.address, s.heard)
	if err != nil {
		return nil, err
	}
	hello := d.hello()
	s.info, err = wire.Login(ctx, d.config.Keys, hello, s.chat.greeting()...)
	if err == nil && s.info.SlotState != hello.Expected {
		err = violation("ServerInfo: slot state is %v, want %v", s.info.SlotState, hello.Expected)
	}
	if err != nil {
		wire.closeAfter(err)
		return nil, unreachable(err)
	}
	s.wire = wire
	return s, nil
}

// hello makes a ClientHello that lacks the response.
func (d *Device) hello() d2m.ClientHello {
	hello := d2m.ClientHello{
		Version:    d2m.ProtocolVersion,
		DeviceID:   d.config.DeviceID,
		Expiration: d2m.Persistent,
		DeviceInfo: d.info,
	}
	if d.config.DropLeastRecent {
		hello.SlotsExhausted = d2m.DropLeastRecent
	}
	if d.config.Volatile {
		hello.Expiration = d2m.Volatile
	}
	if d.Registered() {
		hello.Expected = d2m.SlotExisting
	}
	return hello
}

// sealInfo is done once: a login with the bytes of the one before writes nothing to
// the server's disk (B7).
func sealInfo(keys *devicekeys.Keys, info devicekeys.DeviceInfo) ([]byte, error) {
	plain, err := info.Append(nil, rand.Reader)
	if err != nil {
		return nil, err
	}
	return keys.SealDeviceInfo(rand.Reader, plain)
}
