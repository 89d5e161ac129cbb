package mediator

import (
	"errors"
	"slices"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
	"openmediator/reflect"
)

// GroupState is what an operator may want to know of a device group.
type GroupState struct {
	ID        d2m.GroupID
	Slots     int
	Connected int
	Seen      time.Time // when a device was last connected; now, if one is
	Messages  int       // that wait for some device
	Bytes     int64     // of their envelopes
	Oldest    time.Time // when the oldest of them was accepted; zero if there is none
	Blobs     int64     // bytes of device infos and shared device data
	Locked    bool      // a transaction is under way
	Devices   []DeviceState
}

// DeviceState is what an operator may want to know of a device slot.
type DeviceState struct {
	devicegroup.Member
	Oldest time.Time // when the oldest message that waits for it was accepted; zero if there is none
}

// surveyTries is how often a group is looked at that is being changed.
const surveyTries = 3

// SurveyStore calls each with every group of a store that no server has open, until it returns an error.
func SurveyStore(store reflect.Store, each func(GroupState) error) error {
	ids, err := storedGroups(store)
	if err != nil {
		return err
	}
	for _, id := range ids {
		state, err := surveyGroup(store, id, time.Time{})
		if err == nil && state.Slots > 0 {
			err = each(state)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Survey calls each with every group, until it returns an error. It takes its time and disturbs nobody.
func (s *Server) Survey(each func(GroupState) error) error {
	ids, err := storedGroups(s.store)
	if err != nil {
		return err
	}
	for _, id := range ids {
		state, err := s.look(id)
		if err != nil {
			return err
		}
		if state.Slots == 0 {
			continue // gone since, or not readable, which the log has said
		}
		if err := each(state); err != nil {
			return err
		}
	}
	return nil
}

// look tells what there is to say of one group, whether it is in use or not.
func (s *Server) look(id d2m.GroupID) (GroupState, error) {
	state, err := surveyGroup(s.store, id, s.leftAt())
	if err == nil && state.Slots > 0 {
		s.groups.addPresence(&state)
	}
	return state, err
}

func storedGroups(store reflect.Store) (ids []d2m.GroupID, err error) {
	err = store.Groups(func(id d2m.GroupID, _ []byte) error {
		ids = append(ids, id)
		return nil
	})
	return ids, err
}

// surveyGroup looks at what is stored of a group. left is when devices count as gone that were connected when it was stored.
// A group that cannot be read has no slots.
func surveyGroup(store reflect.Store, id d2m.GroupID, left time.Time) (GroupState, error) {
	state := GroupState{ID: id}
	snapshot, err := peek(store, id)
	if hasFailed(err) {
		return state, err
	}
	var survey reflect.Survey
	if err == nil {
		survey, err = snapshot.Survey()
	}
	if err != nil {
		return state, nil
	}
	state.Slots, state.Messages, state.Bytes = len(survey.Slots), survey.Messages, survey.Bytes
	state.Oldest, state.Blobs = survey.Oldest, survey.Blobs
	for i, slot := range survey.Slots {
		seen := time.UnixMilli(int64(slot.Since))
		if slot.Connected && left.After(seen) {
			seen = left
		}
		queue := survey.Queues[i]
		state.Devices = append(state.Devices, DeviceState{
			devicegroup.Member{Device: slot.Device, Since: seen, Messages: queue.Messages, Bytes: queue.Bytes}, queue.Oldest,
		})
		if seen.After(state.Seen) {
			state.Seen = seen
		}
	}
	return state, nil
}

// peek returns what is stored of a group, nothing if it changes too fast to be seen.
func peek(store reflect.Store, id d2m.GroupID) (*reflect.Snapshot, error) {
	for range surveyTries {
		snapshot, err := store.Peek(id)
		if !errors.Is(err, reflect.ErrFenced) {
			return snapshot, err
		}
	}
	return new(reflect.Snapshot), nil
}

// addPresence adds what is known of a group that is in use.
func (gs *groups) addPresence(state *GroupState) {
	gs.mu.Lock()
	g := gs.inUse[state.ID]
	gs.mu.Unlock()
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.core == nil {
		return
	}
	connected, seen := g.core.Presence()
	state.Slots, state.Connected, state.Seen = g.core.Slots(), connected, seen
	if connected > 0 {
		state.Seen = time.Now()
	}
	state.Locked = g.core.Locked()
	stored := state.Devices
	state.Devices = nil
	for _, m := range g.core.Members() {
		device := DeviceState{Member: m}
		i := slices.IndexFunc(stored, func(d DeviceState) bool { return d.Device == m.Device })
		if i >= 0 && m.Messages > 0 {
			device.Oldest = stored[i].Oldest
		}
		state.Devices = append(state.Devices, device)
	}
}

// Holdings are what a server has in memory of its users.
type Holdings struct {
	Connections int   // those included that are not logged in, or closing
	Groups      int   // in use
	Addresses   int   // of which something is remembered: a keyed hash and two rates
	Staged      int64 // bytes of messages in transactions
	Tail        int64 // bytes of messages that are on disk, too
}

// Holdings tells what there is in memory.
func (s *Server) Holdings() Holdings {
	h := Holdings{Connections: s.Connections(), Staged: s.staged.Load(), Tail: s.tail.Load()}
	s.groups.mu.Lock()
	h.Groups = len(s.groups.inUse)
	s.groups.mu.Unlock()
	s.limits.mu.Lock()
	h.Addresses = len(s.limits.addresses)
	s.limits.mu.Unlock()
	return h
}

// Pseudonym returns the name of a group in this server's log, if that names groups.
func (s *Server) Pseudonym(group d2m.GroupID) string { return s.view.Pseudonym(group) }

// SlotPseudonym returns the name of a device slot for the operator. No log has it.
func (s *Server) SlotPseudonym(group d2m.GroupID, device d2m.DeviceID) string {
	return s.view.SlotPseudonym(group, device)
}
