package client

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"openmediator/d2m"
	"openmediator/devicekeys"
)

// Reflect hands an envelope to all other devices of the group and returns when the
// server has it on disk, with the timestamp that they will see. The envelope's
// Device is this one, whatever it says.
//
// If there is no connection it waits for one. If the context or the device ends
// before the envelope has left, it never will. If that happens later, or the
// connection ends before the answer, the error is an [UnknownError]: it may have
// been delivered.
func (d *Device) Reflect(ctx context.Context, envelope devicekeys.Envelope) (time.Time, error) {
	sealed, err := d.seal(envelope)
	if err != nil {
		return time.Time{}, err
	}
	return d.ReflectSealed(ctx, sealed)
}

// ReflectSealed is Reflect for an envelope that is sealed already, at most 65,516
// bytes. It must not be changed until ReflectSealed returns, nor after an
// UnknownError.
func (d *Device) ReflectSealed(ctx context.Context, sealed []byte) (time.Time, error) {
	r, err := reflectRequest(sealed)
	if err != nil {
		return time.Time{}, err
	}
	return reflectTime(d.ask(ctx, r))
}

// Submit is the first half of Reflect: it queues the envelope and returns without an
// answer. What one goroutine submits is reflected in that order. Submit waits while
// 64 envelopes are queued, and only 256 are sent ahead of their answers. Within
// Receive it fails with [ErrInReceive] once only the end of Receive can make room.
func (d *Device) Submit(ctx context.Context, envelope devicekeys.Envelope) (*Receipt, error) {
	sealed, err := d.seal(envelope)
	if err != nil {
		return nil, err
	}
	r, err := reflectRequest(sealed)
	if err != nil {
		return nil, err
	}
	if err := d.submit(ctx, r); err != nil {
		return nil, err
	}
	return &Receipt{device: d, request: r}, nil
}

// Receipt stands for an envelope that was submitted.
type Receipt struct {
	device  *Device
	request *request
}

// Wait is the second half of Reflect. It may be called again; but once it has
// returned an error because the context ended before the envelope had left, that
// will never be sent.
func (r *Receipt) Wait(ctx context.Context) (time.Time, error) {
	at, err := reflectTime(r.device.await(ctx, r.request))
	if t := r.request.within; t != nil {
		err = t.explain(err)
	}
	return at, err
}

// ReflectEphemeral hands an envelope to the devices that are connected now. There is
// no answer: a nil error means that it is on its way to the server. Without a
// connection the error is [ErrOffline]. It may overtake what was submitted and is
// not sent yet.
func (d *Device) ReflectEphemeral(ctx context.Context, envelope devicekeys.Envelope) error {
	sealed, err := d.seal(envelope)
	if err != nil {
		return err
	}
	if err := d.ended(); err != nil {
		return err
	}
	s := d.currentSession()
	if s == nil {
		return ErrOffline
	}
	return s.wire.Send(ctx, d2m.Reflect{Flags: d2m.FlagEphemeral, Envelope: sealed})
}

func (d *Device) seal(envelope devicekeys.Envelope) ([]byte, error) {
	envelope.Device = d.config.DeviceID
	plain, err := envelope.Append(nil, rand.Reader)
	if err != nil {
		return nil, err
	}
	return d.config.Keys.SealEnvelope(rand.Reader, plain)
}

func reflectRequest(sealed []byte) (*request, error) {
	if len(sealed) > d2m.MaxEnvelopeSize {
		return nil, fmt.Errorf("reflect: envelope has %d bytes, at most %d go", len(sealed), d2m.MaxEnvelopeSize)
	}
	r := newRequest("reflect", d2m.TypeReflectAck)
	r.sealed = sealed
	return r, nil
}

func reflectTime(reply d2m.Message, err error) (time.Time, error) {
	if err != nil {
		return time.Time{}, err
	}
	return timestamp(reply.(d2m.ReflectAck).Timestamp), nil
}
