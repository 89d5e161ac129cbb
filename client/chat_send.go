package client

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"openmediator/csp"
	"openmediator/devicekeys"
)

// maxChatSends is how many messages a device sends at a time.
const maxChatSends = 64

// SealedChat is a message that is ready to be sent, once or several times: whoever
// has it already discards it. It may be stored.
type SealedChat struct {
	Message  []byte // as the chat server gets it
	Envelope []byte // that tells the other devices of the group of it
}

// SendChat sends a message to another identity and returns its id when the chat
// server has it. Kind is what body is, [csp.KindText] for a UTF-8 text; a body has at
// most [csp.MaxBodySize] bytes.
//
// It waits until the device is logged in to the chat server, and while 64 messages
// are being sent. Then the message is first reflected to the other devices, which
// get it as Outgoing, and sent when the mediator has it on disk: so no device can
// miss what was sent. During a transaction of this device it waits for its end.
//
// A [ChatUnknownError] means that the message may have left, or that the other
// devices have been told that it has: only [Device.SendChatSealed] can mend that.
// After any other error nothing has left. Within Receive it fails with
// [ErrInReceive].
func (d *Device) SendChat(ctx context.Context, to csp.Identity, kind uint8, body []byte) (csp.MessageID, error) {
	sealed, err := d.SealChat(ctx, to, kind, body)
	if err != nil {
		return 0, err
	}
	message, err := csp.ParseMessage(sealed.Message)
	if err != nil {
		return 0, err
	}
	return message.ID, d.SendChatSealed(ctx, sealed)
}

// SealChat makes a message for SendChatSealed, with a random id and nonce, the time
// of now, and the flag to push. The nonce is remembered as one that must not be
// received. Errors are those of PublicKey and of the [NonceStore], and a body that is
// too large.
func (d *Device) SealChat(ctx context.Context, to csp.Identity, kind uint8, body []byte) (SealedChat, error) {
	if d.chat == nil {
		return SealedChat{}, ErrNoChat
	}
	plain := ChatMessage{
		Sender:    d.chat.config.Identity,
		Receiver:  to,
		CreatedAt: time.Now(),
		Flags:     csp.FlagPush,
		Kind:      kind,
		Body:      body,
	}
	if to == plain.Sender {
		return SealedChat{}, errors.New("chat message: is for the own identity")
	}
	var id [8]byte
	rand.Read(id[:])
	rand.Read(plain.Nonce[:])
	plain.ID = csp.MessageID(binary.LittleEndian.Uint64(id[:]))
	message, err := d.chat.seal(ctx, plain)
	if err != nil {
		return SealedChat{}, err
	}
	envelope, err := d.sealChatEnvelope(devicekeys.KindOutgoingMessage, plain)
	if err != nil {
		return SealedChat{}, err
	}
	if err := d.chatNonces.add(plain.Nonce); err != nil {
		return SealedChat{}, err
	}
	return SealedChat{Message: message, Envelope: envelope}, nil
}

// seal makes what the chat server gets.
func (c *chat) seal(ctx context.Context, m ChatMessage) ([]byte, error) {
	key, err := c.keys.get(ctx, m.Receiver)
	if err != nil {
		return nil, err
	}
	box, err := csp.SealMessage(rand.Reader, c.config.Key, key, m.Nonce, m.Kind, m.Body)
	if err != nil {
		return nil, fmt.Errorf("chat message: %w", err)
	}
	return csp.Message{
		Sender:    m.Sender,
		Receiver:  m.Receiver,
		ID:        m.ID,
		CreatedAt: uint32(m.CreatedAt.Unix()),
		Flags:     m.Flags,
		Nonce:     m.Nonce,
		Box:       box,
	}.Append(nil)
}

