package mediator

import (
	"container/list"
	"crypto/hmac"
	"crypto/sha256"
	"net/netip"
	"time"

	"golang.org/x/time/rate"
)

// addressKey stands for an address: a keyed hash, so that the table is no list of who was here. The key is of this start
// and is nowhere but in memory.
type addressKey [16]byte

// maxIdleAddresses is how many addresses are remembered that have no connection, about 10 MiB of them. Beyond it the one
// that has been without the longest is forgotten before its rates are full again: whoever has that many addresses gets no
// more by it than by the addresses themselves, and nobody is refused for it. Addresses with connections are as many as
// there may be connections.
const maxIdleAddresses = 32_768

// address is what is known of one address. It vanishes when nothing is left to be known.
type address struct {
	key              addressKey
	guests           [stages]int
	upgrades, groups *rate.Limiter // nil: no limit
	idle             *list.Element // its place among those without connections, or nil
}

// addressTable holds the addresses that have a connection, or had one lately.
type addressTable struct {
	rates     *Config // what the limits hold now
	addresses map[addressKey]*address
	idle      *list.List // of *address without connections; the first has been there longest
}

func newAddressTable(rates *Config) addressTable {
	return addressTable{rates, make(map[addressKey]*address), list.New()}
}

// enter returns the address with a key, nil for the zero key. Whoever adds no guest to it calls settle.
func (t *addressTable) enter(key addressKey) *address {
	if key == (addressKey{}) {
		return nil
	}
	a := t.addresses[key]
	if a == nil {
		a = &address{
			key:      key,
			upgrades: newLimiter(t.rates.MaxAddressUpgrades, time.Minute, t.rates.AddressUpgradeBurst),
			groups:   newLimiter(t.rates.MaxAddressGroups, time.Hour, t.rates.AddressGroupBurst),
		}
		t.addresses[key] = a
	}
	if a.idle != nil {
		t.idle.Remove(a.idle)
		a.idle = nil
	}
	return a
}

// settle forgets an address, or remembers it for its rates, if it has no connection.
func (t *addressTable) settle(a *address, now time.Time) {
	if a == nil || a.guests != [stages]int{} {
		return
	}
	if a.rested(now) {
		t.forget(a)
		return
	}
	a.idle = t.idle.PushBack(a)
	if t.idle.Len() > maxIdleAddresses {
		t.forget(t.idle.Front().Value.(*address))
	}
}

// sweep forgets the addresses without connections whose rates are full again.
func (t *addressTable) sweep(now time.Time) {
	var next *list.Element
	for e := t.idle.Front(); e != nil; e = next {
		next = e.Next()
		if a := e.Value.(*address); a.rested(now) {
			t.forget(a)
		}
	}
}

func (t *addressTable) forget(a *address) {
	if a.idle != nil {
		t.idle.Remove(a.idle)
	}
	delete(t.addresses, a.key)
}

// rested says whether the rates of an address are as if it had never been here.
func (a *address) rested(now time.Time) bool {
	return isFull(a.upgrades, now) && isFull(a.groups, now)
}

// retune gives the addresses that are known the rates that hold now. What they have used up stays used up.
func (t *addressTable) retune(now time.Time) {
	for _, a := range t.addresses {
		a.upgrades = retune(a.upgrades, newLimiter(t.rates.MaxAddressUpgrades, time.Minute, t.rates.AddressUpgradeBurst), now)
		a.groups = retune(a.groups, newLimiter(t.rates.MaxAddressGroups, time.Hour, t.rates.AddressGroupBurst), now)
	}
}

// retune returns the limiter that old becomes; either may be nil.
func retune(old, wanted *rate.Limiter, now time.Time) *rate.Limiter {
	if old == nil || wanted == nil {
		return wanted
	}
	old.SetLimitAt(now, wanted.Limit())
	old.SetBurstAt(now, wanted.Burst())
	return old
}

func newLimiter(events int, per time.Duration, burst int) *rate.Limiter {
	if events == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(float64(events)/per.Seconds()), burst)
}

func isFull(l *rate.Limiter, now time.Time) bool {
	return l == nil || l.TokensAt(now) >= float64(l.Burst())
}

// takeToken takes one event, or returns how long to wait for it.
func takeToken(l *rate.Limiter, now time.Time) (wait time.Duration) {
	if l == nil {
		return 0
	}
	r := l.ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

// keyOf returns the key of a peer's address, written as package net does; zero if it has no limits.
func (l *limits) keyOf(remote string) (key addressKey) {
	prefix, ok := addressOf(remote)
	if !ok {
		return key
	}
	mac := hmac.New(sha256.New, l.key[:])
	mac.Write([]byte("address"))
	mac.Write(prefix.Addr().AsSlice())
	copy(key[:], mac.Sum(nil))
	return key
}

// translated is where an address translator shows IPv4 addresses to a server that has IPv6 only (RFC 6052).
var translated = netip.MustParsePrefix("64:ff9b::/96")

// addressOf returns what counts as one address: an IPv4 address, or the /64 of an IPv6 address. Loopback and unix sockets
// have none.
func addressOf(remote string) (prefix netip.Prefix, ok bool) {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return prefix, false
	}
	addr := peer.Addr().Unmap().WithZone("")
	if translated.Contains(addr) {
		long := addr.As16()
		addr = netip.AddrFrom4([4]byte(long[12:]))
	}
	if addr.IsLoopback() {
		return prefix, false
	}
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	prefix, err = addr.Prefix(bits)
	return prefix, err == nil
}
