package load

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"openmediator/client"
	"openmediator/d2m"
)

const (
	// stepTimeout is how long anything may take that is due at once.
	stepTimeout = 30 * time.Second
	// infoSize is the size of a device's info, as that of an app is.
	infoSize = 120
)

// device is one device of a group.
type device struct {
	group      *group
	id         d2m.DeviceID
	info       []byte // random
	registered bool   // has its slot
}

// group is what its devices share.
type group struct {
	key  *ecdh.PrivateKey
	path string // of the URL, behind that of the server
}

// newGroup draws a group's key.
func newGroup() (*group, error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	info := d2m.ClientURLInfo{GroupID: d2m.GroupID(key.PublicKey().Bytes()), ServerGroup: client.DefaultServerGroup}
	return &group{key: key, path: info.Segment()}, nil
}

// newDevices makes groups of devices, group by group.
func newDevices(groups, perGroup int) ([]*device, error) {
	var devices []*device
	infos := make([]byte, groups*perGroup*infoSize)
	rand.Read(infos)
	for range groups {
		g, err := newGroup()
		if err != nil {
			return nil, err
		}
		for id := range perGroup {
			devices = append(devices, &device{group: g, id: d2m.DeviceID(id), info: infos[:infoSize]})
			infos = infos[infoSize:]
		}
	}
	return devices, nil
}

// hello answers a challenge.
func (d *device) hello(to d2m.ServerHello, expiration d2m.ExpirationPolicy) (d2m.ClientHello, error) {
	var nonce [24]byte
	rand.Read(nonce[:])
	response, err := d2m.Respond(d.group.key, to.ESK, to.Challenge, nonce)
	if err != nil {
		return d2m.ClientHello{}, violation("%v", err)
	}
	hello := d2m.ClientHello{
		Version: d2m.ProtocolVersion, Response: response, DeviceID: d.id, DeviceInfo: d.info, Expiration: expiration,
	}
	if d.registered {
		hello.Expected = d2m.SlotExisting
	}
	return hello, nil
}

// register logs in, up to ServerInfo, on a connection that has been upgraded.
func (c *conn) register(expiration d2m.ExpirationPolicy) error {
	frame, err := c.await()
	if err != nil {
		return err
	}
	message, err := d2m.Parse(frame)
	if err != nil {
		return violation("%v", err)
	}
	challenge, ok := message.(d2m.ServerHello)
	if !ok {
		return violation("%v comes before ServerHello", message.Type())
	}
	hello, err := c.device.hello(challenge, expiration)
	if err != nil {
		return err
	}
	if err := c.write(appendMessage(nil, hello)); err != nil {
		return err
	}
	if frame, err = c.await(); err != nil {
		return err
	}
	if t := d2m.Type(frame[0]); t != d2m.TypeServerInfo {
		return violation("%v comes before ServerInfo", t)
	}
	c.device.registered = true
	return nil
}

// awaitDry reads up to ReflectionQueueDry and acknowledges nothing.
func (c *conn) awaitDry() error {
	for {
		frame, err := c.await()
		if err != nil || d2m.Type(frame[0]) == d2m.TypeReflectionQueueDry {
			return err
		}
	}
}

// drop gives the device's slot up and waits until the server has closed the connection for that.
func (c *conn) drop() error {
	c.SetDeadline(time.Now().Add(stepTimeout))
	err := c.write(appendMessage(nil, d2m.DropDevice{DeviceID: c.device.id}))
	for err == nil {
		_, err = c.await()
	}
	var closed *client.CloseError
	if !errors.As(err, &closed) || closed.Code != d2m.CloseDropped {
		return fmt.Errorf("device: could not be dropped: %w", err)
	}
	c.device.registered = false
	return nil
}

// leave closes the connection in an orderly way: it waits until the server has closed it.
func (c *conn) leave() error {
	c.leaving = true
	err := c.write(appendFrame(nil, closing, binary.BigEndian.AppendUint16(nil, uint16(d2m.CloseNormal))))
	for err == nil {
		_, err = c.await()
	}
	var closed *client.CloseError
	if !errors.As(err, &closed) || closed.Code != d2m.CloseNormal {
		return err
	}
	for err = nil; err == nil; { // the end of TCP, so that the server's port rests and not this one
		c.begin = c.end
		err = c.fill()
	}
	return nil
}
