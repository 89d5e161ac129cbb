package client

import (
	"context"

	"openmediator/csp"
	"openmediator/d2m"
	"openmediator/devicekeys"
)

// maxChatReflects is how many messages of the chat server are on their way to the
// other devices at a time.
const maxChatReflects = 32

// chatStep is an arrival on its way to the handler, which gets them in their order.
type chatStep struct {
	event    event
	reflects *request // must be answered before; nil if nothing is to be reflected
}

// done is closed when the handler may have the event.
func (s chatStep) done() <-chan struct{} {
	if s.reflects == nil {
		return closedChannel
	}
	return s.reflects.done
}

var closedChannel = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// reflectIncoming takes what the chat server has sent, has it reflected, and passes
// it to the handler when the mediator has it on disk. The handler does not wait for
// that itself: during a transaction nothing is reflected, and a transaction begins in
// the handler.
func (c *chatLink) reflectIncoming() {
	var steps []chatStep
	defer func() {
		for _, step := range steps {
			if step.reflects != nil {
				step.reflects.withdraw()
			}
		}
	}()
	for {
		ready, done := (<-chan struct{})(c.incoming.ready), (<-chan struct{})(nil)
		if len(steps) >= maxChatReflects {
			ready = nil
		}
		if len(steps) > 0 {
			done = steps[0].done()
		}
		select {
		case <-ready:
			if step, ok := c.begin(c.incoming.take()); ok {
				steps = append(steps, step)
			}
		case <-done:
			if steps[0].reflects != nil && steps[0].reflects.err != nil {
				return // the session has ended
			}
			c.toHandler(steps[0].event)
			steps = steps[1:]
		case <-c.session.ctx.Done():
			return
		}
	}
}

// toHandler waits for room; the reader goes on.
func (c *chatLink) toHandler(e event) {
	select {
	case c.session.inbox <- e:
	case <-c.session.ctx.Done():
	}
}

// begin opens a message and has it reflected. It is false if the session has ended.
func (c *chatLink) begin(arrival chatArrival) (chatStep, bool) {
	if arrival.message == nil {
		return chatStep{event: arrival.event}, true
	}
	ctx := c.session.ctx
	message, err := c.chat.open(ctx, arrival.message)
	if err != nil {
		return chatStep{event: chatUnreadable{header: chatHeader(arrival.message), err: err}}, ctx.Err() == nil
	}
	// A message that was received before is reflected, too. Perhaps another device
	// received it, which led then and came to its end between the reflecting and its
	// own Receive: it has the message from nobody else.
	reflects, err := c.session.device.chatReflect(devicekeys.KindIncomingMessage, message)
	if err != nil {
		return chatStep{event: chatUnreadable{header: message, err: err}}, true
	}
	if c.session.device.submit(ctx, reflects) != nil {
		return chatStep{}, false
	}
	return chatStep{event: chatReceived{message}, reflects: reflects}, true
}

// chatReflect makes the request that tells the other devices of a message.
func (d *Device) chatReflect(kind devicekeys.Kind, message ChatMessage) (*request, error) {
	sealed, err := d.sealChatEnvelope(kind, message)
	if err != nil {
		return nil, err
	}
	return reflectRequest(sealed)
}

func (d *Device) sealChatEnvelope(kind devicekeys.Kind, message ChatMessage) ([]byte, error) {
	content, err := appendChatContent(nil, message)
	if err != nil {
		return nil, err
	}
	return d.seal(devicekeys.Envelope{Kind: kind, Content: content})
}

// chatReceived is a message of the chat server that the other devices have.
type chatReceived struct{ message ChatMessage }

func (e chatReceived) handle(s *session) error {
	handled, err := s.receiveChat(e.message)
	if handled {
		s.chat.acknowledge(e.message)
	}
	return err
}

// chatUnreadable is a message of the chat server of which the header is all.
type chatUnreadable struct {
	header ChatMessage
	err    error
}

func (e chatUnreadable) handle(s *session) error {
	if s.chat.chat.config.OnUnreadable != nil {
		s.chat.chat.config.OnUnreadable(e.err)
	}
	if !mayPass(e.err) {
		s.chat.acknowledge(e.header)
	}
	return nil
}

// chatReflected is a message that another device has received or sent.
type chatReflected struct {
	message   ChatMessage
	id        d2m.ReflectedID
	ephemeral bool
}

func (e chatReflected) handle(s *session) error {
	handled, err := s.receiveChat(e.message)
	if handled {
		s.acknowledge(e.id, e.ephemeral)
	}
	return err
}

// receiveChat tells whether the message has been received, now or before. Its nonce
// is remembered before that is told to anybody.
func (s *session) receiveChat(message ChatMessage) (handled bool, err error) {
	d := s.device
	known, err := d.chatNonces.contains(message.Nonce)
	if err != nil || known {
		return known, err
	}
	ctx := context.WithValue(d.ctx, receiving{}, d)
	if d.chat.config.Receive(ctx, message) != nil {
		return false, nil
	}
	if err := d.chatNonces.add(message.Nonce); err != nil {
		return false, err
	}
	return true, nil
}

// acknowledge tells the chat server that a message need not come again; as for
// [session.acknowledge], a device that ends does not wait here.
func (c *chatLink) acknowledge(message ChatMessage) {
	if message.Flags&csp.FlagNoAck != 0 {
		return
	}
	ack := csp.MessageAck{Identity: message.Sender, ID: message.ID}
	payload := csp.Payload{Type: csp.IncomingMessageAck, Data: ack.Append(nil)}
	select {
	case c.payloads <- payload:
	case <-c.session.ctx.Done():
	case <-c.session.device.ctx.Done():
		c.session.rest = func() error { return c.sendFrame(chatFrame{payload: payload}) }
	}
}
