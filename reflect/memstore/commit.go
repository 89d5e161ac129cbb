package memstore

import (
	"slices"

	"openmediator/d2m"
	"openmediator/reflect"
)

// Commit implements reflect.Store.
func (s *Store) Commit(batches []*reflect.Batch) []error {
	injected := make([]error, len(batches))
	for i, b := range batches {
		injected[i] = s.ask(OpCommit, b.Group)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	results := make([]error, len(batches))
	var failure error
	for i, b := range batches {
		if injected[i] == reflect.ErrFenced {
			s.suffer(reflect.ErrFenced, b.Group)
		} else if failure == nil {
			failure = injected[i]
		}
		results[i] = s.check(b.Group, b.Epoch)
	}
	for i, b := range batches {
		if results[i] != nil {
			continue
		}
		if failure == nil || failure == ErrUnavailableStored {
			s.apply(b, failure == nil)
		}
		results[i] = failure
	}
	s.suffer(failure, d2m.GroupID{})
	return results
}

// apply carries out b. known says whether the caller is told the key of its chunk.
func (s *Store) apply(b *reflect.Batch, known bool) {
	g := s.groups[b.Group]
	if g == nil || b.Erase {
		g = &stored{blobs: make(map[blobKey][]byte)}
		s.groups[b.Group] = g
	}
	g.chunks = slices.DeleteFunc(g.chunks, func(c chunk) bool { return slices.Contains(b.Delete, c.key) })
	if b.Chunk != nil {
		s.lastKey++
		g.chunks = append(g.chunks, chunk{key: s.lastKey, data: slices.Clone(b.Chunk)})
		if known {
			b.Key = s.lastKey
		}
	}
	if b.State != nil {
		g.state = append([]byte{}, b.State...)
	}
	for _, blob := range b.Blobs {
		key := blobKey{blob.Shared, blob.Device}
		if blob.Data == nil {
			delete(g.blobs, key)
		} else {
			g.blobs[key] = append([]byte{}, blob.Data...)
		}
	}
	if g.state == nil && len(g.blobs) == 0 && len(g.chunks) == 0 {
		delete(s.groups, b.Group)
	}
}
