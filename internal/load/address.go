package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"openmediator/client"
)

// Address is where a server is.
type Address struct {
	text    string
	network string // tcp or unix
	name    string // HOST:PORT or a path
	host    string // for the request and TLS
	path    string // that of devices begins with it; ends with a slash
	tls     bool
}

// ParseAddress reads ws://HOST:PORT or wss://HOST:PORT with any path, or unix:PATH. The error is one sentence.
func ParseAddress(text string) (Address, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if path == "" {
			return Address{}, fmt.Errorf("%q has no path", text)
		}
		return Address{text: text, network: "unix", name: path, host: "localhost", path: "/"}, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Hostname() == "" {
		return Address{}, fmt.Errorf("%q is not ws://HOST:PORT, wss://HOST:PORT or unix:PATH", text)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return Address{}, fmt.Errorf("%q has more than a host and a path", text)
	}
	a := Address{text: text, network: "tcp", name: u.Host, host: u.Host, path: u.EscapedPath(), tls: u.Scheme == "wss"}
	if u.Port() == "" {
		port := "80"
		if a.tls {
			port = "443"
		}
		a.name = net.JoinHostPort(u.Hostname(), port)
	}
	if !strings.HasSuffix(a.path, "/") {
		a.path += "/"
	}
	return a, nil
}

// String returns the address as it was given.
func (a Address) String() string { return a.text }

// sources is how many addresses of 127.0.0.0/8 connections on this machine come from: one has about 28,000 ports, and a
// port rests for a minute after its connection.
const sources = 64

// dial connects. n spreads connections over source addresses. The error is a client.UnreachableError.
func (a Address) dial(ctx context.Context, n int) (net.Conn, error) {
	dialer := net.Dialer{}
	if target, err := netip.ParseAddrPort(a.name); err == nil && manyLoopback && target.Addr().Is4() && target.Addr().IsLoopback() {
		dialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+n%sources))}
		dialer.Control = bindWithoutPort
	}
	conn, err := dialer.DialContext(ctx, a.network, a.name)
	if err != nil {
		return nil, unreachable(err)
	}
	if !a.tls {
		return conn, nil
	}
	host, _, err := net.SplitHostPort(a.name)
	if err != nil {
		host = a.name
	}
	secured := tls.Client(conn, &tls.Config{ServerName: host, NextProtos: []string{"http/1.1"}})
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, unreachable(err)
	}
	return secured, nil
}

func unreachable(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return &client.UnreachableError{Err: err}
}
