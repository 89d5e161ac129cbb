package boltstore

import (
	"bytes"
	"errors"
	"slices"

	"go.etcd.io/bbolt"

	"openmediator/d2m"
	"openmediator/reflect"
)

// A claim reads at most so much in one transaction.
const (
	claimChunks = 1024
	claimBytes  = 1 << 20
)

// Claim implements reflect.Store. It makes the store sound first if that is due (see the package comment); while that
// cannot be done the answer is reflect.ErrUnavailable. If the group is claimed again meanwhile, it is reflect.ErrFenced.
func (s *Store) Claim(group d2m.GroupID) (*reflect.Snapshot, error) {
	if err := s.makeSound(); err != nil {
		return nil, err
	}
	epoch, keys, err := s.claim(group)
	if err != nil {
		return nil, err
	}
	snapshot := &reflect.Snapshot{Epoch: epoch}
	err = s.readSnapshot(group, keys, snapshot)
	if err == nil {
		err = s.claimed(group, epoch) // else others may have changed what was being read
	}
	if err = s.blame(group, epoch, err); err != nil {
		s.Release(group, epoch)
		return nil, err
	}
	return snapshot, nil
}

// Peek implements reflect.Store.
func (s *Store) Peek(group d2m.GroupID) (*reflect.Snapshot, error) {
	s.mu.Lock()
	keys := slices.Clone(s.chunks[group].live())
	s.mu.Unlock()
	snapshot := new(reflect.Snapshot)
	err := s.readSnapshot(group, keys, snapshot)
	if errors.Is(err, errMissing) {
		return nil, reflect.ErrFenced // deleted since
	}
	return snapshot, err
}

// readSnapshot reads what is stored of a group, piece by piece; keys are those of its chunks.
func (s *Store) readSnapshot(group d2m.GroupID, keys []uint64, snapshot *reflect.Snapshot) error {
	err := s.view(func(tx *bbolt.Tx) error { return readGroup(tx, group, snapshot) })
	for len(keys) > 0 && err == nil {
		err = s.view(func(tx *bbolt.Tx) (err error) {
			keys, err = readChunks(tx, keys, snapshot)
			return err
		})
	}
	return err
}

// claim fences earlier claims of a group, waits until a commit in progress that holds a batch of one is over, and returns
// the keys of the group's chunks.
func (s *Store) claim(group d2m.GroupID) (reflect.Epoch, []uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return 0, nil, reflect.ErrUnavailable
	}
	s.epoch++
	epoch := s.epoch
	s.claims[group] = epoch
	for slices.ContainsFunc(s.inCommit, func(b *reflect.Batch) bool { return b.Group == group }) {
		s.turn.Wait()
	}
	return epoch, slices.Clone(s.chunks[group].live()), s.check(group, epoch)
}

// readGroup reads state and blobs of a group.
func readGroup(tx *bbolt.Tx, group d2m.GroupID, snapshot *reflect.Snapshot) error {
	if state := tx.Bucket(bucketState).Get(group[:]); state != nil {
		snapshot.State = append([]byte{}, state...)
	}
	cursor := tx.Bucket(bucketBlobs).Cursor()
	for key, data := cursor.Seek(group[:]); bytes.HasPrefix(key, group[:]); key, data = cursor.Next() {
		blob, err := parseBlobKey(key)
		if err != nil {
			return err
		}
		blob.Data = append([]byte{}, data...)
		snapshot.Blobs = append(snapshot.Blobs, blob)
	}
	return nil
}

// errMissing says that the log lacks a chunk that it had.
var errMissing = errors.New("stored chunk: not there")

// readChunks reads a bounded piece of the chunks with the keys and returns the keys that are left.
func readChunks(tx *bbolt.Tx, keys []uint64, snapshot *reflect.Snapshot) ([]uint64, error) {
	log := tx.Bucket(bucketLog)
	for n, size := 0, 0; n < claimChunks && size < claimBytes && len(keys) > 0; n++ {
		data := log.Get(logKey(keys[0]))
		if data == nil {
			return nil, errMissing
		}
		var err error
		if snapshot.Messages, err = reflect.AppendStored(snapshot.Messages, keys[0], data); err != nil {
			return nil, err
		}
		size += len(data)
		keys = keys[1:]
	}
	return keys, nil
}
