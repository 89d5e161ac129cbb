package client

import (
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"openmediator/csp"
	"openmediator/d2m"
)

const (
	// maxChatAnswers is how many answers to the chat server's own requests wait to be
	// sent. One that asks for more, and does not read, is left.
	maxChatAnswers = 64
	// maxChatPayloads is how many other payloads wait to be sent.
	maxChatPayloads = 64
)

var errChatAnswers = errors.New("it asks for more echoes than it takes")

// chatLink is one connection to the chat server, through the mediator: the shell
// around a [chatSession]. It lives and dies with the session of the mediator, whose
// reader, handler and writer serve it. Two goroutines are its own: reflectIncoming,
// and watchEcho, which looks for a dead chat server.
type chatLink struct {
	// fixed
	chat    *chat
	session *session

	answers  chan chatFrame   // reader to writer: it must not wait
	payloads chan csp.Payload // of all others to writer
	incoming *chatQueue       // reader to reflectIncoming
	login    chan struct{}    // reader to watchEcho: closed by the login, after which less time is given

	// guarded by mu
	mu       sync.Mutex
	protocol *chatSession
	clock    echoClock
	unacked  map[csp.MessageAck]chan struct{} // closed by the ack of a sent message
}

// chatFrame is what the writer sends: bytes as they are, or a payload to be sealed.
type chatFrame struct {
	bytes   []byte
	payload csp.Payload
}

// newChatLink returns nil if there is no chat.
func newChatLink(s *session, c *chat) (*chatLink, error) {
	if c == nil {
		return nil, nil
	}
	protocol, err := newChatSession(rand.Reader, c.config.login(), c.config.Receive != nil)
	if err != nil {
		return nil, callerError{err}
	}
	return &chatLink{
		chat:     c,
		session:  s,
		answers:  make(chan chatFrame, maxChatAnswers),
		payloads: make(chan csp.Payload, maxChatPayloads),
		incoming: newChatQueue(),
		login:    make(chan struct{}),
		protocol: protocol,
		unacked:  make(map[csp.MessageAck]chan struct{}),
	}, nil
}

// greeting is what goes out directly behind ClientHello; the mediator holds it back
// until the device is registered (B4).
func (c *chatLink) greeting() []d2m.Message {
	if c == nil {
		return nil
	}
	return []d2m.Message{d2m.Proxy{Data: c.protocol.hello()}}
}

// start starts the link's own goroutines.
func (c *chatLink) start(goroutines *sync.WaitGroup) {
	if c == nil {
		return
	}
	c.heard()
	goroutines.Go(c.reflectIncoming)
	goroutines.Go(c.watchEcho)
}

// dispatchProxy takes a unit of the chat server. An error is the end of the session.
func (s *session) dispatchProxy(m d2m.Proxy) error {
	c := s.chat
	if c == nil {
		return violation("%v: comes unasked", m.Type())
	}
	c.mu.Lock()
	action, err := c.protocol.receive(m.Data)
	c.clock.loggedIn = c.protocol.state == loggedIn
	c.clock.heard(time.Now())
	c.mu.Unlock()
	if err != nil || action == nil {
		return err
	}
	return action.do(c)
}

// heard is called when the connection begins, and when it is read again after the
// handler has caught up: what the chat server has sent meanwhile comes only now.
func (c *chatLink) heard() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock.heard(time.Now())
}

// promote is called by the handler, behind all messages of other devices that came
// before the promotion: so they are received before those of the chat server.
func (c *chatLink) promote() {
	if c == nil {
		return
	}
	c.mu.Lock()
	unblock := c.protocol.promote()
	c.mu.Unlock()
	if unblock {
		c.send(csp.Payload{Type: csp.UnblockIncoming})
	}
}

// send queues a payload for the writer. It waits for room until the session ends, or
// the device, which then needs no more payloads.
func (c *chatLink) send(payload csp.Payload) {
	select {
	case c.payloads <- payload:
	case <-c.session.ctx.Done():
	case <-c.session.device.ctx.Done():
	}
}

// answer queues a frame for the writer and does not wait: as long as the reader does
// not read, neither might the chat server.
func (c *chatLink) answer(frame chatFrame) error {
	select {
	case c.answers <- frame:
		return nil
	default:
		return &ChatServerError{Err: errChatAnswers}
	}
}

// frames returns what the writer takes from.
func (c *chatLink) frames() (answers <-chan chatFrame, payloads <-chan csp.Payload) {
	if c == nil {
		return nil, nil
	}
	return c.answers, c.payloads
}

// sendFrame is the writer's, and no other goroutine's: the boxes are numbered.
func (c *chatLink) sendFrame(frame chatFrame) error {
	if frame.bytes == nil {
		c.mu.Lock()
		session := c.protocol.session
		c.mu.Unlock()
		sealed, err := session.Seal(nil, frame.payload)
		if err != nil {
			return err
		}
		frame.bytes = sealed
	}
	return c.session.wire.Send(c.session.ctx, d2m.Proxy{Data: frame.bytes})
}

// sendLast sends what the handler has left behind.
func (c *chatLink) sendLast() error {
	_, payloads := c.frames()
	for {
		select {
		case payload := <-payloads:
			if err := c.sendFrame(chatFrame{payload: payload}); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// watchEcho finds out when the chat server is gone without a word. While the
// connection is not read, silence means nothing.
func (c *chatLink) watchEcho() {
	login := c.login
	for {
		c.mu.Lock()
		due := c.clock.due()
		c.mu.Unlock()
		timer := time.NewTimer(time.Until(due))
		select {
		case <-timer.C:
		case <-login:
			timer.Stop()
			login = nil
			continue
		case <-c.session.ctx.Done():
			timer.Stop()
			return
		}
		if !c.session.isReading() {
			c.heard()
			continue
		}
		c.mu.Lock()
		ask, err := c.clock.tick(time.Now())
		c.mu.Unlock()
		if err != nil {
			c.session.end(err)
			return
		}
		if ask {
			c.send(csp.Payload{Type: csp.EchoRequest})
		}
	}
}
