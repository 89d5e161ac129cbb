package main

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
)

// checkClash finds two addresses of which only one can be listened on, as far as that is certain without looking a name up.
func (s *settings) checkClash() error {
	for i, a := range s.listen {
		for _, b := range s.listen[:i] {
			switch what := a.clash(b); {
			case what == "":
			case a == b:
				return fmt.Errorf("listen: %v is there twice; leave one of them out", a)
			default:
				return fmt.Errorf("listen: %v needs the %s of %v; leave one of them out, or change it", a, what, b)
			}
		}
	}
	return nil
}

// checkAdminClash is checkClash for the private side.
func (s *settings) checkAdminClash() error {
	for _, a := range s.listen {
		if what := a.clash(address{network: s.admin.network, name: s.admin.name}); what != "" {
			return fmt.Errorf("admin-listen: %v needs the %s of listen, %v; change one of the two", s.admin, what, a)
		}
	}
	return nil
}

// clash returns what two addresses both need, if only one of them can be listened on; else nothing. Some systems would let one have
// a port at all addresses of the machine and the other at one of them, where it takes the first one's connections: nobody
// means that.
func (a address) clash(b address) (what string) {
	if a.network != b.network {
		return ""
	}
	switch a.network {
	case "tcp":
		hostA, portA := place(a.name)
		hostB, portB := place(b.name)
		if portA != 0 && portA == portB && (hostA == hostB || hostA == "" || hostB == "") {
			return "port"
		}
	case "unix":
		if filepath.Clean(a.name) == filepath.Clean(b.name) {
			return "path"
		}
	default:
		if a.name == b.name {
			return "sockets"
		}
	}
	return ""
}

// place returns the host and the port of HOST:PORT, written in one way. No host stands for all addresses of this machine; port 0
// is any that is free, or not known.
func place(name string) (host string, port int) {
	host, service, err := net.SplitHostPort(name)
	if err != nil {
		return "", 0
	}
	if port, err = net.LookupPort("tcp", service); err != nil {
		return "", 0
	}
	ip, err := netip.ParseAddr(host)
	switch ip = ip.Unmap(); {
	case err != nil:
		return strings.ToLower(host), port
	case ip.IsUnspecified():
		return "", port
	}
	return ip.String(), port
}
