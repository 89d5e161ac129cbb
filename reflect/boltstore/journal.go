package boltstore

import (
	"slices"
	"strings"
	"sync"
)

// journalLimit is how many entries a journal names at most; it takes some 30 MiB then.
const journalLimit = 1 << 18

// part is one of the buckets that a compaction copies, in this order. The log comes last: it grows at its end only, so
// what is appended to it meanwhile is found there when the copy has come that far.
type part uint8

const (
	partState part = iota
	partBlobs
	partLog
	parts
)

func (p part) bucket() []byte { return [parts][]byte{bucketState, bucketBlobs, bucketLog}[p] }

// place names one entry of the file.
type place struct {
	part part
	key  string
}

// changedPlace is an entry that a commit has put or deleted, with the size of its new value in bytes.
type changedPlace struct {
	place
	size int
}

// journal names the entries that commits have changed after a compaction has copied them, each once. It is added to
// when the change can be read in the file, so whoever takes an entry out and then reads it gets its newest value, or finds
// it named again.
type journal struct {
	mu       sync.Mutex
	whole    [parts]bool   // everything of the part is named
	upTo     [parts]string // everything of the part up to this key is named
	changed  map[place]int // sizes
	bytes    int           // the sum of them
	overflow bool          // it would have named too many
}

func newJournal() *journal { return &journal{changed: make(map[place]int)} }

// reading says that a piece of a part is about to be read: how far it will reach is not known yet.
func (j *journal) reading(p part) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.whole[p] = true
}

// read says how far the piece has reached that reading announced. Nothing needs to be said of the last one.
func (j *journal) read(p part, upTo string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.whole[p], j.upTo[p] = false, upTo
}

// add notes what a commit has changed.
func (j *journal) add(changes []changedPlace) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range changes {
		if !j.whole[c.part] && c.key > j.upTo[c.part] {
			continue // it has yet to be copied
		}
		j.bytes += c.size - j.changed[c.place]
		j.changed[c.place] = c.size
	}
	if len(j.changed) > journalLimit {
		j.overflow = true
		clear(j.changed)
	}
}

// size returns how many entries are named, how many bytes their values have, and whether there were too many.
func (j *journal) size() (entries, bytes int, overflow bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.changed), j.bytes, j.overflow
}

// take takes all entries out, in the order of the file.
func (j *journal) take() []place {
	j.mu.Lock()
	changed := j.changed
	j.changed, j.bytes = make(map[place]int), 0
	j.mu.Unlock()
	places := make([]place, 0, len(changed))
	for p := range changed {
		places = append(places, p)
	}
	slices.SortFunc(places, func(a, b place) int {
		if a.part != b.part {
			return int(a.part) - int(b.part)
		}
		return strings.Compare(a.key, b.key)
	})
	return places
}
