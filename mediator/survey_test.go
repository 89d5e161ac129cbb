package mediator_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/d2m"
	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/reflect"
	"openmediator/reflect/memstore"
)

// survey returns what a server tells of its groups.
func (s *testServer) survey() map[d2m.GroupID]mediator.GroupState {
	s.t.Helper()
	groups := make(map[d2m.GroupID]mediator.GroupState)
	err := s.Survey(func(g mediator.GroupState) error {
		groups[g.ID] = g
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return groups
}

// What a server tells of a group: connected, away, after a restart, and what a command tells that opens the store by itself.
func TestSurvey(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id, other := newIdentity(t), newIdentity(t)
		a, _ := s.login(id, 1, d2m.SlotNew)
		b, _ := s.login(id, 2, d2m.SlotNew)
		b.leave()
		synctest.Wait()
		time.Sleep(5 * time.Second)
		accepted := time.Now().Truncate(time.Millisecond)
		for i := range 3 {
			a.send(d2m.Reflect{ID: d2m.ReflectID(i), Envelope: make([]byte, 100)})
			await[d2m.ReflectAck](a.device)
			time.Sleep(time.Second)
		}
		c, _ := s.login(other, 1, d2m.SlotNew)
		check := func(what string, g mediator.GroupState, connected int, seen time.Time) {
			t.Helper()
			seen = seen.Truncate(time.Millisecond)
			if g.Slots != 2 || g.Connected != connected || g.Messages != 3 || g.Bytes != 300 || !g.Oldest.Equal(accepted) ||
				!g.Seen.Truncate(time.Millisecond).Equal(seen) {
				t.Errorf("%s: got %+v, want it seen at %v", what, g, seen)
			}
		}
		check("connected", s.survey()[id.group], 1, time.Now())
		if h := s.Holdings(); h.Connections != 2 || h.Groups != 2 {
			t.Errorf("holdings: %+v", h)
		}
		a.leave()
		c.leave()
		synctest.Wait()
		left := time.Now()
		time.Sleep(time.Hour)
		check("away", s.survey()[id.group], 0, left)
		if g := s.survey()[other.group]; g.Slots != 1 || g.Messages != 0 || !g.Oldest.IsZero() {
			t.Errorf("other: %+v", g)
		}
		stop := errors.New("enough")
		if err := s.Survey(func(mediator.GroupState) error { return stop }); err != stop {
			t.Error(err)
		}

		store := s.memory().Clone()
		again := startServer(t, listen.NewPipe(), store, mediator.DefaultConfig())
		check("restarted", again.survey()[id.group], 0, left)
		err := mediator.SurveyStore(store, func(g mediator.GroupState) error {
			if g.ID == id.group {
				check("without a server", g, 0, left)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// A group that is written to while it is looked at is looked at again, and at last left out; a store that fails is an error.
func TestSurveyOfAStoreThatChanges(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		s.login(newIdentity(t), 1, d2m.SlotNew)
		answers := []error{reflect.ErrFenced, reflect.ErrFenced, nil}
		s.memory().Fail(func(op memstore.Op, _ d2m.GroupID) error {
			if op != memstore.OpPeek {
				return nil
			}
			answer := answers[0]
			answers = append(answers[1:], answer)
			return answer
		})
		if groups := s.survey(); len(groups) != 1 {
			t.Errorf("%d groups", len(groups))
		}
		answers = []error{reflect.ErrFenced}
		if groups := s.survey(); len(groups) != 0 {
			t.Errorf("%d groups", len(groups))
		}
		answers = []error{reflect.ErrUnavailable}
		if err := s.Survey(func(mediator.GroupState) error { return nil }); !errors.Is(err, reflect.ErrUnavailable) {
			t.Error(err)
		}
		s.memory().Fail(nil)
	})
}

// Forgetting a group closes its connections with 4113 and leaves nothing of it; other groups do not notice.
func TestB34_ForgetByTheOperator(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id, other := newIdentity(t), newIdentity(t)
		a, _ := s.login(id, 1, d2m.SlotNew)
		b, _ := s.login(id, 2, d2m.SlotNew)
		c, _ := s.login(other, 1, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](a.device)
		b.leave()
		synctest.Wait()
		a.reflect(1, []byte("for b"))
		if found, err := s.Forget(t.Context(), id.group); !found || err != nil {
			t.Fatalf("found: %v, %v", found, err)
		}
		if groups := s.storedGroups(); len(groups) != 1 || groups[0] != other.group {
			t.Errorf("stored: %d groups", len(groups))
		}
		a.expectClose(d2m.CloseDropped)
		s.refused(id, 1, d2m.SlotExisting, d2m.CloseSlotState)
		s.login(id, 1, d2m.SlotNew)
		c.send(d2m.GetDevicesInfo{})
		await[d2m.DevicesInfo](c.device)
		if found, err := s.Forget(t.Context(), newIdentity(t).group); found || err != nil {
			t.Errorf("found: %v, %v", found, err)
		}
		if s.GroupsInUse() != 2 {
			t.Errorf("%d groups in use", s.GroupsInUse())
		}
	})
}

func TestB43_ForgetWhenTheStoreFails(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		a, _ := s.login(id, 1, d2m.SlotNew)
		slow := make(chan struct{})
		s.memory().Fail(func(op memstore.Op, _ d2m.GroupID) error {
			if op == memstore.OpCommit {
				<-slow
				return reflect.ErrUnavailable
			}
			return nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if found, err := s.Forget(ctx, id.group); !found || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("found: %v, %v", found, err)
		}
		answered := make(chan error)
		go func() {
			_, err := s.Forget(t.Context(), id.group)
			answered <- err
		}()
		synctest.Wait()
		close(slow)
		<-answered // no slot was left, or the store has failed; either way there is an answer
		a.expectClose(d2m.CloseInternal)
		if len(s.storedGroups()) != 1 {
			t.Error("the group is gone though the store failed")
		}
		s.memory().Fail(func(op memstore.Op, _ d2m.GroupID) error {
			if op == memstore.OpCommit {
				return reflect.ErrUnavailable
			}
			return nil
		})
		if found, err := s.Forget(t.Context(), id.group); !found || !errors.Is(err, reflect.ErrUnavailable) {
			t.Errorf("found: %v, %v", found, err)
		}
		s.memory().Fail(nil)
		if found, err := s.Forget(t.Context(), id.group); !found || err != nil {
			t.Errorf("found: %v, %v", found, err)
		}
		if found, err := mediator.EraseGroup(s.store, id.group); found || err != nil {
			t.Errorf("found: %v, %v", found, err)
		}
	})
}

// Forget waits for its own commit, not for one that was under way.
func TestB34_ForgetBehindACommit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		a, _ := s.login(id, 1, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](a.device)
		synctest.Wait()
		step := make(chan struct{})
		s.memory().Fail(func(op memstore.Op, _ d2m.GroupID) error {
			if op == memstore.OpCommit {
				<-step
			}
			return nil
		})
		a.send(d2m.SetSharedDeviceData{Data: []byte("under way")})
		synctest.Wait()
		answered := make(chan error, 1)
		go func() {
			_, err := s.Forget(t.Context(), id.group)
			answered <- err
		}()
		synctest.Wait()
		step <- struct{}{}
		synctest.Wait()
		if len(answered) != 0 || len(s.storedGroups()) != 1 {
			t.Error("answered before the group was gone")
		}
		close(step)
		if err := <-answered; err != nil || len(s.storedGroups()) != 0 {
			t.Errorf("%v, and %d groups are stored", err, len(s.storedGroups()))
		}
	})
}

