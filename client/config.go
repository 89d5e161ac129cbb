package client

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"openmediator/d2m"
	"openmediator/devicekeys"
)

// Defaults of [Config].
const (
	DefaultServerGroup    = "0"
	DefaultConnectTimeout = 30 * time.Second
	DefaultReconnectMin   = time.Second
	DefaultReconnectMax   = time.Minute
)

// Config says who a device is and what becomes of that which it is told. URL and
// Keys are needed, the rest may be left out.
//
// The functions are called one at a time, in the order of what happened. None may
// call the device's Close, which waits for it.
type Config struct {
	URL         string // of the server, ws or wss: the last path segment is added
	ServerGroup string // 1 to 63 of 0-9, a-z, A-Z; [DefaultServerGroup] if empty
	Dialer      Dialer

	Keys     *devicekeys.Keys // of the device group
	DeviceID d2m.DeviceID     // within the group; every value is valid
	Info     devicekeys.DeviceInfo

	// Registered tells that the device has its slot, because OnRegistered was once
	// called. The server refuses a device that errs about it with 4115 (B7).
	Registered bool
	// OnRegistered is called when the server has given the device its slot. It must
	// store that durably: a device that forgets it cannot connect again. Until it
	// returns nothing is sent, for with that the server would take the device at its
	// word. An error ends the device, which can then start as not registered.
	OnRegistered func() error

	// DropLeastRecent asks for a slot at the expense of another device, if none is
	// free (B8). Otherwise the server refuses with 4111.
	DropLeastRecent bool
	// Volatile asks for a slot that goes, with its queue, some minutes after the
	// device has left (B34).
	Volatile bool

	// Receive handles a message. When it returns nil, and not before, the message is
	// acknowledged and gone from the server. After an error it stays there and comes
	// again with the next connection; the messages behind it come now. The context
	// ends with Close, not with the connection; but if that ends, the next one waits
	// until Receive has returned.
	//
	// A device without Receive leaves its messages on the server. With Chat, the chat
	// messages among them are for that one's Receive.
	Receive func(ctx context.Context, message Message) error
	// OnUnreadable is told of a message that cannot be opened or decoded. Such a
	// message is acknowledged, for it would come again for ever. The error names
	// lengths at most.
	OnUnreadable func(error)
	// Nonces remembers the messages that Receive has handled, so that it is not given
	// them twice. If nil, that is a [MemoryNonces] of [DefaultNonces].
	Nonces NonceStore

	OnConnected func(d2m.ServerInfo) // the device is registered and connected
	OnQueueDry  func()               // all that was stored for the device has been handled
	OnLeader    func()               // the device leads until its connection ends (B12)
	// OnDisconnected is told why a connection has ended or could not be made, and how
	// long the device waits until it tries again. It is not called for the end of the
	// device; see [Device.Done].
	OnDisconnected func(err error, retry time.Duration)

	// Chat makes the device talk to the chat server behind the mediator. If nil, it
	// does not.
	Chat *ChatConfig

	// ConnectTimeout is for everything from the name's resolution to registration.
	ConnectTimeout time.Duration
	// ReconnectMin and ReconnectMax bound the time between two attempts. It is random
	// between the former and a value that doubles from one attempt to the next, up to
	// the latter.
	ReconnectMin, ReconnectMax time.Duration
}

// URL returns the address that a device of a group connects to: base, a slash if it
// does not end with one, and the hex of d2m's ClientUrlInfo.
//
// Base is a ws or wss URL with a host, any path, and neither query, fragment nor
// user. In it {deviceGroupIdPrefix4} and {deviceGroupIdPrefix8} stand for the first
// one and two hexadecimal digits of the group's id. ServerGroup is 1 to 63 of 0-9, a-z, A-Z.
func URL(base string, group d2m.GroupID, serverGroup string) (string, error) {
	base = fillPrefixes(base, group)
	parsed, err := url.Parse(base)
	switch {
	case err != nil:
		return "", errors.New("server URL: is not a URL")
	case parsed.Scheme != "ws" && parsed.Scheme != "wss":
		return "", fmt.Errorf("server URL: scheme is %q, want ws or wss", parsed.Scheme)
	case parsed.Host == "":
		return "", errors.New("server URL: has no host")
	case parsed.User != nil, parsed.RawQuery != "", parsed.Fragment != "":
		return "", errors.New("server URL: has more than a host and a path")
	}
	segment := d2m.ClientURLInfo{GroupID: group, ServerGroup: serverGroup}.Segment()
	if _, err := d2m.ParsePath("/" + segment); err != nil {
		return "", fmt.Errorf("server group: %w", err)
	}
	if !strings.HasSuffix(base, "/") {
		base += "/"
	}
	return base + segment, nil
}

// fillPrefixes puts in how the group's id begins, by which servers spread load.
func fillPrefixes(base string, group d2m.GroupID) string {
	first := hex.EncodeToString(group[:1])
	return strings.NewReplacer("{deviceGroupIdPrefix4}", first[:1], "{deviceGroupIdPrefix8}", first).Replace(base)
}

// complete checks a Config, puts in the defaults, and returns the address to dial.
func (c *Config) complete() (string, error) {
	if c.Keys == nil {
		return "", errors.New("device: has no keys")
	}
	if c.ServerGroup == "" {
		c.ServerGroup = DefaultServerGroup
	}
	if c.Nonces == nil {
		c.Nonces = NewMemoryNonces(DefaultNonces)
	}
	if err := c.completeChat(); err != nil {
		return "", err
	}
	setDefault(&c.ConnectTimeout, DefaultConnectTimeout)
	setDefault(&c.ReconnectMin, DefaultReconnectMin)
	setDefault(&c.ReconnectMax, max(DefaultReconnectMax, c.ReconnectMin))
	if c.ConnectTimeout < 0 || c.ReconnectMin < 0 || c.ReconnectMax < c.ReconnectMin {
		return "", errors.New("device: time limits are negative or contradict each other")
	}
	return URL(c.URL, c.Keys.GroupID(), c.ServerGroup)
}

// completeChat does not change what the caller keeps.
func (c *Config) completeChat() error {
	if c.Chat == nil {
		return nil
	}
	chat := *c.Chat
	c.Chat = &chat
	return chat.complete()
}

func setDefault(limit *time.Duration, value time.Duration) {
	if *limit == 0 {
		*limit = value
	}
}
