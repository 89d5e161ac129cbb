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
	through, err := proxy.SOCKS5("tcp", d.socks, &proxy.Auth{User: isolation, Password: isolation}, nil)
	if err != nil {
		return nil, err
	}
	asker, ok := through.(socksAsker)
	if !ok {
		return nil, errors.New("SOCKS dialer: takes no connection")
	}
	conn, err := d.direct.DialContext(ctx, "tcp", d.socks)
	if err != nil {
		return nil, err
	}
	if _, err := asker.DialWithConn(ctx, conn, "tcp", address); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// socksAsker asks a SOCKS proxy, over a connection to it, for one to an address. Unlike [proxy.ContextDialer] it leaves the
// TCP connection in sight, of which one side can be ended alone.
type socksAsker interface {
	DialWithConn(ctx context.Context, conn net.Conn, network, address string) (net.Addr, error)
}
