package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

// address is where the server accepts connections.
type address struct {
	network string // tcp, unix or systemd
	name    string // HOST:PORT, the path of the socket, or the name of the sockets that systemd passes; empty: all of them
	secure  bool   // connections begin with TLS
}

// String returns an address as it is written in the settings.
func (a address) String() string {
	switch {
	case a.network == "unix":
		return "unix:" + a.name
	case a.network == "systemd" && a.secure:
		return "systemd+tls:" + a.name
	case a.network == "systemd":
		return "systemd:" + a.name
	case a.secure:
		return "wss://" + a.name
	}
	return "ws://" + a.name
}

func parseAddresses(text string) ([]address, error) {
	var all []address
	for part := range strings.SplitSeq(text, ",") {
		a, err := parseAddress(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

func parseAddress(text string) (address, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if err := checkSocketPath(path); err != nil {
			return address{}, fmt.Errorf("%q %w", text, err)
		}
		return address{network: "unix", name: path}, nil
	}
	if name, ok := strings.CutPrefix(text, "systemd:"); ok {
		return address{network: "systemd", name: name}, nil
	}
	if name, ok := strings.CutPrefix(text, "systemd+tls:"); ok {
		return address{network: "systemd", name: name, secure: true}, nil
	}
	name, secure := text, strings.HasPrefix(text, "wss://")
	if strings.Contains(text, "://") {
		u, err := url.Parse(text)
		switch {
		case err != nil:
			return address{}, fmt.Errorf("%q is not a URL", text)
		case u.Scheme != "ws" && u.Scheme != "wss":
			return address{}, fmt.Errorf("%q begins with neither ws:// nor wss://", text)
		case u.User != nil, u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "":
			return address{}, fmt.Errorf("%q has more than a host and a port; every path is served", text)
		}
		name = u.Host
	}
	if _, port, err := net.SplitHostPort(name); err != nil || port == "" {
		return address{}, fmt.Errorf("%q is not ws://HOST:PORT, wss://HOST:PORT, HOST:PORT, unix:PATH or systemd:NAME", text)
	}
	return address{"tcp", name, secure}, nil
}

// resolve looks a host name up, so that what is judged is what is opened later, and refuses what other machines reach
// unless that is allowed. The error is one sentence for the operator, as is that of open.
func (a address) resolve(allowPlaintext bool) (address, error) {
	if a.network != "tcp" {
		return a, nil
	}
	tcp, err := lookUp(a.name)
	if err != nil {
		return a, usage("listen: %v cannot be resolved: %v", a, err)
	}
	if err := a.checkReach(tcp, allowPlaintext); err != nil {
		return a, err
	}
	return address{"tcp", tcp.String(), a.secure}, nil
}

// lookUp resolves HOST:PORT.
func lookUp(address string) (*net.TCPAddr, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return nil, fmt.Errorf("port %q is not a number up to 65535", port)
	}
	tcp, err := net.ResolveTCPAddr("tcp", address)
	return tcp, cause(err)
}

// checkReach refuses what other machines reach without TLS, unless that is allowed.
func (a address) checkReach(at net.Addr, allowPlaintext bool) error {
	tcp, ok := at.(*net.TCPAddr)
	if !ok || a.secure || allowPlaintext || tcp.IP.IsLoopback() {
		return nil
	}
	return usage("listen: %v can be reached from other machines, and connections are not encrypted: listen on 127.0.0.1, "+
		"or with TLS on wss://, or put a proxy that does TLS in front and add --allow-plaintext", a)
}

// open listens on a resolved address.
func (a address) open() (net.Listener, error) {
	if a.network == "unix" {
		if err := a.removeStale(); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen(a.network, a.name)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, a.inUse()
	case err != nil:
		return nil, a.notOpened(err)
	}
	return l, nil
}

func (a address) notOpened(err error) error {
	return fmt.Errorf("listen: %v cannot be opened: %w; choose another address with --listen", a, cause(err))
}

var errInUse = errors.New("in use by another program")

func (a address) inUse() error {
	return fmt.Errorf("listen: %v is %w: end that, or choose another port or path with --listen", a, errInUse)
}

// isFree says whether an address that has been resolved can be opened. A socket that a server has left behind stays.
func (a address) isFree() error {
	if a.network == "unix" {
		switch err := checkSocket(a.name); {
		case errors.Is(err, errInUse):
			return a.inUse()
		case err != nil:
			return a.notOpened(err)
		}
		return nil
	}
	l, err := a.open()
	if err != nil {
		return err
	}
	return l.Close()
}

// isLiteral says whether a HOST:PORT needs no looking up to be judged: the host is an IP address, or empty, which is all of this
// machine's.
func isLiteral(name string) bool {
	host, _, err := net.SplitHostPort(name)
	if err != nil {
		return false
	}
	_, err = netip.ParseAddr(host)
	return err == nil || host == ""
}

// removeStale removes the socket of a server that did not get to remove it.
func (a address) removeStale() error {
	info, err := os.Lstat(a.name)
	if err != nil {
		return nil // open says what is wrong, if anything is
	}
	if info.Mode()&os.ModeSocket == 0 {
		return a.notOpened(errNoSocket)
	}
	conn, err := net.DialTimeout("unix", a.name, time.Second)
	if err == nil {
		conn.Close()
		return a.inUse()
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		os.Remove(a.name) // if that fails, open says so
	}
	return nil
}

// opened is the address that a listener has got, which tells the port where 0 was asked for.
func opened(l net.Listener) address {
	_, secure := l.(secureListener)
	return address{l.Addr().Network(), l.Addr().String(), secure}
}

// secureListener is a listener whose connections begin with TLS, which the server does.
type secureListener struct{ net.Listener }

// cause strips the repetition of the address from an error of package net.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
