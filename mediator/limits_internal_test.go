package mediator

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func newTestLimits() *limits {
	config := DefaultConfig()
	config.MaxConnections = 1 << 30
	return newLimits(config, [32]byte{1, 2, 3})
}

// An address is forgotten when it has no connection and its rates are as if it had never been here: one connection of 600
// a minute is made up for in a tenth of a second, one group of 60 an hour in a minute.
func TestB44_AddressesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newTestLimits()
		visit := func(group bool) *guest {
			t.Helper()
			g, err := l.admit("192.0.2.1:50000")
			if err != nil {
				t.Fatal(err)
			}
			if group {
				if err := g.newGroup(); err != nil {
					t.Fatal(err)
				}
			}
			return g
		}
		expect := func(addresses int) {
			t.Helper()
			l.sweep(time.Now())
			if len(l.addresses) != addresses {
				t.Errorf("%d addresses are known, want %d", len(l.addresses), addresses)
			}
		}
		g := visit(false)
		time.Sleep(24 * time.Hour)
		expect(1)
		g.end()
		expect(0)
		visit(false).end()
		expect(1)
		time.Sleep(time.Second)
		expect(0)
		visit(true).end()
		time.Sleep(59 * time.Second)
		expect(1)
		time.Sleep(time.Second)
		expect(0)
		if request, ok := l.arrive("192.0.2.1:50000"); !ok {
			t.Error("refused")
		} else {
			request.end()
			request.end()
		}
		expect(0)
		if l.guests != [stages]int{} || l.idle.Len() != 0 {
			t.Errorf("%v guests, %d idle addresses are left", l.guests, l.idle.Len())
		}
	})
}

// Addresses without connections are at most 32,768: beyond that the oldest is forgotten, and nobody refused. Addresses
// with connections stay.
func TestB44_AddressesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newTestLimits()
		first, err := l.admit("[2001:db8::1]:50000")
		if err != nil {
			t.Fatal(err)
		}
		for i := range uint32(maxIdleAddresses + 5000) {
			var ip [16]byte
			ip[0] = 0x2a
			binary.BigEndian.PutUint32(ip[4:], i)
			g, err := l.admit(netip.AddrPortFrom(netip.AddrFrom16(ip), 50000).String())
			if err != nil {
				t.Fatal(err)
			}
			g.end()
		}
		if n := len(l.addresses); n != maxIdleAddresses+1 {
			t.Errorf("%d addresses are known, want %d", n, maxIdleAddresses+1)
		}
		if first.address != l.addresses[l.keyOf("[2001:db8::1]:50000")] {
			t.Error("an address with a connection was forgotten")
		}
		time.Sleep(time.Second)
		l.sweep(time.Now())
		if n := len(l.addresses); n != 1 {
			t.Errorf("%d addresses are known after a while, want 1", n)
		}
	})
}

// Nothing in the table says which addresses are there: the same ones have other keys with each start.
func TestB42_AddressesAreHashed(t *testing.T) {
	one, other := newTestLimits(), newLimits(DefaultConfig(), [32]byte{4})
	seen := make(map[addressKey]string)
	for i := range 256 {
		remote := fmt.Sprintf("192.0.2.%d:50000", i)
		key := one.keyOf(remote)
		if key == other.keyOf(remote) {
			t.Errorf("%s has the same key in two servers", remote)
		}
		if before, ok := seen[key]; ok {
			t.Errorf("%s and %s have the same key", remote, before)
		}
		seen[key] = remote
	}
}

func TestB44_AddressOf(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:1":                 "192.0.2.1/32",
		"[::ffff:192.0.2.1]:1":        "192.0.2.1/32",
		"[64:ff9b::c000:201]:1":       "192.0.2.1/32",
		"[2001:db8:1:2:3:4:5:6]:1":    "2001:db8:1:2::/64",
		"[fe80::1%eth0]:1":            "fe80::/64",
		"[2001:db8:1:2:3:4:5:6%x]:65": "2001:db8:1:2::/64",
		"127.0.0.1:1":                 "",
		"127.8.9.10:1":                "",
		"[::1]:1":                     "",
		"[::ffff:127.0.0.1]:1":        "",
		"":                            "",
		"@":                           "",
		"/run/socket":                 "",
		"pipe":                        "",
		"192.0.2.1":                   "",
		"192.0.2.1:70000":             "",
	} {
		prefix, ok := addressOf(remote)
		if ok != (want != "") || ok && prefix.String() != want {
			t.Errorf("%q counts as %v (%t), want %q", remote, prefix, ok, want)
		}
	}
}
