package boltstore

import (
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"openmediator/d2m"
	"openmediator/reflect"
)

// keyList holds the keys of a group's chunks. It is all that an idle group with waiting messages costs here: 8 bytes per
// chunk, at most twice that after deletions, beside its place in the map.
type keyList struct {
	keys []uint64 // rising
	gone int      // so many of the first are deleted
}

// live returns the keys. They are valid until the list is changed.
func (l keyList) live() []uint64 { return l.keys[l.gone:] }

func (l keyList) has(key uint64) bool {
	_, found := slices.BinarySearch(l.live(), key)
	return found
}

// add adds a key above all others.
func (l *keyList) add(key uint64) { l.keys = append(l.keys, key) }

// remove takes keys out, given in any order; those that are not there are skipped. The oldest ones cost nothing.
func (l *keyList) remove(deleted []uint64) {
	if !slices.IsSorted(deleted) {
		deleted = slices.Sorted(slices.Values(deleted))
	}
	for len(deleted) > 0 && l.gone < len(l.keys) && deleted[0] <= l.keys[l.gone] {
		if deleted[0] == l.keys[l.gone] {
			l.gone++
		}
		deleted = deleted[1:]
	}
	if len(deleted) > 0 {
		l.cut(deleted)
	}
	if l.gone > 32 && l.gone > len(l.keys)/2 {
		l.keys, l.gone = slices.Clone(l.live()), 0
	}
}

// cut takes keys out of the middle; deleted is sorted.
func (l *keyList) cut(deleted []uint64) {
	start, _ := slices.BinarySearch(l.keys, deleted[0])
	kept := l.keys[:max(start, l.gone)]
	for _, key := range l.keys[len(kept):] {
		for len(deleted) > 0 && deleted[0] < key {
			deleted = deleted[1:]
		}
		if len(deleted) == 0 || deleted[0] != key {
			kept = append(kept, key)
		}
	}
	l.keys = kept
	if cap(kept) > 64 && len(kept) < cap(kept)/4 {
		l.keys = slices.Clone(kept)
	}
}

// contents is what is kept in memory of a file.
type contents struct {
	tree    tree
	made    time.Time
	lastKey uint64
	chunks  map[d2m.GroupID]keyList
}

// load reads what is kept in memory of a file, in one scan over the log.
func load(file *boltFile) (contents, error) {
	c := contents{chunks: make(map[d2m.GroupID]keyList)}
	err := file.view(func(tx *bbolt.Tx) error {
		c.tree, c.made = treeOf(tx), madeAt(tx)
		log := tx.Bucket(bucketLog)
		c.lastKey = log.Sequence()
		return log.ForEach(c.addChunk)
	})
	return c, err
}

func (c *contents) addChunk(k, data []byte) error {
	key, err := parseLogKey(k)
	if err != nil {
		return err
	}
	group, err := reflect.ChunkGroup(data)
	if err != nil {
		return err
	}
	if key > c.lastKey {
		return fmt.Errorf("stored chunk: key %d is above the last one given, %d", key, c.lastKey)
	}
	list := c.chunks[group]
	list.add(key)
	c.chunks[group] = list
	return nil
}
