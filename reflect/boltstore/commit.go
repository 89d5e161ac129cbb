package boltstore

import (
	"bytes"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"openmediator/d2m"
	"openmediator/reflect"
)

// logFill is how full pages of the log are made. It grows at its end only, so no room is needed for what comes between.
const logFill = 0.9

// Commit implements reflect.Store. Each call is one transaction: if it fails, it fails for all batches that are not
// fenced. A chunk that is not its group's is a broken invariant of the caller, and a panic.
func (s *Store) Commit(batches []*reflect.Batch) []error {
	for _, b := range batches {
		if b.Chunk == nil {
			continue
		}
		if group, err := reflect.ChunkGroup(b.Chunk); err != nil || group != b.Group {
			panic("boltstore: chunk of another group")
		}
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	results := make([]error, len(batches))
	file, admitted := s.admit(batches, results)
	if len(admitted) == 0 {
		return results
	}
	w := writer{chunks: s.chunks, lastKey: s.lastKey, journal: s.journalNow(), keys: make([]uint64, len(admitted))}
	err := file.update(func(tx *bbolt.Tx) error { return w.write(tx, admitted) }, s.commitTx)
	s.settle(file, admitted, &w, err)
	for i := range results {
		if results[i] == nil {
			results[i] = err
		}
	}
	return results
}

// admit returns the batches whose claim is in force, and says of the others why not.
func (s *Store) admit(batches []*reflect.Batch, results []error) (*boltFile, []*reflect.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, b := range batches {
		if results[i] = s.check(b.Group, b.Epoch); results[i] == nil {
			s.inCommit = append(s.inCommit, b)
		}
	}
	return s.file, s.inCommit
}

// settle notes how a transaction ended.
func (s *Store) settle(file *boltFile, admitted []*reflect.Batch, w *writer, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inCommit = nil
	s.turn.Broadcast()
	s.lastKey = w.lastKey // a key is not given again, even if its chunk may not be stored
	if err != nil {
		s.distrust(file, err)
		return
	}
	s.txid = w.txid
	for i, b := range admitted {
		s.note(b, w.keys[i])
	}
	if w.journal != nil {
		w.journal.add(w.changes)
	}
	if slices.ContainsFunc(admitted, removes) {
		s.noteRemoval(time.Now())
	}
	if s.file == file { // else a read has found it damaged since; what is stored is carried over
		s.noteSpace(w.size)
	}
}

// journalNow returns the journal of the compaction in progress, if there is one.
func (s *Store) journalNow() *journal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.journal
}

// note brings the index up to date with a batch that is stored. key is its chunk's.
func (s *Store) note(b *reflect.Batch, key uint64) {
	var list keyList
	if !b.Erase {
		list = s.chunks[b.Group]
		list.remove(b.Delete)
	}
	if b.Chunk != nil {
		b.Key = key
		list.add(key)
	}
	if len(list.live()) > 0 {
		s.chunks[b.Group] = list
	} else {
		delete(s.chunks, b.Group)
	}
}

// commitTx commits a transaction.
func (s *Store) commitTx(tx *bbolt.Tx) error {
	if s.faults.before != nil {
		if err := s.faults.before(); err != nil {
			_ = tx.Rollback()
			return err
		}
	}
	err := tx.Commit()
	if s.faults.after != nil && err == nil {
		err = s.faults.after()
	}
	return err
}

// writer puts batches into a transaction.
type writer struct {
	chunks  map[d2m.GroupID]keyList // of the store, not changed
	lastKey uint64
	keys    []uint64 // of each batch's chunk
	txid    int
	size    int64    // of the part of the file that has been used, bytes
	journal *journal // nil: changes are not noted
	changes []changedPlace

	buckets [parts]*bbolt.Bucket
}

// put puts a value, or deletes the one there was if it is nil.
func (w *writer) put(p part, key, value []byte) error {
	if w.journal != nil {
		w.changes = append(w.changes, changedPlace{place{p, string(key)}, len(value)})
	}
	if value == nil {
		return w.buckets[p].Delete(key)
	}
	return w.buckets[p].Put(key, value)
}

func (w *writer) write(tx *bbolt.Tx, batches []*reflect.Batch) error {
	w.txid = tx.ID()
	for p := range parts {
		w.buckets[p] = tx.Bucket(p.bucket())
	}
	w.buckets[partLog].FillPercent = logFill
	before := w.lastKey
	for i, b := range batches {
		if err := w.remove(b); err != nil {
			return err
		}
		if b.Chunk != nil {
			w.lastKey++
			w.keys[i] = w.lastKey
			if err := w.put(partLog, logKey(w.lastKey), b.Chunk); err != nil {
				return err
			}
		}
		if err := w.replace(b); err != nil {
			return err
		}
	}
	w.size = tx.Size()
	if w.lastKey == before {
		return nil
	}
	return w.buckets[partLog].SetSequence(w.lastKey)
}

// remove carries out Erase and Delete. Only chunks of the batch's own group are deleted.
func (w *writer) remove(b *reflect.Batch) error {
	list := w.chunks[b.Group]
	gone := b.Delete
	if b.Erase {
		gone = list.live()
		if err := w.erase(b.Group); err != nil {
			return err
		}
	}
	for _, key := range gone {
		if !list.has(key) {
			continue
		}
		if err := w.put(partLog, logKey(key), nil); err != nil {
			return err
		}
	}
	return nil
}

// erase removes state and blobs of a group.
func (w *writer) erase(group d2m.GroupID) error {
	var keys [][]byte
	cursor := w.buckets[partBlobs].Cursor()
	for key, _ := cursor.Seek(group[:]); bytes.HasPrefix(key, group[:]); key, _ = cursor.Next() {
		keys = append(keys, key)
	}
	for _, key := range keys {
		if err := w.put(partBlobs, key, nil); err != nil {
			return err
		}
	}
	return w.put(partState, group[:], nil)
}

// replace carries out what a batch says of state and blobs.
func (w *writer) replace(b *reflect.Batch) error {
	if b.State != nil {
		if err := w.put(partState, b.Group[:], b.State); err != nil {
			return err
		}
	}
	for _, blob := range b.Blobs {
		if err := w.put(partBlobs, blobKey(b.Group, blob), blob.Data); err != nil {
			return err
		}
	}
	return nil
}
