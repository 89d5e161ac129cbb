package client

import "openmediator/csp"

// chatAction is what is to be done after a unit of the chat server. The reader does
// it, and must not wait for anything but the handler.
type chatAction interface {
	// do returns an error if the session must end.
	do(c *chatLink) error
}

// chatLogin is the third message of the handshake.
type chatLogin struct{ login []byte }

func (a chatLogin) do(c *chatLink) error { return c.answer(chatFrame{bytes: a.login}) }

type chatLoggedIn struct {
	ack     csp.LoginAck
	unblock bool
}

func (a chatLoggedIn) do(c *chatLink) error {
	if a.unblock {
		if err := c.answer(chatFrame{payload: csp.Payload{Type: csp.UnblockIncoming}}); err != nil {
			return err
		}
	}
	close(c.login)
	c.session.device.setChatLink(c)
	return c.session.toHandler(a)
}

func (a chatLoggedIn) handle(s *session) error {
	if s.chat.chat.config.OnLogin != nil {
		s.chat.chat.config.OnLogin(a.ack)
	}
	return nil
}

// chatEcho is a request, whose data go back as they are.
type chatEcho struct{ data []byte }

func (a chatEcho) do(c *chatLink) error {
	return c.answer(chatFrame{payload: csp.Payload{Type: csp.EchoResponse, Data: a.data}})
}

type chatIncoming struct{ message *csp.Message }

// do drops what nobody would handle: it stays on the chat server.
func (a chatIncoming) do(c *chatLink) error {
	if c.chat.config.Receive != nil {
		c.incoming.push(chatArrival{message: a.message})
	}
	return nil
}

// chatSent is the ack of a message that this device has sent. One that nobody waits
// for any more is nothing to complain of.
type chatSent struct{ ack csp.MessageAck }

func (a chatSent) do(c *chatLink) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if acked := c.unacked[a.ack]; acked != nil {
		close(acked)
		delete(c.unacked, a.ack)
	}
	return nil
}

// chatQueueSent goes the way of the messages before it.
type chatQueueSent struct{}

func (a chatQueueSent) do(c *chatLink) error {
	c.incoming.push(chatArrival{event: a})
	return nil
}

func (chatQueueSent) handle(s *session) error {
	if s.chat.chat.config.OnQueueSent != nil {
		s.chat.chat.config.OnQueueSent()
	}
	return nil
}

type chatAlert struct{ text string }

func (a chatAlert) do(c *chatLink) error { return c.session.toHandler(a) }

func (a chatAlert) handle(s *session) error {
	if s.chat.chat.config.OnAlert != nil {
		s.chat.chat.config.OnAlert(a.text)
	}
	return nil
}

type chatCookieChange struct{}

func (a chatCookieChange) do(c *chatLink) error { return c.session.toHandler(a) }

func (chatCookieChange) handle(s *session) error {
	if s.chat.chat.config.OnDeviceCookieChange != nil {
		s.chat.chat.config.OnDeviceCookieChange()
	}
	return nil
}
