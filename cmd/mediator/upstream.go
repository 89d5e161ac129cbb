package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"

	"openmediator/chatproxy"
)

// socksProxy is HOST:PORT of a SOCKS5 proxy.
type socksProxy string

// parseSOCKS reads socks5h://HOST:PORT.
func parseSOCKS(text string) (socksProxy, error) {
	if text == "" {
		return "", nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "":
		return "", fmt.Errorf("%q is not socks5h://HOST:PORT", text)
	case u.Scheme == "socks5":
		return "", fmt.Errorf("%q would look names up here, past the proxy: write socks5h://%s", text, u.Host)
	case u.Scheme != "socks5h":
		return "", fmt.Errorf("%q is not socks5h://HOST:PORT: other kinds of proxies are not known", text)
	case u.User != nil:
		return "", errors.New("no user belongs in it: each device group gets random ones, so that circuits are not shared")
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "":
		return "", fmt.Errorf("%q has more than a host and a port", text)
	}
	if host, port, err := net.SplitHostPort(u.Host); err != nil || host == "" || port == "" {
		return "", fmt.Errorf("%q has no port: Tor's is mostly 9050, as in socks5h://127.0.0.1:9050", text)
	}
	return socksProxy(u.Host), nil
}

// parseLocal reads an address of this machine.
func parseLocal(text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return addr, fmt.Errorf("%q is not an IP address of this machine", text)
	}
	return addr, nil
}

// resolveUpstreams makes what the settings about chat servers say together.
func (s *settings) resolveUpstreams() error {
	upstreams, err := chatproxy.ParseUpstreams(s.upstream, s.upstreamPattern)
	if err != nil {
		return usage("upstream: %v", err)
	}
	s.server.Chat.Upstreams, s.server.Chat.SOCKS, s.server.Chat.Local = upstreams, string(s.socks), s.local
	return nil
}