// SendChatSealed is SendChat for a message that is sealed already. A message with
// the same id must not be on its way. Its bytes must not be changed until it
// returns.
func (d *Device) SendChatSealed(ctx context.Context, sealed SealedChat) error {
	if d.chat == nil {
		return ErrNoChat
	}
	if d.isReceiving(ctx) {
		return fmt.Errorf("chat message: was not sent: %w", ErrInReceive)
	}
	message, err := csp.ParseMessage(sealed.Message)
	if err != nil {
		return err
	}
	if err := d.takeChatSlot(ctx); err != nil {
		return fmt.Errorf("chat message: was not sent: %w", err)
	}
	defer func() { <-d.chat.slots }()
	if _, err := d.awaitChatLink(ctx); err != nil {
		return fmt.Errorf("chat message: was not sent: %w", err)
	}
	_, err = d.ReflectSealed(ctx, sealed.Envelope)
	var unknown *UnknownError
	if errors.As(err, &unknown) {
		return &ChatUnknownError{Err: unknown.Err, Sealed: sealed}
	}
	if err != nil {
		return err
	}
	link, err := d.awaitChatLink(ctx)
	if err == nil {
		err = link.sendMessage(ctx, &message, sealed.Message)
	}
	if err != nil {
		return &ChatUnknownError{Err: err, Sealed: sealed}
	}
	return nil
}

func (d *Device) takeChatSlot(ctx context.Context) error {
	select {
	case d.chat.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-d.done:
		return d.ended()
	}
}

// ClearDeviceCookieChange tells the chat server that its user knows of the change
// that OnDeviceCookieChange was called for. There is no answer. While the device is
// not logged in the error is [ErrOffline].
func (d *Device) ClearDeviceCookieChange(ctx context.Context) error {
	if d.chat == nil {
		return ErrNoChat
	}
	if err := d.ended(); err != nil {
		return err
	}
	d.mu.Lock()
	link := d.chat.link
	d.mu.Unlock()
	if link == nil {
		return ErrOffline
	}
	return link.sendOrEnd(ctx, csp.Payload{Type: csp.ClearDeviceCookieChange})
}

// awaitChatLink waits for a connection that is logged in.
func (d *Device) awaitChatLink(ctx context.Context) (*chatLink, error) {
	for {
		if err := d.ended(); err != nil {
			return nil, err
		}
		d.mu.Lock()
		link, changed := d.chat.link, d.chat.changed
		d.mu.Unlock()
		if link != nil && link.session.ctx.Err() == nil {
			return link, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-d.done:
		}
	}
}

// setChatLink is called when the chat server has taken the login; as for setLeader,
// the session may have been left.
func (d *Device) setChatLink(link *chatLink) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.session == link.session {
		d.chat.setLink(link)
	}
}

// sendMessage sends a message and waits for its ack.
func (c *chatLink) sendMessage(ctx context.Context, m *csp.Message, data []byte) error {
	ack := csp.MessageAck{Identity: m.Receiver, ID: m.ID}
	acked := make(chan struct{})
	c.mu.Lock()
	busy := c.unacked[ack] != nil
	if !busy {
		c.unacked[ack] = acked
	}
	c.mu.Unlock()
	if busy {
		return errors.New("chat message: is being sent already")
	}
	defer c.forget(ack)
	if err := c.sendOrEnd(ctx, csp.Payload{Type: csp.OutgoingMessage, Data: data}); err != nil {
		return err
	}
	if m.Flags&csp.FlagNoAck != 0 {
		return nil
	}
	var end error
	select {
	case <-acked:
		return nil
	case <-ctx.Done():
		end = context.Cause(ctx)
	case <-c.session.ctx.Done():
		end = context.Cause(c.session.ctx)
	}
	select {
	case <-acked: // before the end
		return nil
	default:
		return end
	}
}

func (c *chatLink) forget(ack csp.MessageAck) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.unacked, ack)
}

// sendOrEnd is send for callers with a context of their own.
func (c *chatLink) sendOrEnd(ctx context.Context, payload csp.Payload) error {
	select {
	case c.payloads <- payload:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.session.ctx.Done():
		return context.Cause(c.session.ctx)
	}
}
