package chatproxy

import (
	"context"
	"errors"
	"net"
	"net/netip"

	"golang.org/x/net/proxy"
)

// dialer reaches chat servers, straight or through a SOCKS proxy.
type dialer struct {
	direct net.Dialer
	socks  string // HOST:PORT, or empty
}

func newDialer(c *Config) *dialer {
	d := &dialer{socks: c.SOCKS}
	if c.Local.IsValid() {
		d.direct.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.Local, 0))
	}
	return d
}

// Try connects to the address of a chat server as a session would, and closes the connection. The error may hold addresses.
func (c *Config) Try(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := newWay(c).dial(ctx, address, "try")
	if err != nil {
		return err
	}
	return conn.Close()
}

// dial connects to a chat server. With a SOCKS proxy the name goes there unresolved, and isolation is user and password:
// what has the same one may share a circuit (RFC 1929; at most 255 bytes).
func (d *dialer) dial(ctx context.Context, address, isolation string) (net.Conn, error) {
	if d.socks == "" {
		return d.direct.DialContext(ctx, "tcp", address)
	}
	through, err := proxy.SOCKS5("tcp", d.socks, &proxy.Auth{User: isolation, Password: isolation}, &d.direct)
	if err != nil {
		return nil, err
	}
	dialer, ok := through.(proxy.ContextDialer)
	if !ok {
		return nil, errors.New("SOCKS dialer: takes no context")
	}
	return dialer.DialContext(ctx, "tcp", address)
}
