// Package memstore is a reflect.Store in memory, for tests and for measurements without a disk. It keeps every rule that
// package storetest checks, and it can be told at any step to answer that a group is fenced or that the store is
// unavailable.
//
// [Store.Fail] sets who decides; [Store.Clone] is what a restart after a crash would find. What the injected failures mean
// is what they mean in package boltstore: an unavailable store ends every claim, and a commit that reported it may have
// been stored all the same ([ErrUnavailableStored]).
package memstore

import (
	"fmt"
	"slices"
	"sync"

	"openmediator/d2m"
	"openmediator/reflect"
)

// ErrUnavailableStored is for the function given to Fail: Commit returns it, and it wraps reflect.ErrUnavailable, but the
// batches of that call are stored. For other operations it is reflect.ErrUnavailable.
var ErrUnavailableStored = fmt.Errorf("%w, though stored", reflect.ErrUnavailable)

// Op is an operation that can be made to fail.
type Op uint8

// The operations. Release and Close never fail, so they are not asked about.
const (
	OpClaim Op = iota
	OpCommit
	OpRead
	OpGroups // the group is zero
	OpUsage  // the group is zero
	OpPeek
)

// Store is a reflect.Store in memory. The zero value is not ready; use New.
type Store struct {
	mu      sync.Mutex
	fail    func(op Op, group d2m.GroupID) error
	groups  map[d2m.GroupID]*stored
	claims  map[d2m.GroupID]reflect.Epoch
	epoch   reflect.Epoch // last given
	voided  reflect.Epoch // claims up to it ended with an unavailable store
	lastKey uint64
	closed  bool
}

// stored is what is kept of one group.
type stored struct {
	state  []byte
	blobs  map[blobKey][]byte
	chunks []chunk // keys rising
}

type blobKey struct {
	shared bool
	device d2m.DeviceID
}

type chunk struct {
	key  uint64
	data []byte
}

var _ reflect.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store {
	return &Store{groups: make(map[d2m.GroupID]*stored), claims: make(map[d2m.GroupID]reflect.Epoch)}
}

// Fail sets a function that is asked before each operation, and for each batch of a commit, and answers nil,
// reflect.ErrFenced (somebody else claims the group just now), reflect.ErrUnavailable (every claim ends; nothing of a
// commit's call is stored) or ErrUnavailableStored. No lock is held when it is called: it may wait, which makes the
// operation slow, or use the store. nil takes it away.
func (s *Store) Fail(f func(op Op, group d2m.GroupID) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = f
}

// Clone returns a store that holds what is committed in s at this moment and knows no claim and no Fail: what a server
// finds that starts after a crash. s may be used on.
func (s *Store) Clone() *Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	clone := New()
	clone.lastKey = s.lastKey
	for id, g := range s.groups {
		clone.groups[id] = g.clone()
	}
	return clone
}

func (g *stored) clone() *stored {
	c := &stored{state: slices.Clone(g.state), blobs: make(map[blobKey][]byte, len(g.blobs)), chunks: slices.Clone(g.chunks)}
	for key, data := range g.blobs {
		c.blobs[key] = data // data is replaced, never changed
	}
	return c
}

// ask returns what the function given to Fail says.
func (s *Store) ask(op Op, group d2m.GroupID) error {
	s.mu.Lock()
	fail := s.fail
	s.mu.Unlock()
	if fail == nil {
		return nil
	}
	return fail(op, group)
}

// suffer carries out what an injected failure means for the claims. s.mu is held.
func (s *Store) suffer(err error, group d2m.GroupID) error {
	switch err {
	case nil:
	case reflect.ErrFenced:
		s.epoch++
		s.claims[group] = s.epoch
	default:
		s.voided = s.epoch
		clear(s.claims)
	}
	return err
}

// check tells whether a claim is in force. s.mu is held.
func (s *Store) check(group d2m.GroupID, epoch reflect.Epoch) error {
	switch {
	case s.closed || epoch <= s.voided && epoch != 0:
		return reflect.ErrUnavailable
	case epoch == 0 || s.claims[group] != epoch:
		return reflect.ErrFenced
	}
	return nil
}

// Release implements reflect.Store.
func (s *Store) Release(group d2m.GroupID, epoch reflect.Epoch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.claims[group] == epoch {
		delete(s.claims, group)
	}
}

// Usage implements reflect.Store: it counts states, blobs and chunks, and knows no limit.
func (s *Store) Usage() (used, limit int64, err error) {
	err = s.ask(OpUsage, d2m.GroupID{})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, 0, reflect.ErrUnavailable
	}
	if err := s.suffer(err, d2m.GroupID{}); err != nil {
		return 0, 0, err
	}
	for _, g := range s.groups {
		used += int64(len(g.state))
		for _, data := range g.blobs {
			used += int64(len(data))
		}
		for _, c := range g.chunks {
			used += int64(len(c.data))
		}
	}
	return used, 0, nil
}

// Close implements reflect.Store.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}
