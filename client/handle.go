package client

import (
	"context"

	"openmediator/d2m"
)

// handle calls the caller's functions, one at a time, until the session or the
// device ends. What then still waits comes again with the next connection.
func (s *session) handle() {
	if s.device.config.OnConnected != nil {
		s.device.config.OnConnected(s.info)
	}
	for s.ctx.Err() == nil && s.device.ctx.Err() == nil {
		select {
		case e := <-s.inbox:
			if err := e.handle(s); err != nil {
				s.end(err)
			}
		case <-s.device.ctx.Done():
		case <-s.ctx.Done():
		}
	}
}

type queueDry struct{}

func (queueDry) handle(s *session) error {
	if s.device.config.OnQueueDry != nil {
		s.device.config.OnQueueDry()
	}
	return nil
}

type promoted struct{}

func (promoted) handle(s *session) error {
	if s.device.config.OnLeader != nil {
		s.device.config.OnLeader()
	}
	s.chat.promote()
	return nil
}

type unreadable struct {
	message d2m.Reflected // its envelope is no longer valid
	err     error
}

func (e unreadable) handle(s *session) error {
	if s.device.config.OnUnreadable != nil {
		s.device.config.OnUnreadable(e.err)
	}
	s.acknowledge(e.message.ID, e.message.Ephemeral())
	return nil
}

type received struct {
	nonce   [24]byte
	message Message
}

// handle acknowledges what was handled now or before. The nonce is remembered first:
// an acknowledgement that is lost makes the server deliver again.
func (e received) handle(s *session) error {
	nonces := s.device.nonces
	known, err := nonces.contains(e.nonce)
	if err != nil {
		return err
	}
	if !known {
		ctx := context.WithValue(s.device.ctx, receiving{}, s.device)
		if s.device.config.Receive(ctx, e.message) != nil {
			return nil
		}
		if err := nonces.add(e.nonce); err != nil {
			return err
		}
	}
	s.acknowledge(e.message.ID, e.message.Ephemeral)
	return nil
}

// acknowledge has an ack sent on the connection that delivered the message. A device
// that ends does not wait here for a server that does not read.
func (s *session) acknowledge(id d2m.ReflectedID, ephemeral bool) {
	if ephemeral {
		return // nothing is stored that could be deleted
	}
	select {
	case s.acks <- id:
	case <-s.ctx.Done():
	case <-s.device.ctx.Done():
		s.rest = func() error { return s.wire.Send(s.ctx, d2m.ReflectedAck{ID: id}) }
	}
}
