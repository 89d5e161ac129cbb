package mediator

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/realclientip/realclientip-go"
)

// Front says which proxies in front of the server are believed when they say whom they stand for. That is used for the limits
// of addresses and for nothing else. Such a proxy has no limits of its own address. The zero value believes nobody.
type Front struct {
	// Proxies add the header whose name is Header to each request. Other peers' headers mean nothing.
	Proxies Peers

	// Header is X-Forwarded-For, if empty, or Forwarded. A proxy sets the one and passes the other on as it came from the
	// client, so there is no looking at both.
	Header string

	// ProxyProtocol are proxies whose connections begin with a header of the PROXY protocol, version 1 or 2; one without is
	// refused, for anybody could send it through a proxy that does not.
	ProxyProtocol Peers
}

// The headers that Front knows.
const (
	XForwardedFor = "X-Forwarded-For"
	Forwarded     = "Forwarded"
)

func (f *Front) validate() error {
	if f.Header != "" && f.Header != XForwardedFor && f.Header != Forwarded {
		return fmt.Errorf("forwarded header: %q is neither %s nor %s", f.Header, XForwardedFor, Forwarded)
	}
	return nil
}

// isProxy tells whether a peer is one of them.
func (f *Front) isProxy(peer string) bool {
	return f.Proxies.Contains(peer) || f.ProxyProtocol.Contains(peer)
}

// client returns the address of whom a request is from: the last one named that is not a proxy's itself, or the peer's. It is
// empty if it has no limits. With evident, somebody has named a client who is not believed.
func (f *Front) client(peer string, header http.Header) (client string, evident bool) {
	if !f.Proxies.Contains(peer) {
		if f.isProxy(peer) {
			peer = ""
		}
		return peer, header.Get(XForwardedFor) != "" || header.Get(Forwarded) != ""
	}
	name := f.Header
	if name == "" {
		name = XForwardedFor
	}
	strategy := realclientip.Must(realclientip.NewRightmostTrustedRangeStrategy(name, f.Proxies.ranges()))
	if ip := strategy.ClientIP(header, peer); ip != "" {
		return net.JoinHostPort(ip, "0"), false
	}
	return "", false
}

// Peers is a set of peers.
type Peers struct {
	prefixes []netip.Prefix
	unix     bool
}

// ParsePeers reads IP addresses, prefixes such as 10.0.0.0/8, and the word unix for all peers on unix sockets.
func ParsePeers(texts []string) (p Peers, err error) {
	for _, text := range texts {
		if text == "unix" {
			p.unix = true
			continue
		}
		prefix, err := parsePrefix(text)
		if err != nil {
			return Peers{}, err
		}
		p.prefixes = append(p.prefixes, prefix)
	}
	return p, nil
}

func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return prefix, fmt.Errorf("%q is neither an IP address such as 10.0.0.5, nor a prefix such as 10.0.0.0/8, nor the word unix", text)
	case prefix.Bits() == 0:
		return prefix, fmt.Errorf("%q is everybody: then anybody could name any address", text)
	case prefix != prefix.Masked():
		return prefix, fmt.Errorf("%q has bits behind its prefix: is %v meant?", text, prefix.Masked())
	}
	return prefix, nil
}

// Contains tells whether a peer is in the set. Its address is written as package net does; a peer on a unix socket has none.
func (p *Peers) Contains(peer string) bool {
	at, err := netip.ParseAddrPort(peer)
	if err != nil {
		return p.unix && (peer == "" || strings.HasPrefix(peer, "@") || strings.HasPrefix(peer, "/"))
	}
	addr := at.Addr().Unmap().WithZone("")
	for _, prefix := range p.prefixes {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

func (p *Peers) ranges() (ranges []net.IPNet) {
	for _, prefix := range p.prefixes {
		ranges = append(ranges, net.IPNet{
			IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen()),
		})
	}
	return ranges
}

// announcedConn is a connection that begins with a header of the PROXY protocol, which is read with the first use.
type announcedConn struct{ *proxyproto.Conn }

// announced returns c with its header taken away, and with the address from there. The request counts for that then.
func announced(c net.Conn, request *guest) net.Conn {
	return announcedConn{proxyproto.NewConn(c,
		proxyproto.WithPolicy(proxyproto.REQUIRE),
		proxyproto.SetReadHeaderTimeout(requestTimeout),
		proxyproto.ValidateHeader(func(header *proxyproto.Header) error {
			if header.Command.IsLocal() || header.SourceAddr == nil {
				return nil
			}
			return request.name(header.SourceAddr.String())
		}),
	)}
}

// NetConn returns the connection below, like tls.Conn does.
func (c announcedConn) NetConn() net.Conn { return c.Raw() }

// Write goes around the header: a header that did not come in time would make it an error that is over time itself.
func (c announcedConn) Write(p []byte) (int, error) { return c.Raw().Write(p) }

// CloseWrite ends the sending side, if the connection below can.
func (c announcedConn) CloseWrite() error { return closeWrite(c.Raw()) }

// How a header of the PROXY protocol begins, in as many bytes as a read for a TLS record asks for.
var announcements = [][]byte{[]byte("PROXY"), []byte("\r\n\r\n\x00")}

// isAnnouncement tells whether a connection begins with such a header.
func isAnnouncement(first []byte) bool {
	for _, begin := range announcements {
		if bytes.HasPrefix(first, begin) {
			return true
		}
	}
	return false
}

// frontInterval is between two lines in the log about a proxy that is not believed.
const frontInterval = time.Hour

// logFront says that there is a proxy in front which is not believed, if somebody has behaved like one. That may have been
// anybody, so it is said seldom.
func (s *Server) logFront(now time.Time, last *time.Time) {
	if !s.proxySeen.Swap(false) || !last.IsZero() && now.Sub(*last) < frontInterval {
		return
	}
	*last = now
	s.config().Log.Warn().Msg("a proxy seems to stand in front and is not trusted, so its address counts for all who come through it; " +
		"if it is yours, name it with --trusted-proxies or --proxy-protocol-from")
}
