package mediator_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/rs/zerolog"

	"openmediator/access"
	"openmediator/d2m"
	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/reflect"
	"openmediator/reflect/memstore"
)

// gate is the real Access, with what it was asked and an error that it may be made to answer.
type gate struct {
	*access.Access
	t    testing.TB
	list string
	dir  string

	mu    sync.Mutex
	asked []d2m.GroupID
	fail  error
}

func newGate(t testing.TB, mode access.Mode) *gate {
	t.Helper()
	dir := t.TempDir()
	g := &gate{t: t, list: filepath.Join(dir, "list"), dir: filepath.Join(dir, "invitations")}
	if err := os.WriteFile(g.list, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	g.Access, err = access.New(access.Options{Mode: mode, List: g.list, Invitations: g.dir, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *gate) Admit(group d2m.GroupID, stored bool, path string) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, group)
	if g.fail != nil {
		return false, g.fail
	}
	return g.Access.Admit(group, stored, path)
}

// invite returns who the identity is with a code in its URL.
func (g *gate) invite(id identity) identity {
	g.t.Helper()
	code, err := g.Invitations().Create(time.Now().Add(time.Hour), time.Now())
	if err != nil {
		g.t.Fatal(err)
	}
	return id.at("/mediator//" + code.Path())
}

// put has a line of the list say something of a group.
func (g *gate) put(id identity, verdict access.Verdict) {
	g.t.Helper()
	if _, err := access.Edit(g.list, id.group, verdict); err != nil {
		g.t.Fatal(err)
	}
}

// invitations returns how many there are.
func (g *gate) invitations() int {
	g.t.Helper()
	all, err := g.Invitations().List()
	if err != nil {
		g.t.Fatal(err)
	}
	return len(all)
}

// startGated runs a server over pipes that asks a gate.
func startGated(t testing.TB, g *gate, store reflect.Store) *testServer {
	t.Helper()
	config := mediator.DefaultConfig()
	config.Access = g
	s := startServer(t, listen.NewPipe(), store, config)
	t.Cleanup(g.Watch(s.RefuseDenied))
	return s
}

// ended reads up to the end, which has to come within a minute, and returns how the server closed.
func (d *device) ended() (code d2m.CloseCode, reason string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		if _, _, err := d.ws.Read(ctx); err != nil {
			var closed websocket.CloseError
			errors.As(err, &closed)
			return d2m.CloseCode(closed.Code), closed.Reason
		}
	}
}

// refusedAccess fails if a device is not refused in the one way that there is.
func (s *testServer) refusedAccess(id identity, device d2m.DeviceID, expected d2m.SlotState) {
	s.t.Helper()
	d := s.dial(id)
	d.send(d.hello(expect[d2m.ServerHello](d), device, expected))
	if code, reason := d.ended(); code != d2m.CloseProtocolError || reason != "this server does not accept this group" {
		s.t.Errorf("ended with %d %q", code, reason)
	}
}

// Before a right response nobody sees whether a group exists, is allowed, denied or invited: the same messages, the same
// close, and the Access has not been asked (B1, B5, B6).
func TestB6_AccessIsNotAskedBeforeARightResponse(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		g := newGate(t, access.Invite)
		allowed, denied, stored, stranger := newIdentity(t), newIdentity(t), newIdentity(t), newIdentity(t)
		g.put(allowed, access.Allowed)
		g.put(stored, access.Allowed)
		s := startGated(t, g, memstore.New())
		time.Sleep(5 * time.Second) // the list is read again
		s.login(stored, 1, d2m.SlotNew)
		g.put(denied, access.Denied)
		time.Sleep(5 * time.Second)
		invited := g.invite(newIdentity(t))
		wrong := invited
		wrong.base = "/i/" + strings.Repeat("a", access.CodeSize)
		g.asked = nil

		store := s.memory()
		store.Fail(func(op memstore.Op, group d2m.GroupID) error {
			if op != memstore.OpUsage { // that is looked at all the time, for nobody
				t.Errorf("the store was asked for %v", op)
			}
			return nil
		})
		defer store.Fail(nil)
		var want string
		for _, id := range []identity{allowed, denied, stored, stranger, invited, wrong} {
			began := time.Now()
			d := s.dial(id)
			hello := d.hello(expect[d2m.ServerHello](d), 1, d2m.SlotNew)
			hello.Response[40] ^= 1
			d.send(hello)
			code, reason := d.ended()
			got := fmt.Sprint(code, reason, time.Since(began))
			if want == "" {
				want = got
			}
			if got != want || code != d2m.CloseProtocolError {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		if len(g.asked) != 0 || g.invitations() != 1 {
			t.Errorf("the Access was asked of %d groups, and %d invitations are left", len(g.asked), g.invitations())
		}
	})
}

