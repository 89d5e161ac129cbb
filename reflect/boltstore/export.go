package boltstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"openmediator/reflect"
)

// Exported says what an export has handed on.
type Exported struct {
	LastKey uint64        // the last chunk key given
	Pieces  int           // handed on
	Bytes   int64         // of them
	Rounds  int           // in which it caught up with commits
	Waited  time.Duration // how long commits had to wait
}

// Export hands on all that is stored at the moment when it ends, in pieces of 256 KiB and one entry or less, for an Import.
// A piece is valid until emit returns. An error of emit ends the export and is returned.
//
// Everything goes on meanwhile, as with Compact: commits wait while the last few changes are read, 8,192 entries or 4 MiB
// at most, but not for emit. Deleted messages are left out. One export or compaction runs at a time; others wait for it. Other
// errors are ErrBusy if commits change more than emit can keep up with, the error of ctx, and ErrUnavailable if the store is
// closed or the file not trusted or damaged (B43); a damaged file that nobody else has noticed stays in use.
func (s *Store) Export(ctx context.Context, emit func(piece []byte) error) (Exported, error) {
	ctx, end, err := s.takeTurn(ctx)
	if err != nil {
		return Exported{}, err
	}
	defer end()
	x, err := s.newExport(emit)
	if err != nil {
		return Exported{}, err
	}
	defer x.end()
	err = x.run(ctx)
	if errors.Is(err, context.Canceled) {
		err = s.ended(ctx)
	}
	x.out.Rounds = x.result.Rounds
	return x.out, err
}

// export is one in progress. It is used by one goroutine, and is the sink of its copying.
type export struct {
	copying
	emit  func(piece []byte) error
	piece []byte
	holds bool    // entries are held back while commits wait
	held  []entry // up to switchEntries
	out   Exported
}

func (s *Store) newExport(emit func(piece []byte) error) (*export, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	reading, err := s.startCopying()
	if err != nil {
		return nil, err
	}
	x := &export{copying: reading, emit: emit}
	x.sink, x.aside = x, true
	return x, nil
}

func (x *export) run(ctx context.Context) error {
	for p := range parts {
		if err := x.copyPart(ctx, p); err != nil {
			return err
		}
	}
	for range catchUpRounds {
		if err := x.catchUp(ctx); err != nil {
			return err
		}
		complete, err := x.finish()
		if err != nil {
			return err
		}
		if complete {
			x.holds = false
			return x.put(x.held)
		}
	}
	return ErrBusy
}

// finish reads what commits have changed since it was caught up with, if that is little. Commits wait meanwhile.
func (x *export) finish() (complete bool, err error) {
	s := x.store
	s.writing.Lock()
	defer s.writing.Unlock()
	start := time.Now()
	entries, bytes, overflow := x.journal.size()
	if overflow || entries > switchEntries || bytes > switchBytes {
		return false, nil
	}
	x.holds = true
	if err := x.copyChanged(func() error { return nil }); err != nil {
		return false, err
	}
	if !x.current() {
		return false, reflect.ErrUnavailable
	}
	x.out.LastKey, x.out.Waited = s.lastKey, time.Since(start)
	return true, nil
}

// end stops noting what commits change.
func (x *export) end() {
	x.store.mu.Lock()
	defer x.store.mu.Unlock()
	if x.store.journal == x.journal {
		x.store.journal = nil
	}
}

// put implements sink.
func (x *export) put(entries []entry) error {
	if x.holds {
		x.held = append(x.held, entries...)
		return nil
	}
	x.piece = x.piece[:0]
	for i := range entries {
		x.piece = appendEntry(x.piece, &entries[i])
	}
	if len(x.piece) == 0 {
		return nil
	}
	x.out.Pieces++
	x.out.Bytes += int64(len(x.piece))
	return x.emit(x.piece)
}

func (x *export) rest() error { return nil }
func (x *export) sync() error { return nil }

// A piece is a sequence of entries:
//
//	part u8 · key size uvarint · value size + 1 uvarint, or 0 if there is none any more · key · value
func appendEntry(b []byte, e *entry) []byte {
	b = append(b, byte(e.part))
	b = binary.AppendUvarint(b, uint64(len(e.key)))
	if e.value == nil {
		b = binary.AppendUvarint(b, 0)
		return append(b, e.key...)
	}
	b = binary.AppendUvarint(b, uint64(len(e.value))+1)
	b = append(b, e.key...)
	return append(b, e.value...)
}

// maxKey is the longest key of an entry, bytes.
const maxKey = uint64(groupSize + 9)

// parsePiece reads what appendEntry wrote. The values alias the piece.
func parsePiece(piece []byte) (entries []entry, err error) {
	for len(piece) > 0 {
		e := entry{place: place{part: part(piece[0])}}
		size, n := binary.Uvarint(piece[1:])
		if e.part >= parts || n <= 0 || size == 0 || size > maxKey {
			return nil, errPiece
		}
		piece = piece[1+n:]
		value, n := binary.Uvarint(piece)
		if n <= 0 || value > uint64(len(piece))+1 {
			return nil, errPiece
		}
		piece = piece[n:]
		if size > uint64(len(piece)) || value > 0 && value-1 > uint64(len(piece))-size {
			return nil, errPiece
		}
		e.key, piece = string(piece[:size]), piece[size:]
		if value > 0 {
			e.value, piece = piece[:value-1:value-1], piece[value-1:]
		}
		if err := checkKey(e.place); err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

var errPiece = errors.New("stored entries: not what was written")

// checkKey refuses a key that the part cannot have.
func checkKey(at place) error {
	key := []byte(at.key)
	var err error
	switch at.part {
	case partState:
		if len(key) != groupSize {
			err = fmt.Errorf("stored state: key has %d bytes, want %d", len(key), groupSize)
		}
	case partBlobs:
		_, err = parseBlobKey(key)
	case partLog:
		_, err = parseLogKey(key)
	}
	return err
}
