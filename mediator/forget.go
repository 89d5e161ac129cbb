package mediator

import (
	"context"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
	"openmediator/reflect"
)

// How connections end whose slot the operator has removed, alone or with its group.
var (
	forgotten = devicegroup.Close{Code: d2m.CloseDropped, Reason: "group removed by the operator of the server"}
	dropped   = devicegroup.Close{Code: d2m.CloseDropped, Reason: "dropped by the operator of the server"}
)

// Forget drops all slots of a group and all that is stored for it, and closes its connections with 4113. It returns when that
// is durable, and reports whether there was such a group. The group may come into being again, if its devices are let in.
func (s *Server) Forget(ctx context.Context, group d2m.GroupID) (found bool, err error) {
	return s.change(ctx, group, func(core *devicegroup.Group) bool { return core.Forget(time.Now(), forgotten) })
}

// Drop frees the slot of one device, with all that waits for it, and closes its connection with 4113. It returns when that is
// durable, and reports whether there was such a slot. The device may register anew, if it is let in.
func (s *Server) Drop(ctx context.Context, group d2m.GroupID, device d2m.DeviceID) (found bool, err error) {
	return s.change(ctx, group, func(core *devicegroup.Group) bool { return core.Drop(time.Now(), device, dropped) })
}

// DropNamed is Drop by the pseudonyms of a group and of its slot (see Pseudonym and SlotPseudonym).
func (s *Server) DropNamed(ctx context.Context, group, slot string) (found bool, err error) {
	ids, err := storedGroups(s.store)
	if err != nil {
		return false, err
	}
	for _, id := range ids {
		if s.Pseudonym(id) != group {
			continue
		}
		state, err := s.look(id)
		if err != nil {
			return false, err
		}
		for _, d := range state.Devices {
			if s.SlotPseudonym(id, d.Device) == slot {
				return s.Drop(ctx, id, d.Device)
			}
		}
	}
	return false, nil
}

// change does something to a group that devices need not be connected to, and waits until it is durable. what reports whether
// it has done anything.
func (s *Server) change(ctx context.Context, group d2m.GroupID, what func(*devicegroup.Group) bool) (found bool, err error) {
	g := s.groups.enter(group)
	defer s.groups.exit(g)
	done, err := g.change(what)
	if done == nil || err != nil {
		return false, err
	}
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
	case <-s.stop:
		err = errStopping
	}
	return true, err
}

// waiter waits until what was done to a group is stored.
type waiter struct {
	mark uint64 // that the group's core has to reach
	done chan<- error
}

// change does something. The channel gets the store's answer; it is nil if nothing was done.
func (g *group) change(what func(*devicegroup.Group) bool) (<-chan error, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.claim(); err != nil {
		return nil, err
	}
	if !what(g.core) {
		return nil, nil
	}
	done := make(chan error, 1)
	g.waiters = append(g.waiters, waiter{g.core.Mark(), done})
	g.settle()
	return done, nil
}

// answer tells those who wait that what they did is stored, as far as it is. g.mu is held.
func (g *group) answer() {
	rest := g.waiters[:0]
	for _, w := range g.waiters {
		if w.mark > g.core.Durable() {
			rest = append(rest, w)
			continue
		}
		w.done <- nil
	}
	g.waiters = rest
}

// disappoint tells those who wait that it is not known whether what they did is stored. g.mu is held.
func (g *group) disappoint() {
	for _, w := range g.waiters {
		w.done <- reflect.ErrUnavailable
	}
	g.waiters = nil
}

// EraseGroup removes a group from a store that no server has open. It reports whether there was such a group.
func EraseGroup(store reflect.Store, group d2m.GroupID) (found bool, err error) {
	snapshot, err := store.Claim(group)
	if err != nil {
		return false, err
	}
	defer store.Release(group, snapshot.Epoch)
	if snapshot.State == nil {
		return false, nil
	}
	return true, store.Commit([]*reflect.Batch{{Group: group, Epoch: snapshot.Epoch, Erase: true}})[0]
}
