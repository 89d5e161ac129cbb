package mediator

import (
	"context"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
	"openmediator/reflect"
)

// forgotten is how the connections of a group end that the operator has removed.
var forgotten = devicegroup.Close{Code: d2m.CloseDropped, Reason: "group removed by the operator of the server"}

// Forget drops all slots of a group and all that is stored for it, and closes its connections with 4113. It returns when that
// is durable, and reports whether there was such a group. The group may come into being again, if its devices are let in.
func (s *Server) Forget(ctx context.Context, group d2m.GroupID) (found bool, err error) {
	g := s.groups.enter(group)
	defer s.groups.exit(g)
	done, err := g.forget()
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

// forget drops all slots. The channel gets the store's answer; it is nil if there are no slots.
func (g *group) forget() (done chan error, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.claim(); err != nil || g.core.Slots() == 0 {
		return nil, err
	}
	done = make(chan error, 1)
	g.forgetting = append(g.forgetting, done)
	g.core.Forget(time.Now(), forgotten)
	g.settle()
	return done, nil
}

// forgot tells those who wait for it that the group is gone, or that this is not known. g.mu is held.
func (g *group) forgot(err error) {
	for _, done := range g.forgetting {
		done <- err
	}
	g.forgetting = nil
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
