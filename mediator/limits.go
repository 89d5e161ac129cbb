package mediator

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
)

// validateLimits names the first limit that is out of its range.
func (c *Config) validateLimits() error {
	for _, count := range []struct {
		what       string
		value, low int
	}{
		{"connections not logged in", c.MaxUnauthenticated, 0},
		{"connections per group", c.MaxGroupConnections, 0},
		{"connections per address", c.MaxAddressConnections, 0},
		{"connections not logged in per address", c.MaxAddressUnauthenticated, 0},
		{"connections opened per address and minute", c.MaxAddressUpgrades, 0},
		{"connections opened per address at once", c.AddressUpgradeBurst, 1},
		{"new groups per address and hour", c.MaxAddressGroups, 0},
		{"new groups per address at once", c.AddressGroupBurst, 1},
	} {
		if count.value < count.low {
			return fmt.Errorf("%s: %d is below %d", count.what, count.value, count.low)
		}
	}
	if c.MessageTimeout < time.Second || c.MessageTimeout > time.Hour {
		return fmt.Errorf("message timeout: %v is not within 1s and 1h", c.MessageTimeout)
	}
	return nil
}

// leastUnauthenticated is how many connections that are not logged in a server takes, however few connections it takes.
const leastUnauthenticated = 16

// resolveLimits puts numbers where 0 stands for one that follows from others, or for none.
func (c Config) resolveLimits() Config {
	if c.MaxUnauthenticated == 0 {
		c.MaxUnauthenticated = max(leastUnauthenticated, c.MaxConnections/4)
	}
	if c.MaxGroupConnections == 0 {
		c.MaxGroupConnections = 4 * c.Group.MaxSlots
	}
	for _, limit := range []*int{&c.MaxAddressConnections, &c.MaxAddressUnauthenticated} {
		if *limit == 0 {
			*limit = math.MaxInt
		}
	}
	return c
}

// stage is how far a connection has come.
type stage uint8

const (
	stageRequest  stage = iota // accepted: its request is awaited, or is being answered
	stageStranger              // upgraded
	stageMember                // registered
	stages
)

// limits counts who is there. Its lock is taken last.
type limits struct {
	// fixed
	key [32]byte // of the addresses

	refused [limitKinds]atomic.Int64

	mu     sync.Mutex
	config *Config // resolved; that of addressTable, too
	guests [stages]int
	groups map[d2m.GroupID]int // connections
	addressTable
}

func newLimits(config Config, key [32]byte) *limits {
	resolved := config.resolveLimits()
	return &limits{
		config:       &resolved,
		key:          key,
		groups:       make(map[d2m.GroupID]int),
		addressTable: newAddressTable(&resolved),
	}
}

// reconfigure puts other limits in place. Who is there stays, though it be too many.
func (l *limits) reconfigure(config Config, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*l.config = config.resolveLimits()
	l.retune(now)
}

// guest is a connection as the limits see it. The limits' lock guards it.
type guest struct {
	limits  *limits
	address *address // nil without limits of one
	stage   stage
	over    bool
	group   *d2m.GroupID // nil before it is logged in
	cut     *time.Timer  // ends it if it stays as it is
}

// arrive counts a connection that has been accepted, until end. It reports false if there is no room for it.
func (l *limits) arrive(remote string) (*guest, bool) {
	key := l.keyOf(remote)
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.enter(key)
	if kind := l.fullOf(a, stageRequest, limitRequests, limitAddressRequests); kind != limitNone {
		l.refuse(kind, a)
		return nil, false
	}
	return l.add(a, stageRequest), true
}

// name makes the connection that of an address, which its proxy has told. The error says that there is no room for it.
func (g *guest) name(remote string) error {
	l := g.limits
	key := l.keyOf(remote)
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.enter(key)
	if a == nil || g.over {
		l.settle(a, time.Now())
		return nil
	}
	if a.guests[stageRequest] >= l.config.MaxAddressUnauthenticated {
		return l.refuse(limitAddressRequests, a)
	}
	a.guests[stageRequest]++
	g.address = a
	return nil
}

