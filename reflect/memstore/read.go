package memstore

import (
	"cmp"
	"errors"
	"slices"

	"openmediator/d2m"
	"openmediator/reflect"
)

var errNotStored = errors.New("stored message: not there")

// Claim implements reflect.Store.
func (s *Store) Claim(group d2m.GroupID) (*reflect.Snapshot, error) {
	err := s.ask(OpClaim, group)
	s.mu.Lock()
	defer s.mu.Unlock()
	snapshot, err := s.snapshot(group, err)
	if err != nil {
		return nil, err
	}
	s.epoch++
	s.claims[group] = s.epoch
	snapshot.Epoch = s.epoch
	return snapshot, nil
}

// Peek implements reflect.Store.
func (s *Store) Peek(group d2m.GroupID) (*reflect.Snapshot, error) {
	err := s.ask(OpPeek, group)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snapshot(group, err)
}

// snapshot returns what is stored of a group, unless the store was told to fail. s.mu is held.
func (s *Store) snapshot(group d2m.GroupID, injected error) (*reflect.Snapshot, error) {
	if s.closed {
		return nil, reflect.ErrUnavailable
	}
	if err := s.suffer(injected, group); err != nil {
		return nil, err
	}
	snapshot := new(reflect.Snapshot)
	if g := s.groups[group]; g != nil {
		if err := g.fill(snapshot); err != nil {
			return nil, err
		}
	}
	return snapshot, nil
}

func (g *stored) fill(snapshot *reflect.Snapshot) (err error) {
	snapshot.State = slices.Clone(g.state)
	for key, data := range g.blobs {
		blob := reflect.Blob{Shared: key.shared, Device: key.device, Data: append([]byte{}, data...)}
		snapshot.Blobs = append(snapshot.Blobs, blob)
	}
	slices.SortFunc(snapshot.Blobs, func(a, b reflect.Blob) int {
		if a.Shared != b.Shared {
			if a.Shared {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Device, b.Device)
	})
	for _, c := range g.chunks {
		if snapshot.Messages, err = reflect.AppendStored(snapshot.Messages, c.key, c.data); err != nil {
			return err
		}
	}
	return nil
}

// Read implements reflect.Store.
func (s *Store) Read(group d2m.GroupID, epoch reflect.Epoch, at []reflect.Location, each func(int, []byte) error) error {
	records, err := s.records(group, epoch, at, s.ask(OpRead, group))
	if err != nil {
		return err
	}
	for i, record := range records {
		if err := each(i, record); err != nil {
			return err
		}
	}
	return nil
}

// records returns the records at the locations. Chunks never change, so they are valid without the lock.
func (s *Store) records(group d2m.GroupID, epoch reflect.Epoch, at []reflect.Location, injected error) ([][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(group, epoch); err != nil {
		return nil, err
	}
	if err := s.suffer(injected, group); err != nil {
		return nil, err
	}
	var chunks []chunk
	if g := s.groups[group]; g != nil {
		chunks = g.chunks
	}
	records := make([][]byte, 0, len(at))
	for _, location := range at {
		i, found := slices.BinarySearchFunc(chunks, location.Key, func(c chunk, key uint64) int { return cmp.Compare(c.key, key) })
		if !found {
			return nil, errNotStored
		}
		record, err := reflect.Record(chunks[i].data, location)
		if err != nil {
			return nil, err
		}
		records = append(records, record)
	}
	return records, nil
}

// Groups implements reflect.Store.
func (s *Store) Groups(each func(group d2m.GroupID, state []byte) error) error {
	states, err := s.states(s.ask(OpGroups, d2m.GroupID{}))
	if err != nil {
		return err
	}
	for group, state := range states {
		if err := each(group, state); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) states(injected error) (map[d2m.GroupID][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, reflect.ErrUnavailable
	}
	if err := s.suffer(injected, d2m.GroupID{}); err != nil {
		return nil, err
	}
	states := make(map[d2m.GroupID][]byte, len(s.groups))
	for group, g := range s.groups {
		if g.state != nil {
			states[group] = g.state
		}
	}
	return states, nil
}
