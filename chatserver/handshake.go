package chatserver

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"openmediator/csp"
)

// maxExtensions is the largest box of extensions that is read, bytes. The protocol has no limit below 65,535, but what is
// read here comes from somebody who has proved nothing.
const maxExtensions = 4_096

var errUnknownIdentity = errors.New("login: identity is unknown")

// handshake logs the client in. Whatever is wrong ends the connection without a word.
func (c *conn) handshake() error {
	c.nc.SetDeadline(time.Now().Add(c.server.config.HandshakeTimeout))
	h, err := csp.NewServerHandshake(rand.Reader, c.server.config.Key)
	if err != nil {
		return err
	}
	if err := c.greet(h); err != nil {
		return err
	}
	session, cookie, err := c.authenticate(h)
	if err != nil {
		return err
	}
	ack, changed, err := c.server.admit(session, cookie)
	if err != nil {
		return err
	}
	if err := c.enter(session); err != nil {
		return err
	}
	answer, boxes, err := h.Finish(ack)
	if err != nil {
		return err
	}
	c.boxes = boxes
	if changed {
		c.send(csp.Payload{Type: csp.DeviceCookieChange})
	}
	c.stir() // without a device id it gets messages from now on
	_, err = c.nc.Write(answer)
	return err
}

// greet exchanges the hellos.
func (c *conn) greet(h *csp.ServerHandshake) error {
	var hello [csp.ClientHelloSize]byte
	if _, err := io.ReadFull(c.in, hello[:]); err != nil {
		return err
	}
	answer, err := h.Hello(hello[:])
	if err != nil {
		return err
	}
	_, err = c.nc.Write(answer)
	return err
}

// authenticate reads the login. It does the same work for an identity that nobody knows as for a wrong vouch.
func (c *conn) authenticate(h *csp.ServerHandshake) (*session, *csp.Cookie, error) {
	var box [csp.LoginSize]byte
	if _, err := io.ReadFull(c.in, box[:]); err != nil {
		return nil, nil, err
	}
	request, err := h.Login(box[:])
	if err != nil {
		return nil, nil, err
	}
	extensions, err := c.readExtensions(h, request.ExtensionsSize)
	if err != nil {
		return nil, nil, err
	}
	key, known := c.server.known.PublicKey(request.Identity)
	if !known {
		key = c.server.config.Key.PublicKey()
	}
	if err := h.Authenticate(key); err != nil {
		return nil, nil, err
	}
	if !known {
		return nil, nil, errUnknownIdentity
	}
	one := &session{
		identity: request.Identity, device: extensions.DeviceID, features: extensions.Features, conn: c,
	}
	return one, extensions.DeviceCookie, nil
}

func (c *conn) readExtensions(h *csp.ServerHandshake, size int) (csp.Extensions, error) {
	if size == 0 {
		return csp.Extensions{}, nil
	}
	if size > maxExtensions {
		return csp.Extensions{}, fmt.Errorf("login: extensions have %d bytes, at most %d are read", size, maxExtensions)
	}
	box := make([]byte, size)
	if _, err := io.ReadFull(c.in, box); err != nil {
		return csp.Extensions{}, err
	}
	return h.Extensions(box)
}

// enter makes the session known, unless the server ends. From now on others may end the connection.
func (c *conn) enter(one *session) error {
	c.mu.Lock()
	c.session = one
	c.loggedIn = true
	ending := c.closing != nil
	c.mu.Unlock()
	if ending {
		return errStopping
	}
	return c.server.login(one)
}

// admit does what a login means for what is stored, and returns the login ack and whether the device cookie has changed.
func (s *Server) admit(one *session, cookie *csp.Cookie) (ack csp.LoginAck, changed bool, err error) {
	waiting := 0
	err = s.store.do(func(t *transaction) error {
		changed, waiting = t.login(one.identity, one.device, cookie)
		return nil
	})
	return csp.LoginAck{Time: uint64(time.Now().UnixMilli()), Queued: uint32(waiting)}, changed, err
}