// One device is dropped by the operator, by name: its connection gets 4113 when it is durable, its messages go, and the others
// do not notice.
func TestB32_DropByTheOperator(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id, other := newIdentity(t), newIdentity(t)
		a, _ := s.login(id, 1, d2m.SlotNew)
		b, _ := s.login(id, 2, d2m.SlotNew)
		s.login(other, 2, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](a.device)
		away, _ := s.login(id, 3, d2m.SlotNew)
		away.leave()
		synctest.Wait()
		a.reflect(1, make([]byte, 100))
		synctest.Wait()
		time.Sleep(time.Second)
		g := s.survey()[id.group]
		if len(g.Devices) != 3 || g.Locked || !g.Devices[0].Leads || g.Devices[1].Leads || !g.Devices[1].Connected || g.Devices[2].Connected ||
			g.Devices[0].Messages != 0 || g.Devices[2].Messages != 1 || g.Devices[2].Bytes != 100 || g.Devices[2].Oldest.IsZero() {
			t.Errorf("devices: %+v", g.Devices)
		}
		drop := func(device d2m.DeviceID, want bool) {
			t.Helper()
			found, err := s.DropNamed(t.Context(), s.Pseudonym(id.group), s.SlotPseudonym(id.group, device))
			if found != want || err != nil {
				t.Errorf("found: %v, %v", found, err)
			}
		}
		drop(2, true)
		drop(2, false)
		expect[d2m.Reflected](b.device)
		b.expectClose(d2m.CloseDropped)
		drop(3, true)
		if g := s.survey()[id.group]; len(g.Devices) != 1 || g.Messages != 0 {
			t.Errorf("left: %+v", g)
		}
		s.refused(id, 3, d2m.SlotExisting, d2m.CloseSlotState)
		if found, err := s.DropNamed(t.Context(), s.Pseudonym(other.group), s.SlotPseudonym(id.group, 1)); found || err != nil {
			t.Errorf("a slot of another group: %v, %v", found, err)
		}
		drop(1, true)
		a.expectClose(d2m.CloseDropped)
		if stored := s.storedGroups(); len(stored) != 1 || stored[0] != other.group {
			t.Errorf("stored: %d groups", len(stored))
		}
		for _, device := range s.survey()[other.group].Devices {
			if !device.Connected {
				t.Error("the other group has lost its device")
			}
		}
	})
}

// Drop waits for its own commit, and says if that fails.
func TestB43_DropWhenTheStoreFails(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startInBubble(t)
		id := newIdentity(t)
		a, _ := s.login(id, 1, d2m.SlotNew)
		s.login(id, 2, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](a.device)
		synctest.Wait()
		step := make(chan error)
		s.memory().Fail(func(op memstore.Op, _ d2m.GroupID) error {
			if op == memstore.OpCommit {
				return <-step
			}
			return nil
		})
		a.send(d2m.SetSharedDeviceData{Data: []byte("under way")})
		synctest.Wait()
		answered := make(chan error, 1)
		go func() {
			_, err := s.Drop(t.Context(), id.group, 2)
			answered <- err
		}()
		synctest.Wait()
		step <- nil
		synctest.Wait()
		if len(answered) != 0 {
			t.Error("answered before the slot was gone")
		}
		step <- reflect.ErrUnavailable
		if err := <-answered; !errors.Is(err, reflect.ErrUnavailable) {
			t.Errorf("answered with %v", err)
		}
		s.memory().Fail(nil)
		if found, err := s.Drop(t.Context(), id.group, 2); !found || err != nil {
			t.Errorf("found: %v, %v", found, err)
		}
	})
}