// A group that is not allowed leaves nothing behind, whatever it expects.
func TestB6_GroupThatIsNotAllowed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		for _, mode := range []access.Mode{access.Known, access.Invite} {
			g := newGate(t, mode)
			s := startGated(t, g, memstore.New())
			id := newIdentity(t)
			for _, base := range []string{"", "/i", "/i/short", "/i/" + strings.Repeat("a", access.CodeSize)} {
				id.base = base
				s.refusedAccess(id, 1, d2m.SlotNew)
				s.refusedAccess(id, 1, d2m.SlotExisting)
			}
			if len(s.storedGroups()) != 0 || s.GroupsInUse() != 0 {
				t.Errorf("%v: a group has come into being", mode)
			}
			g.put(id, access.Allowed)
			time.Sleep(5 * time.Second)
			s.login(id, 1, d2m.SlotNew)
		}
	})
}

// With an invitation one group registers, all its devices come and go without one, and when its last slot is gone it is a
// stranger again. Nothing of it stays with the invitations.
func TestB6_InvitedGroup(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		g := newGate(t, access.Invite)
		s := startGated(t, g, memstore.New())
		id := newIdentity(t)
		invited := g.invite(id)
		a, _ := s.login(invited, 1, d2m.SlotNew)
		synctest.Wait()
		if g.invitations() != 0 {
			t.Error("the invitation is still there")
		}
		s.refusedAccess(newIdentity(t).at(invited.base), 1, d2m.SlotNew)
		s.login(id, 2, d2m.SlotNew)
		s.login(invited, 3, d2m.SlotNew)
		for device := d2m.DeviceID(3); device > 0; device-- {
			a.send(d2m.DropDevice{DeviceID: device})
			await[d2m.DropDeviceAck](a.device)
		}
		a.expectClose(d2m.CloseDropped)
		synctest.Wait()
		s.refusedAccess(id, 1, d2m.SlotNew)
		s.refusedAccess(invited, 1, d2m.SlotNew)
		entries, err := os.ReadDir(g.dir)
		if err != nil || len(entries) != 0 {
			t.Errorf("left over: %v, %v", entries, err)
		}
	})
}

// at returns the identity with another base path.
func (id identity) at(base string) identity {
	id.base = base
	return id
}

// Two groups, and several devices of each, come with one code at once: those of one are in, the others out.
func TestB6_RaceForAnInvitation(t *testing.T) {
	for range 10 {
		inBubble(t, func(t *testing.T) {
			g := newGate(t, access.Invite)
			s := startGated(t, g, memstore.New())
			first := g.invite(newIdentity(t))
			second := newIdentity(t).at(first.base)
			var mu sync.Mutex
			in := make(map[d2m.GroupID]int)
			var all sync.WaitGroup
			for device := range d2m.DeviceID(4) {
				for _, id := range []identity{first, second} {
					all.Go(func() {
						d := s.dial(id)
						code := d.tryLogin(device, d2m.SlotNew)
						if code != 0 && code != d2m.CloseProtocolError {
							t.Errorf("ended with %d", code)
						}
						mu.Lock()
						defer mu.Unlock()
						if code == 0 {
							in[id.group]++
						}
					})
				}
			}
			all.Wait()
			if len(in) != 1 || len(s.storedGroups()) != 1 {
				t.Errorf("in: %d groups, stored: %d; want 1", len(in), len(s.storedGroups()))
			}
			for _, n := range in {
				if n != 4 {
					t.Errorf("of the group that is in, %d devices are, want 4", n)
				}
			}
		})
	}
}

// The server dies after the invitation was used and before the device is registered: after the restart no other group gets
// in with it, and that one does.
func TestB6_CrashBetweenInvitationAndRegistration(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		g := newGate(t, access.Invite)
		store := memstore.New()
		s := startGated(t, g, store)
		id := g.invite(newIdentity(t))
		store.Fail(func(op memstore.Op, _ d2m.GroupID) error {
			if op == memstore.OpCommit {
				return reflect.ErrUnavailable
			}
			return nil
		})
		s.refused(id, 1, d2m.SlotNew, d2m.CloseInternal)

		again := startGated(t, newGateLike(g), store.Clone())
		again.refusedAccess(newIdentity(t).at(id.base), 1, d2m.SlotNew)
		again.login(id, 1, d2m.SlotNew)
		synctest.Wait()
		if g.invitations() != 0 {
			t.Error("the invitation is still there")
		}
	})
}

// newGateLike is the gate after a restart.
func newGateLike(g *gate) *gate {
	g.t.Helper()
	again := &gate{t: g.t, list: g.list, dir: g.dir}
	var err error
	again.Access, err = access.New(access.Options{Mode: g.Mode(), List: g.list, Invitations: g.dir, Log: zerolog.Nop()})
	if err != nil {
		g.t.Fatal(err)
	}
	return again
}

