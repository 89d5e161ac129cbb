package client

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"openmediator/csp"
	"openmediator/d2m"
)

// ChatConfig says who a device is for the chat server, to which it talks through the
// mediator. Identity, Key, ServerKey and PublicKey are needed, the rest may be left
// out. All devices of a group have the same identity and key, and a DeviceID each.
//
// Receive and the functions whose names begin with On are called like those of
// [Config]: one at a time, in order with those, and none may call Close.
type ChatConfig struct {
	Identity  csp.Identity
	Key       *ecdh.PrivateKey // of the identity
	ServerKey *ecdh.PublicKey  // of the chat server

	// DeviceID is this device's at the chat server, which ends the older one of two
	// connections with the same.
	DeviceID   csp.DeviceID
	ClientInfo string // what the chat server is told of the client; UTF-8
	// DeviceCookie is sent with the login, if it is not nil. A cookie that differs
	// from that of the last login of any device has OnDeviceCookieChange called.
	DeviceCookie *csp.Cookie

	// PublicKey looks up an identity's key. It may be called by several goroutines,
	// must return when the context ends, and is asked once for an identity: the last
	// 1,024 keys are kept. For an identity that does not exist the error wraps
	// [ErrUnknownIdentity]; any other is taken for something that passes.
	PublicKey func(ctx context.Context, identity csp.Identity) (*ecdh.PublicKey, error)

	// Receive handles a message, once on each device of the group. On the leader it is
	// called when the other devices have the message for sure, and the chat server is
	// told only after it has returned nil. After an error the message stays there, or
	// on the mediator if it came from there, and comes again with the next connection;
	// the messages behind it come now.
	//
	// A device without Receive takes no messages: it does not ask the chat server for
	// them when it leads, and leaves those of other devices on the mediator.
	Receive func(ctx context.Context, message ChatMessage) error
	// OnUnreadable is told of a message of the chat server that cannot be opened. Such
	// a message is acknowledged, for it would come again for ever; but if the error
	// wraps one of PublicKey, and not ErrUnknownIdentity, it is not: it comes again
	// with the next login.
	OnUnreadable func(error)
	// Nonces remembers the nonces of messages that were handled or sent, so that
	// nothing is received twice, nor what was sent received as if it were an answer
	// (the boxes of both directions have one key). If nil, that is a [MemoryNonces] of
	// [DefaultNonces]. It may be the store of [Config].
	Nonces NonceStore

	OnLogin     func(csp.LoginAck) // the chat server has taken the login
	OnQueueSent func()             // all that the chat server had stored has been handled
	OnAlert     func(text string)  // of the chat server; may hold any character
	// OnDeviceCookieChange is called after each login until
	// [Device.ClearDeviceCookieChange]: somebody else has logged in meanwhile.
	OnDeviceCookieChange func()
}

// ChatMessage is a message from one identity to another. All but the header's
// Receiver comes from a peer.
type ChatMessage struct {
	Sender    csp.Identity
	Receiver  csp.Identity
	ID        csp.MessageID // the sender's choice
	CreatedAt time.Time     // whole seconds, as the sender or the chat server says
	Flags     csp.MessageFlags
	Nickname  string // of the sender, at most 32 bytes; may be empty, or no UTF-8
	Metadata  []byte // opened; nil if there was none
	Kind      uint8  // what Body is: [csp.KindText], or another kind of the apps
	Body      []byte
	Nonce     [24]byte // no other message has it

	// Reflected tells that another device of the group has received the message, or,
	// with Outgoing, sent it.
	Reflected bool
	Outgoing  bool
	Device    d2m.DeviceID // that has reflected it; 0 if none has
}

// complete checks a ChatConfig and puts in the defaults.
func (c *ChatConfig) complete() error {
	switch {
	case c.Key == nil:
		return errors.New("chat: has no key")
	case c.ServerKey == nil:
		return errors.New("chat: has no key of the server")
	case c.PublicKey == nil:
		return errors.New("chat: has no PublicKey to look up keys")
	case !utf8.ValidString(c.ClientInfo):
		return errors.New("chat: client info is not UTF-8")
	}
	if c.Nonces == nil {
		c.Nonces = NewMemoryNonces(DefaultNonces)
	}
	if _, err := csp.NewClientHandshake(rand.Reader, c.login()); err != nil {
		return fmt.Errorf("chat: %w", err)
	}
	return nil
}

// login is what a connection to the chat server begins with.
func (c *ChatConfig) login() csp.Login {
	return csp.Login{
		Identity:  c.Identity,
		Key:       c.Key,
		ServerKey: c.ServerKey,
		Extensions: &csp.Extensions{
			ClientInfo:   c.ClientInfo,
			DeviceID:     &c.DeviceID,
			Features:     csp.FeatureMetadata | csp.FeatureEcho,
			DeviceCookie: c.DeviceCookie,
		},
	}
}

// chat is what a Device keeps for its talk to the chat server, across connections.
type chat struct {
	// fixed
	config ChatConfig
	keys   *publicKeys
	slots  chan struct{} // holds one element for each message that is being sent

	// guarded by the Device's mu
	link    *chatLink     // nil while not logged in
	changed chan struct{} // closed and replaced when link changes
}

func newChat(config ChatConfig) *chat {
	return &chat{
		config:  config,
		keys:    newPublicKeys(config.PublicKey),
		slots:   make(chan struct{}, maxChatSends),
		changed: make(chan struct{}),
	}
}

// setLink is called with the Device's mu held.
func (c *chat) setLink(link *chatLink) {
	c.link = link
	close(c.changed)
	c.changed = make(chan struct{})
}

// open decrypts a message of another identity.
func (c *chat) open(ctx context.Context, m *csp.Message) (ChatMessage, error) {
	switch {
	case m.Receiver != c.config.Identity:
		return ChatMessage{}, errors.New("chat message: is for another identity")
	case m.Sender == c.config.Identity:
		return ChatMessage{}, errors.New("chat message: is of the own identity")
	}
	key, err := c.keys.get(ctx, m.Sender)
	if err != nil {
		return ChatMessage{}, err
	}
	kind, body, err := csp.OpenMessage(c.config.Key, key, m.Nonce, m.Box)
	if err != nil {
		return ChatMessage{}, fmt.Errorf("chat message: %w", err)
	}
	var metadata []byte
	if len(m.Metadata) > 0 {
		metadata, err = csp.OpenMetadata(c.config.Key, key, m.Nonce, m.Metadata)
		if err != nil {
			return ChatMessage{}, fmt.Errorf("chat message: metadata: %w", err)
		}
	}
	opened := chatHeader(m)
	opened.Metadata, opened.Kind, opened.Body = metadata, kind, body
	return opened, nil
}
