package client

import (
	"errors"
	"fmt"
	"io"

	"openmediator/csp"
)

// chatSession is one connection to the chat server as a state machine without I/O or
// clock: units go in, what is to be done comes out. Sealing is not its business, for
// boxes must be sealed in the order in which they are sent.
type chatSession struct {
	framer    *csp.Framer
	handshake *csp.ClientHandshake
	state     chatState
	session   *csp.Session // nil before the login

	leads     bool
	unblocked bool // or nobody wants to be
}

// chatState is what a chatSession waits for.
type chatState uint8

const (
	awaitsHello chatState = iota
	awaitsLoginAck
	loggedIn
)

// newChatSession draws the secrets of a connection from rand. With receives the
// chat server's messages are wanted.
func newChatSession(rand io.Reader, login csp.Login, receives bool) (*chatSession, error) {
	handshake, err := csp.NewClientHandshake(rand, login)
	if err != nil {
		return nil, err
	}
	return &chatSession{
		framer:    csp.NewFramer(csp.MaxFrameSize),
		handshake: handshake,
		unblocked: !receives,
	}, nil
}

// hello returns what is sent first.
func (c *chatSession) hello() []byte {
	hello := c.handshake.Hello()
	return hello[:]
}

// receive takes what came in one Proxy message and returns what is to be done, nil
// if nothing. The errors: [ProtocolError] for what is not exactly one unit, which is
// the mediator's fault; [ChatServerError] for a unit that cannot be read;
// [ChatClosedError].
func (c *chatSession) receive(unit []byte) (chatAction, error) {
	size, err := c.framer.Next(unit)
	if err != nil {
		return nil, &ChatServerError{Err: err}
	}
	if size == 0 || size != len(unit) {
		return nil, violation("Proxy: %d bytes are not one unit of the chat server", len(unit))
	}
	action, err := c.dispatch(unit)
	var closed *ChatClosedError
	if err != nil && !errors.As(err, &closed) {
		err = &ChatServerError{Err: err}
	}
	return action, err
}

func (c *chatSession) dispatch(unit []byte) (chatAction, error) {
	switch c.state {
	case awaitsHello:
		login, err := c.handshake.Login(unit)
		c.state = awaitsLoginAck
		return chatLogin{login}, err
	case awaitsLoginAck:
		session, ack, err := c.handshake.Finish(unit)
		if err != nil {
			return nil, err
		}
		c.session, c.handshake, c.state = session, nil, loggedIn
		return chatLoggedIn{ack: ack, unblock: c.wantsUnblock()}, nil
	}
	payload, err := c.session.Open(unit[2:])
	if err != nil {
		return nil, err
	}
	return payloadAction(payload)
}

// payloadAction returns nil for what a client need not know.
func payloadAction(p csp.Payload) (chatAction, error) {
	switch p.Type {
	case csp.EchoRequest:
		return chatEcho{p.Data}, nil
	case csp.IncomingMessage:
		message, err := csp.ParseMessage(p.Data)
		return chatIncoming{&message}, err
	case csp.OutgoingMessageAck:
		ack, err := csp.ParseMessageAck(p.Data)
		return chatSent{ack}, err
	case csp.QueueSendComplete:
		return chatQueueSent{}, nil
	case csp.DeviceCookieChange:
		return chatCookieChange{}, nil
	case csp.Alert:
		return chatAlert{string(p.Data)}, nil
	case csp.CloseError:
		closed, err := csp.ParseClosed(p.Data)
		if err != nil {
			return nil, fmt.Errorf("close error: %w", err)
		}
		return nil, &ChatClosedError{closed}
	}
	return nil, nil
}

// promote is told that the device leads, and tells whether the chat server is to be
// asked for messages now.
func (c *chatSession) promote() (unblock bool) {
	c.leads = true
	return c.wantsUnblock()
}

// wantsUnblock is true once: for a leader that is logged in.
func (c *chatSession) wantsUnblock() bool {
	if !c.leads || c.state != loggedIn || c.unblocked {
		return false
	}
	c.unblocked = true
	return true
}