// A group that is denied while it is connected is closed with the same code, and no other is.
func TestB6_DeniedWhileConnected(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		g := newGate(t, access.Open)
		s := startGated(t, g, memstore.New())
		id, other := newIdentity(t), newIdentity(t)
		a, _ := s.login(id, 1, d2m.SlotNew)
		b, _ := s.login(id, 2, d2m.SlotNew)
		c, _ := s.login(other, 1, d2m.SlotNew)
		stranger := s.dial(id) // has not shown that it belongs to the group, so it must not see a difference
		hello := expect[d2m.ServerHello](stranger)
		g.put(id, access.Denied)
		for _, d := range []*registered{a, b} {
			if code, reason := d.ended(); code != d2m.CloseProtocolError || reason != "this server does not accept this group" {
				t.Errorf("ended with %d %q", code, reason)
			}
		}
		c.send(d2m.GetDevicesInfo{})
		await[d2m.DevicesInfo](c.device)
		wrong := stranger.hello(hello, 1, d2m.SlotExisting)
		wrong.Response[40] ^= 1
		stranger.send(wrong)
		if code, reason := stranger.ended(); code != d2m.CloseProtocolError || !strings.Contains(reason, "response does not match") {
			t.Errorf("stranger: ended with %d %q", code, reason)
		}
		s.refusedAccess(id, 1, d2m.SlotExisting)
		g.put(id, access.Allowed)
		time.Sleep(5 * time.Second)
		s.login(id, 1, d2m.SlotExisting) // nothing was lost
	})
}

// deniedMeanwhile is an Access that changes its mind as soon as it has answered.
type deniedMeanwhile struct{ *gate }

func (deniedMeanwhile) Permits(d2m.GroupID) bool { return false }

func TestB6_DeniedWhileRegistering(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		config := mediator.DefaultConfig()
		config.Access = deniedMeanwhile{newGate(t, access.Open)}
		s := startServer(t, listen.NewPipe(), memstore.New(), config)
		s.refusedAccess(newIdentity(t), 1, d2m.SlotNew)
	})
}

// Another Access in the configuration holds for those who are connected, too.
func TestB6_AccessIsReconfigured(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		g := newGate(t, access.Known)
		s := startInBubble(t)
		id, other := newIdentity(t), newIdentity(t)
		g.put(id, access.Allowed)
		a, _ := s.login(id, 1, d2m.SlotNew)
		b, _ := s.login(other, 1, d2m.SlotNew)
		config := mediator.DefaultConfig()
		config.Access = newGateLike(g)
		if err := s.Reconfigure(config); err != nil {
			t.Fatal(err)
		}
		b.expectClose(d2m.CloseProtocolError)
		s.refusedAccess(other, 1, d2m.SlotExisting)
		a.send(d2m.GetDevicesInfo{})
		await[d2m.DevicesInfo](a.device)
		if err := s.Reconfigure(mediator.DefaultConfig()); err != nil {
			t.Fatal(err)
		}
		s.login(other, 1, d2m.SlotExisting)
	})
}

// When it is not known whether a group is invited, it is told that the fault is the server's, and the log says why and names
// nobody.
func TestB42_InvitationsThatFail(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var log logBuffer
		g := newGate(t, access.Invite)
		config := mediator.DefaultConfig()
		config.Access, config.Log = g, zerolog.New(&log)
		s := startServer(t, listen.NewPipe(), memstore.New(), config)
		id := g.invite(newIdentity(t))
		g.fail = errors.New("input/output error")
		s.refused(id, 1, d2m.SlotNew, d2m.CloseInternal)
		g.fail = nil
		s.refusedAccess(newIdentity(t), 1, d2m.SlotNew)
		s.login(id, 1, d2m.SlotNew)
		if lines := log.lines("input/output error"); len(lines) != 1 {
			t.Errorf("log: %q", log.lines(""))
		}
		code, _ := access.CodeInPath(id.path())
		for _, secret := range []string{string(code), hex.EncodeToString(id.group[:])[:8]} {
			if lines := log.lines(secret); len(lines) != 0 {
				t.Errorf("the log holds %s: %q", secret, lines)
			}
		}
	})
}

// Who tries codes is limited like whoever logs in.
func TestB44_InvitationAttemptsOfOneAddress(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		g := newGate(t, access.Invite)
		config := mediator.DefaultConfig()
		config.Access = g
		config.MaxAddressUpgrades, config.AddressUpgradeBurst = 6, 20
		s := startServer(t, listen.NewPipe(), memstore.New(), config).from(attacker)
		for range 20 {
			s.refusedAccess(newIdentity(t).at("/i/"+strings.Repeat("a", access.CodeSize)), 1, d2m.SlotNew)
			synctest.Wait()
		}
		if _, status, _ := s.tryWire(g.invite(newIdentity(t))); status != http.StatusTooManyRequests {
			t.Errorf("answered with %d", status)
		}
		if len(g.asked) != 20 || slices.Contains(g.asked, d2m.GroupID{}) {
			t.Errorf("asked %d times", len(g.asked))
		}
	})
}
