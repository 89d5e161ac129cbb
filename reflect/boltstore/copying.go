package boltstore

import (
	"bytes"
	"context"
	"errors"
	"time"

	"go.etcd.io/bbolt"

	"openmediator/d2m"
	"openmediator/reflect"
)

// copying reads the store's file from end to end while commits change it, in short read transactions, and hands all that
// is stored to a sink, what has changed meanwhile again. It is used by one goroutine.
type copying struct {
	store   *Store
	from    *boltFile
	journal *journal
	lastKey string // of the log, when it began
	sink    sink
	aside   bool // a damaged page ends the copying, and not the trust in the file
	result  CompactResult
}

// sink takes what is copied.
type sink interface {
	put(piece []entry) error // a later value of an entry is the valid one
	rest() error             // called between pieces
	sync() error             // called when the sink has all that was stored a moment before
}

// startCopying begins to note what commits change. None is in progress at that moment: what one changes is either in the
// file already or in the journal later. s.writing and s.mu are held.
func (s *Store) startCopying() (copying, error) {
	if s.file == nil {
		return copying{}, reflect.ErrUnavailable
	}
	s.journal = newJournal()
	return copying{store: s, from: s.file, journal: s.journal, lastKey: string(logKey(s.lastKey))}, nil
}

// current says whether the file that is copied is still the store's, and trusted.
func (c *copying) current() bool {
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	return c.store.file == c.from
}

// entry is a value to be copied. A nil value is one to be deleted.
type entry struct {
	place
	value []byte
}

// copyPart copies what a bucket holds. Pauses leave as much of the machine to others as the copying takes, up to the end
// that the log had when the compaction began. From there on it runs after the commits, and is not to do so for ever.
func (c *copying) copyPart(ctx context.Context, p part) error {
	pieces, late := 0, 0
	for from, end := "", false; !end; {
		start := time.Now()
		var err error
		if from, end, err = c.copyPiece(p, from); err != nil {
			return err
		}
		if entries, _, _ := c.journal.size(); entries >= catchUpEntries {
			err = c.catchUp(ctx)
		} else {
			err = c.sink.rest()
		}
		if err != nil {
			return err
		}
		if p != partLog || from <= c.lastKey {
			pieces++
			err = errors.Join(pause(ctx, time.Since(start)), c.store.faults.at(stepRested))
		} else if late++; late > pieces+catchUpRounds {
			err = ErrBusy
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

// copyPiece copies the next entries of a bucket behind a key. It returns the last one's key, and whether they were all.
func (c *copying) copyPiece(p part, behind string) (last string, end bool, err error) {
	c.journal.reading(p)
	piece, end, err := c.readPiece(p, behind)
	if err != nil {
		return behind, false, err
	}
	if len(piece) > 0 {
		behind = piece[len(piece)-1].key
	}
	if !end {
		c.journal.read(p, behind)
	}
	return behind, end, c.sink.put(piece)
}

// readPiece reads the next entries of a bucket behind a key, and tells whether they are all.
func (c *copying) readPiece(p part, behind string) (piece []entry, end bool, err error) {
	err = c.view(func(tx *bbolt.Tx, r *entryReader) error {
		cursor := tx.Bucket(p.bucket()).Cursor()
		key, value := seekBehind(cursor, []byte(behind))
		for ; key != nil && r.more(); key, value = cursor.Next() {
			piece = append(piece, r.read(place{p, string(key)}, value))
		}
		end = key == nil
		return nil
	})
	return piece, end, err
}

// catchUp copies once more what commits have changed since it was copied, until little is left, and syncs the copy.
func (c *copying) catchUp(ctx context.Context) error {
	if err := c.store.faults.at(stepCatchUp); err != nil {
		return err
	}
	c.result.Rounds++
	err := c.copyChanged(func() error { return errors.Join(ctx.Err(), c.sink.rest()) })
	if err != nil {
		return err
	}
	if _, _, overflow := c.journal.size(); overflow {
		return ErrBusy
	}
	return c.sink.sync()
}

// copyChanged copies what the journal names. After each piece it calls between.
func (c *copying) copyChanged(between func() error) error {
	for places := c.journal.take(); len(places) > 0; {
		piece, err := c.readPlaces(places)
		if err != nil {
			return err
		}
		if err := c.sink.put(piece); err != nil {
			return err
		}
		if err := between(); err != nil {
			return err
		}
		places = places[len(piece):]
	}
	return nil
}

// readPlaces reads the first of these entries, as they are now.
func (c *copying) readPlaces(places []place) (piece []entry, err error) {
	err = c.view(func(tx *bbolt.Tx, r *entryReader) error {
		for i := 0; i < len(places) && r.more(); i++ {
			piece = append(piece, r.read(places[i], tx.Bucket(places[i].part.bucket()).Get([]byte(places[i].key))))
		}
		return nil
	})
	return piece, err
}

// view runs do in a read transaction of the old file.
func (c *copying) view(do func(tx *bbolt.Tx, r *entryReader) error) error {
	r := &entryReader{erasers: make(map[d2m.GroupID]*reflect.Eraser)}
	read := func(tx *bbolt.Tx) error {
		r.states = tx.Bucket(bucketState)
		return do(tx, r)
	}
	var err error
	if c.aside {
		err = c.from.view(read)
	} else {
		err = c.store.viewFile(c.from, read)
	}
	c.result.Erased += r.erased
	return err
}

// entryReader copies entries out of one transaction.
type entryReader struct {
	states         *bbolt.Bucket
	erasers        map[d2m.GroupID]*reflect.Eraser // nil for a group without a state that can be read
	entries, bytes int
	erased         int
}

// more says whether the piece is not full yet.
func (r *entryReader) more() bool { return r.entries < compactEntries && r.bytes < compactBytes }

func (r *entryReader) read(at place, value []byte) entry {
	r.entries++
	r.bytes += len(at.key) + len(value)
	if value == nil {
		return entry{at, nil}
	}
	if at.part == partLog {
		if erased, n := r.erase(value); n > 0 {
			r.erased += n
			return entry{at, erased}
		}
	}
	return entry{at, append([]byte{}, value...)}
}

// erase takes out of a chunk what nobody waits for. The state is of the same transaction, so it is not older.
func (r *entryReader) erase(chunk []byte) ([]byte, int) {
	group, err := reflect.ChunkGroup(chunk)
	if err != nil {
		return chunk, 0
	}
	eraser, known := r.erasers[group]
	if !known {
		eraser = newEraser(r.states.Get(group[:]))
		r.erasers[group] = eraser
	}
	if eraser == nil {
		return chunk, 0
	}
	return eraser.Erase(chunk)
}

// newEraser returns nil for a state that is not there or makes no sense: then nobody knows what waits, and all is kept.
func newEraser(encoded []byte) *reflect.Eraser {
	state, err := reflect.ParseState(bytes.Clone(encoded))
	if err != nil || len(encoded) == 0 {
		return nil
	}
	return reflect.NewEraser(state)
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
