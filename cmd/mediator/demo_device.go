package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
)

// demoDevice is a device of the demo and the record of what it sees.
type demoDevice struct {
	demo   *demo
	name   string
	id     d2m.DeviceID
	keys   *devicekeys.Keys // of its group
	chat   *demoChat        // nil if its user has no identity
	nonces *client.MemoryNonces
	seen   chan observation // in the order in which it happened

	device     *client.Device // nil while offline on purpose
	registered bool

	wire *rawConnection // instead of device, while it is watched frame by frame
}

// observation is something that a device has seen.
type observation interface{ String() string }

type (
	sawConnected    struct{ info d2m.ServerInfo }
	sawText         struct{ message client.Message }
	sawDry          struct{}
	sawLeader       struct{}
	sawDisconnected struct{ err error }
	sawUnreadable   struct{ err error }
)

func (sawConnected) String() string      { return "a new connection" }
func (o sawText) String() string         { return fmt.Sprintf("the message %q", o.message.Envelope.Text) }
func (sawDry) String() string            { return "its queue run dry" }
func (sawLeader) String() string         { return "its promotion to leader" }
func (o sawDisconnected) String() string { return fmt.Sprintf("the end of its connection (%v)", o.err) }
func (o sawUnreadable) String() string   { return fmt.Sprintf("a message it cannot read (%v)", o.err) }

// maxSeen is more than a device sees between two steps.
const maxSeen = 64

func newDemoKeys() (*devicekeys.Keys, error) {
	var key [32]byte
	rand.Read(key[:])
	return devicekeys.FromGroupKey(key)
}

func newDemoDevice(name string, d *demo) *demoDevice {
	return &demoDevice{
		demo:   d,
		name:   name,
		id:     newDeviceID(),
		keys:   d.keys,
		nonces: client.NewMemoryNonces(client.DefaultNonces),
		seen:   make(chan observation, maxSeen),
	}
}

// connect brings the device online and returns what it was told at login.
func (v *demoDevice) connect(ctx context.Context) (d2m.ServerInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, v.demo.patience)
	defer cancel()
	config := client.Config{
		URL:            v.demo.url,
		Keys:           v.keys,
		DeviceID:       v.id,
		Info:           devicekeys.DeviceInfo{Label: v.name},
		Registered:     v.registered,
		Nonces:         v.nonces,
		Receive:        func(_ context.Context, m client.Message) error { return v.see(sawText{m}) },
		OnUnreadable:   func(err error) { v.see(sawUnreadable{err}) },
		OnConnected:    func(info d2m.ServerInfo) { v.see(sawConnected{info}) },
		OnQueueDry:     func() { v.see(sawDry{}) },
		OnLeader:       func() { v.see(sawLeader{}) },
		OnDisconnected: func(err error, _ time.Duration) { v.see(sawDisconnected{err}) },
		ReconnectMin:   50 * time.Millisecond,
		ReconnectMax:   500 * time.Millisecond,
	}
	if v.chat != nil {
		config.Chat, config.Dialer = v.chatConfig(), client.Dialer{DialContext: v.chat.dial}
	}
	device, err := client.Connect(ctx, config)
	if err != nil {
		return d2m.ServerInfo{}, fmt.Errorf("%s connects: %w", v.name, err)
	}
	v.device, v.registered = device, true
	o, err := v.next(ctx)
	if err != nil {
		return d2m.ServerInfo{}, v.missed(sawConnected{}, err)
	}
	if o, ok := o.(sawConnected); ok {
		return o.info, nil
	}
	return d2m.ServerInfo{}, v.differs(o, sawConnected{})
}

// see notes an observation. A device that sees far more than it is asked about is not waited for.
func (v *demoDevice) see(o observation) error {
	select {
	case v.seen <- o:
		return nil
	default:
		return errors.New("too much to be seen")
	}
}

// disconnect takes the device offline, in an orderly way.
func (v *demoDevice) disconnect() {
	if v.device != nil {
		v.device.Close()
		v.device = nil
	}
	if v.wire != nil {
		v.wire.close()
		v.wire = nil
	}
}

