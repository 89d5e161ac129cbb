package client

import (
	"context"
	"time"

	"openmediator/d2m"
	"openmediator/devicekeys"
)

// Message is what another device of the group has reflected.
type Message struct {
	Envelope  devicekeys.Envelope // its texts and content come from a peer
	ID        d2m.ReflectedID     // the same when the message is delivered again (B18)
	Timestamp time.Time           // the server's, in ms; the sender has been told the same
	Ephemeral bool                // only for devices that are connected; never comes again
}

// event is what the reader hands to the handler.
type event interface {
	// handle returns an error if the session must end.
	handle(s *session) error
}

// read takes what comes until the session ends.
func (s *session) read() {
	s.heard()
	for {
		message, err := s.wire.receive(context.Background())
		s.heard()
		if err == nil {
			err = s.dispatch(message)
		}
		if err != nil {
			s.end(err)
			return
		}
	}
}

// dispatch takes one message. An error is the end of the session.
func (s *session) dispatch(message d2m.Message) error {
	switch m := message.(type) {
	case d2m.Reflected:
		return s.dispatchReflected(m)
	case d2m.ReflectAck, d2m.DevicesInfo, d2m.DropDeviceAck, d2m.CommitTransactionAck:
		return s.dispatchAnswer(m)
	case d2m.ReflectionQueueDry:
		return s.dispatchDry()
	case d2m.RolePromotedToLeader:
		return s.dispatchLeader()
	case d2m.Proxy:
		return s.dispatchProxy(m)
	case d2m.TransactionEnded:
		return s.toHandler(ended{}) // a connected device is told unasked
	case d2m.TransactionRejected:
		return s.dispatchRejected(m)
	case d2m.BeginTransactionAck:
		return s.toHandler(begun{})
	}
	return violation("%v: comes unasked", message.Type())
}

// dispatchReflected drops what nobody would handle: it stays on the server.
func (s *session) dispatchReflected(m d2m.Reflected) error {
	config := &s.device.config
	receivesChat := config.Chat != nil && config.Chat.Receive != nil
	if config.Receive == nil && !receivesChat {
		return nil
	}
	e := s.open(m)
	_, isChat := e.(chatReflected)
	if isChat && !receivesChat || !isChat && config.Receive == nil {
		return nil
	}
	return s.toHandler(e)
}

func (s *session) dispatchAnswer(message d2m.Message) error {
	if !s.unanswered.answer(message) {
		return violation("%v: answers nothing", message.Type())
	}
	s.wakeWriter()
	return nil
}

func (s *session) wakeWriter() {
	select {
	case s.room <- struct{}{}:
	default:
	}
}

func (s *session) dispatchDry() error {
	if s.dry {
		return violation("ReflectionQueueDry: comes twice")
	}
	s.dry = true
	return s.toHandler(queueDry{})
}

func (s *session) dispatchLeader() error {
	if !s.dry {
		return violation("RolePromotedToLeader: comes before ReflectionQueueDry")
	}
	if s.leads {
		return violation("RolePromotedToLeader: comes twice")
	}
	s.leads = true
	s.device.setLeader(s)
	return s.toHandler(promoted{})
}

// toHandler waits until the handler has room, and does not read meanwhile.
func (s *session) toHandler(e event) error {
	select {
	case s.inbox <- e:
		return nil
	default:
	}
	s.notReading()
	defer s.readOn()
	select {
	case s.inbox <- e:
	case <-s.ctx.Done():
	}
	return nil
}

// readOn tells the link first: as soon as the connection counts as read, its silence
// counts, too.
func (s *session) readOn() {
	s.chat.heard()
	s.heard()
}

// open decrypts and decodes an envelope. The result owns its bytes.
func (s *session) open(m d2m.Reflected) event {
	plain, nonce, err := s.device.config.Keys.OpenEnvelope(m.Envelope)
	if err != nil {
		return unreadable{message: m, err: err}
	}
	envelope, err := devicekeys.ParseEnvelope(plain)
	if err != nil {
		return unreadable{message: m, err: err}
	}
	if s.chat != nil && isChatContent(envelope) {
		return openChat(m, envelope)
	}
	return received{nonce: nonce, message: Message{
		Envelope:  envelope,
		ID:        m.ID,
		Timestamp: timestamp(m.Timestamp),
		Ephemeral: m.Ephemeral(),
	}}
}

// openChat decodes a chat message that another device has reflected.
func openChat(m d2m.Reflected, envelope devicekeys.Envelope) event {
	message, err := parseChatContent(envelope)
	if err != nil {
		return unreadable{message: m, err: err}
	}
	return chatReflected{message: message, id: m.ID, ephemeral: m.Ephemeral()}
}

func timestamp(ms uint64) time.Time { return time.UnixMilli(int64(ms)) }
