package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
)

// What only a device sees that is watched frame by frame.
type (
	sawRejected struct {
		holder d2m.DeviceID
		scope  devicekeys.Scope
	}
	sawLock      struct{}
	sawEnded     struct{ holder d2m.DeviceID }
	sawCommitted struct{}
	sawOther     struct{ message d2m.Message }
)

func (sawRejected) String() string  { return "the rejection of its transaction" }
func (sawLock) String() string      { return "the lock given to it" }
func (sawEnded) String() string     { return "the end of another's transaction" }
func (sawCommitted) String() string { return "its transaction committed" }
func (o sawOther) String() string   { return fmt.Sprintf("a %v", o.message.Type()) }

// rawConnection is a connection of a demoDevice without the SDK, which would keep rejections to itself.
type rawConnection struct {
	device *demoDevice
	wire   *client.Wire
	ended  chan struct{} // closed when nothing more will be seen
}

// connectRaw connects a device that the server knows, which is offline, and notes each frame as an observation.
func (v *demoDevice) connectRaw(ctx context.Context) (d2m.ServerInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, v.demo.patience)
	defer cancel()
	url, err := client.URL(v.demo.url, v.keys.GroupID(), client.DefaultServerGroup)
	if err != nil {
		return d2m.ServerInfo{}, err
	}
	wire, err := client.Dialer{}.Dial(ctx, url)
	if err != nil {
		return d2m.ServerInfo{}, fmt.Errorf("%s connects: %w", v.name, err)
	}
	info, err := wire.Login(ctx, v.keys, d2m.ClientHello{
		Version: d2m.ProtocolVersion, DeviceID: v.id, Expiration: d2m.Persistent, Expected: d2m.SlotExisting,
	})
	if err != nil {
		wire.CloseNow()
		return d2m.ServerInfo{}, fmt.Errorf("%s connects: %w", v.name, err)
	}
	v.wire = &rawConnection{device: v, wire: wire, ended: make(chan struct{})}
	go v.wire.watch()
	return info, nil
}

// close leaves the server in an orderly way.
func (c *rawConnection) close() {
	c.wire.Close(d2m.CloseNormal, "")
	<-c.ended
}

// watch notes what comes until the end.
func (c *rawConnection) watch() {
	defer close(c.ended)
	for {
		message, err := c.wire.Receive(context.Background())
		var closed *client.CloseError
		if errors.As(err, &closed) && closed.Code == d2m.CloseNormal {
			return // the answer to close
		}
		if err != nil {
			c.device.see(sawDisconnected{err})
			return
		}
		if err := c.device.see(c.observe(message)); err != nil {
			return
		}
	}
}

func (c *rawConnection) observe(message d2m.Message) observation {
	switch m := message.(type) {
	case d2m.ReflectionQueueDry:
		return sawDry{}
	case d2m.RolePromotedToLeader:
		return sawLeader{}
	case d2m.TransactionRejected:
		return sawRejected{m.DeviceID, c.device.keys.OpenScope(m.Scope)}
	case d2m.TransactionEnded:
		return sawEnded{m.DeviceID}
	case d2m.BeginTransactionAck:
		return sawLock{}
	case d2m.CommitTransactionAck:
		return sawCommitted{}
	case d2m.Reflected:
		return c.take(m)
	}
	return sawOther{message}
}

// take opens a message and acknowledges it.
func (c *rawConnection) take(m d2m.Reflected) observation {
	plain, _, err := c.device.keys.OpenEnvelope(m.Envelope)
	if err != nil {
		return sawUnreadable{err}
	}
	envelope, err := devicekeys.ParseEnvelope(plain)
	if err != nil {
		return sawUnreadable{err}
	}
	if err := c.wire.Send(context.Background(), d2m.ReflectedAck{ID: m.ID}); err != nil {
		return sawDisconnected{err}
	}
	return sawText{client.Message{Envelope: envelope, Timestamp: time.UnixMilli(int64(m.Timestamp))}}
}

// begin asks for the lock.
func (c *rawConnection) begin(ctx context.Context, scope devicekeys.Scope) error {
	sealed, err := c.device.keys.SealScope(rand.Reader, scope)
	if err != nil {
		return err
	}
	return c.wire.Send(ctx, d2m.BeginTransaction{Scope: sealed})
}
