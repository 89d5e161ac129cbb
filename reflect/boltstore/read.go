package boltstore

import (
	"bytes"
	"errors"
	"sync"

	"go.etcd.io/bbolt"

	"openmediator/d2m"
	"openmediator/reflect"
)

const (
	// pieceBytes is how much is copied out of the file in one transaction, bytes: this much, and at least one record.
	pieceBytes = 128 << 10

	// groupsPiece is the same for Groups, in groups.
	groupsPiece = 256
)

var errNotStored = errors.New("stored message: not there")

// pieces holds buffers for Read, each of pieceBytes bytes or some more.
var pieces = sync.Pool{New: func() any { return new([]byte) }}

// Read implements reflect.Store. What each is called with has been copied out of the file, so it may take its time.
// A record that is damaged is handed to each as it is: reflect.ParseRecord tells, and i says which one it is. An erased one
// is not stored any more.
func (s *Store) Read(group d2m.GroupID, epoch reflect.Epoch, at []reflect.Location, each func(int, []byte) error) error {
	buffer := pieces.Get().(*[]byte)
	defer pieces.Put(buffer)
	for done := 0; done < len(at); {
		piece := at[done : done+pieceOf(at[done:])]
		err := s.readPiece(group, epoch, piece, buffer)
		if err != nil {
			return err
		}
		rest := *buffer
		for _, location := range piece {
			if err := each(done, rest[:location.Size:location.Size]); err != nil {
				return err
			}
			rest = rest[location.Size:]
			done++
		}
	}
	return nil
}

// pieceOf returns how many of the records are read in one transaction.
func pieceOf(at []reflect.Location) int {
	size := 0
	for n, location := range at {
		size += int(location.Size)
		if n > 0 && size > pieceBytes {
			return n
		}
	}
	return len(at)
}

// readPiece copies the records at the locations to the buffer, one behind the other.
func (s *Store) readPiece(group d2m.GroupID, epoch reflect.Epoch, at []reflect.Location, buffer *[]byte) error {
	if err := s.claimed(group, epoch); err != nil {
		return err
	}
	err := s.view(func(tx *bbolt.Tx) (err error) {
		*buffer, err = appendRecords((*buffer)[:0], tx.Bucket(bucketLog), group, at)
		return err
	})
	return s.blame(group, epoch, err)
}

// blame returns why reading for a claim went wrong, if it did: whoever has claimed the group since may have deleted what
// was to be read.
func (s *Store) blame(group d2m.GroupID, epoch reflect.Epoch, err error) error {
	if err == nil || errors.Is(err, reflect.ErrUnavailable) {
		return err
	}
	if ended := s.claimed(group, epoch); ended != nil {
		return ended
	}
	return err
}

func (s *Store) claimed(group d2m.GroupID, epoch reflect.Epoch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.check(group, epoch)
}

func appendRecords(b []byte, log *bbolt.Bucket, group d2m.GroupID, at []reflect.Location) ([]byte, error) {
	var key uint64
	var data []byte
	for _, location := range at {
		if data == nil || location.Key != key {
			key, data = location.Key, log.Get(logKey(location.Key))
		}
		if !bytes.HasPrefix(data, group[:]) {
			return b, errNotStored
		}
		record, err := reflect.Record(data, location)
		if err != nil {
			return b, err
		}
		if _, err := reflect.ParseRecord(record); errors.Is(err, reflect.ErrErased) {
			return b, errNotStored
		}
		b = append(b, record...)
	}
	return b, nil
}

// Groups implements reflect.Store. A group without a state is not listed.
func (s *Store) Groups(each func(group d2m.GroupID, state []byte) error) error {
	type stored struct {
		group d2m.GroupID
		state []byte
	}
	var last []byte
	for {
		var piece []stored
		err := s.view(func(tx *bbolt.Tx) error {
			cursor := tx.Bucket(bucketState).Cursor()
			for key, state := seekBehind(cursor, last); key != nil && len(piece) < groupsPiece; key, state = cursor.Next() {
				if len(key) != groupSize {
					return errBuckets
				}
				piece = append(piece, stored{d2m.GroupID(key), bytes.Clone(state)})
			}
			return nil
		})
		if err != nil || len(piece) == 0 {
			return err
		}
		for _, e := range piece {
			if err := each(e.group, e.state); err != nil {
				return err
			}
		}
		last = piece[len(piece)-1].group[:]
	}
}

// seekBehind moves a cursor to the first entry behind a key, or to the first of all if that is empty.
func seekBehind(cursor *bbolt.Cursor, behind []byte) (key, value []byte) {
	key, value = cursor.Seek(behind)
	if key != nil && bytes.Equal(key, behind) {
		return cursor.Next()
	}
	return key, value
}