// admit counts a connection that asks for its upgrade, until end.
func (l *limits) admit(remote string) (*guest, error) {
	key := l.keyOf(remote)
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.enter(key)
	if kind := l.fullOf(a, stageStranger, limitUnauthenticated, limitAddressUnauthenticated); kind != limitNone {
		return nil, l.refuse(kind, a)
	}
	if a == nil {
		return l.add(a, stageStranger), nil
	}
	if a.guests[stageStranger]+a.guests[stageMember] >= l.config.MaxAddressConnections {
		return nil, l.refuse(limitAddressConnections, a)
	}
	if wait := takeToken(a.upgrades, time.Now()); wait > 0 {
		refusal := l.refuse(limitAddressUpgrades, a)
		refusal.after = wait
		return nil, refusal
	}
	return l.add(a, stageStranger), nil
}

// fullOf returns the limit that a further guest at a stage would exceed. l.mu is held.
func (l *limits) fullOf(a *address, at stage, inAll, ofAddress limitKind) limitKind {
	switch {
	case l.guests[at] >= l.config.MaxUnauthenticated:
		return inAll
	case a != nil && a.guests[at] >= l.config.MaxAddressUnauthenticated:
		return ofAddress
	}
	return limitNone
}

// refuse counts a refusal. l.mu is held.
func (l *limits) refuse(kind limitKind, a *address) *refusal {
	l.refused[kind].Add(1)
	l.settle(a, time.Now())
	return &refusal{kind: kind, after: retryConnection}
}

// add counts a guest. l.mu is held.
func (l *limits) add(a *address, at stage) *guest {
	l.guests[at]++
	if a != nil {
		a.guests[at]++
	}
	return &guest{limits: l, address: a, stage: at}
}

// limitStay cuts a guest off that has not come to the next stage in time, whatever it is still being told: taking that byte
// by byte would keep it for as long as it likes (B21).
func (g *guest) limitStay(d time.Duration, cut func() error) {
	g.limits.mu.Lock()
	defer g.limits.mu.Unlock()
	if g.stage != stageMember && !g.over {
		g.cut = time.AfterFunc(d, func() { cut() })
	}
}

// login counts the connection for its group, to which it has proved that it belongs.
func (g *guest) login(group d2m.GroupID) error {
	l := g.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.groups[group] >= l.config.MaxGroupConnections {
		l.refused[limitGroupConnections].Add(1)
		return closing{tooManyOfGroup}
	}
	l.groups[group]++
	g.group = &group
	return nil
}

// newGroup counts a group that comes into being.
func (g *guest) newGroup() error {
	l := g.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	if g.address != nil && takeToken(g.address.groups, time.Now()) > 0 {
		l.refused[limitAddressGroups].Add(1)
		return closing{tooManyNewGroups}
	}
	return nil
}

// register notes that the connection has registered its device.
func (g *guest) register() {
	l := g.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	if !g.over {
		g.move(-1)
		g.stage = stageMember
		g.move(1)
	}
	g.stopCut()
}

// move counts the guest n times at its stage. limits.mu is held.
func (g *guest) move(n int) {
	g.limits.guests[g.stage] += n
	if g.address != nil {
		g.address.guests[g.stage] += n
	}
}

// stopCut lets the guest stay. limits.mu is held.
func (g *guest) stopCut() {
	if g.cut != nil {
		g.cut.Stop()
		g.cut = nil
	}
}

// end takes the guest out of all counts. Further calls do nothing.
func (g *guest) end() {
	l := g.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	if g.over {
		return
	}
	g.over = true
	g.stopCut()
	g.move(-1)
	if g.group != nil {
		if l.groups[*g.group]--; l.groups[*g.group] == 0 {
			delete(l.groups, *g.group)
		}
	}
	l.settle(g.address, time.Now())
}

// How connections end that are logged in and over a limit. 1001 makes apps try again later, and delete nothing.
var (
	tooManyOfGroup   = devicegroup.Close{Code: d2m.CloseGoingAway, Reason: "too many connections of this group"}
	tooManyNewGroups = devicegroup.Close{Code: d2m.CloseGoingAway, Reason: "too many new groups from this address"}
)

// retryConnection is what a client is told to wait that was refused for the number of connections.
const retryConnection = 10 * time.Second

// refusal is why an upgrade is not granted.
type refusal struct {
	kind  limitKind
	after time.Duration // when another try may do
}

func (r *refusal) Error() string { return "too many " + r.kind.String() }

// refuse answers a request for an upgrade that is not granted.
func refuse(w http.ResponseWriter, err error) {
	status, after := http.StatusServiceUnavailable, retryStopping
	var over *refusal
	if errors.As(err, &over) {
		status, after = http.StatusTooManyRequests, over.after
	}
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(after.Seconds()))))
	http.Error(w, err.Error(), status)
}