// next waits for the next observation.
func (v *demoDevice) next(ctx context.Context) (observation, error) {
	ctx, cancel := context.WithTimeout(ctx, v.demo.patience)
	defer cancel()
	select {
	case o := <-v.seen:
		return o, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// expect waits for an observation of one type.
func expect[O observation](ctx context.Context, v *demoDevice) (seen O, err error) {
	o, err := v.next(ctx)
	if err != nil {
		return seen, v.missed(seen, err)
	}
	seen, ok := o.(O)
	if !ok {
		return seen, v.differs(o, seen)
	}
	return seen, nil
}

// expectText waits for a text from the phone, as it was acknowledged.
func (v *demoDevice) expectText(ctx context.Context, want demoText) error {
	due := sawText{client.Message{Envelope: devicekeys.Envelope{Text: want.text}}}
	o, err := v.next(ctx)
	if err != nil {
		return v.missed(due, err)
	}
	got, ok := o.(sawText)
	switch m := got.message; {
	case !ok || m.Envelope.Text != want.text:
		return v.differs(o, due)
	case m.Envelope.Device != v.demo.phone.id:
		return fmt.Errorf("%s saw %v from another device than the phone", v.name, o)
	case !m.Timestamp.Equal(want.at):
		return fmt.Errorf("%s saw %v with time %v, and the phone was told %v", v.name, o, m.Timestamp, want.at)
	}
	return nil
}

// expectReconnected waits for the device to come back. Attempts that failed before do not matter.
func (v *demoDevice) expectReconnected(ctx context.Context) (d2m.ServerInfo, error) {
	for {
		o, err := v.next(ctx)
		if err != nil {
			return d2m.ServerInfo{}, v.missed(sawConnected{}, err)
		}
		switch o := o.(type) {
		case sawConnected:
			return o.info, nil
		case sawDisconnected:
			continue
		}
		return d2m.ServerInfo{}, v.differs(o, sawConnected{})
	}
}

// firstToLead waits for the promotion of one of two devices.
func firstToLead(ctx context.Context, a, b *demoDevice) (*demoDevice, error) {
	ctx, cancel := context.WithTimeout(ctx, a.demo.patience)
	defer cancel()
	var who *demoDevice
	var o observation
	select {
	case o = <-a.seen:
		who = a
	case o = <-b.seen:
		who = b
	case <-ctx.Done():
		return nil, fmt.Errorf("neither %s nor %s saw %v: %w", a.name, b.name, sawLeader{}, ctx.Err())
	}
	if _, ok := o.(sawLeader); !ok {
		return nil, who.differs(o, sawLeader{})
	}
	return who, nil
}

func (v *demoDevice) missed(due observation, err error) error {
	return fmt.Errorf("%s did not see %v within %v: %w", v.name, due, v.demo.patience, err)
}

func (v *demoDevice) differs(o, due observation) error {
	return fmt.Errorf("%s saw %v where %v was due", v.name, o, due)
}

// tryWrongKey connects to a group with the key of another one. Anything but a refusal with 4010 is an error.
func tryWrongKey(ctx context.Context, base string, group d2m.GroupID) (*client.CloseError, error) {
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	url, err := client.URL(base, group, client.DefaultServerGroup)
	if err != nil {
		return nil, err
	}
	wrong, err := newDemoKeys()
	if err != nil {
		return nil, err
	}
	wire, err := client.Dialer{}.Dial(ctx, url)
	if err != nil {
		return nil, err
	}
	defer wire.CloseNow()
	_, err = wire.Login(ctx, wrong, d2m.ClientHello{Version: d2m.ProtocolVersion})
	var refusal *client.CloseError
	if errors.As(err, &refusal) && refusal.Code == d2m.CloseProtocolError {
		return refusal, nil
	}
	return nil, fmt.Errorf("stranger with a wrong key was not refused with %d: %v", d2m.CloseProtocolError, err)
}

// searchFiles looks for a text in all files and returns how many bytes it has read.
func searchFiles(files fs.FS, text string) (read int, found bool, err error) {
	err = fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := fs.ReadFile(files, path)
		read += len(data)
		found = found || bytes.Contains(data, []byte(text))
		return err
	})
	return read, found, err
}
