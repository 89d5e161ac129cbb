package mediator

import (
	"fmt"

	"openmediator/d2m"
	"openmediator/devicegroup"
)

// maxHeldBack is how many bytes of Proxy are kept for a connection that has not registered (B4).
const maxHeldBack = 16 << 10

// heldBack is what a device has sent for the chat server before it was registered.
type heldBack []byte

func (h *heldBack) add(data []byte) error {
	if len(*h)+len(data) > maxHeldBack {
		return protocolError("more than 16 KiB for the chat server before client hello")
	}
	*h = append(*h, data...)
	return nil
}

// handshake takes a message from before the registration (B3 to B6).
func (c *conn) handshake(data []byte) error {
	if c.isEnding() {
		return nil
	}
	kind, payload, err := d2m.Split(data)
	switch {
	case err != nil:
		return protocolError(err.Error())
	case kind == d2m.TypeProxy:
		return c.held.add(payload)
	case kind != d2m.TypeClientHello:
		return protocolError(kind.String() + " came before client hello")
	}
	hello, err := c.authenticate(payload)
	if err != nil {
		return err
	}
	if err := c.server.groups.register(c, hello); err != nil {
		return err
	}
	held := c.held
	c.held = nil
	if len(held) == 0 {
		return nil
	}
	return c.proxy(held)
}

// authenticate checks what a ClientHello claims (B5).
func (c *conn) authenticate(payload []byte) (*d2m.ClientHello, error) {
	version, err := d2m.ClientHelloVersion(payload)
	if err != nil {
		return nil, protocolError(err.Error())
	}
	if version > d2m.ProtocolVersion {
		reason := fmt.Sprintf("client hello: version %d, this server speaks up to %d", version, d2m.ProtocolVersion)
		return nil, closing{devicegroup.Close{Code: d2m.CloseUnsupportedVersion, Reason: reason}}
	}
	hello, err := d2m.ParseClientHello(payload)
	if err != nil {
		return nil, protocolError(err.Error())
	}
	if !c.server.checkResponse(c.verifier, c.url.GroupID, &hello.Response) {
		c.server.counters.wrongResponses.Add(1)
		return nil, protocolError("client hello: response does not match the challenge")
	}
	c.verifier = nil
	return &hello, nil
}

// isEnding says whether this side has decided to close a connection that is not registered.
func (c *conn) isEnding() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.close != nil
}
