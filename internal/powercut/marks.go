package powercut

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sort"

	"openmediator/d2m"
	"openmediator/reflect"
	"openmediator/reflect/boltstore"
)

// DataName is the name of the data directory below the recorded one: its own creation is recorded too.
const DataName = "data"

// Marks are what a process has said of a plan while it was recorded.
type Marks struct {
	plan   *Plan
	lines  []int
	bounds []Bounds // from each line on
}

// ReadMarks follows a plan by the outputs of the process that carried it out, one mark each.
func ReadMarks(seed uint64, outputs []Output) (*Marks, error) {
	m := &Marks{plan: NewPlan(seed)}
	for _, o := range outputs {
		if err := m.plan.Follow(string(o.Data)); err != nil {
			return nil, fmt.Errorf("line %d: %w", o.Line, err)
		}
		m.lines, m.bounds = append(m.lines, o.Line), append(m.bounds, m.plan.Bounds())
	}
	return m, nil
}

// Commits returns how many had begun.
func (m *Marks) Commits() int { return m.plan.Next() - 1 }

// at returns what a store has to hold after a cut at a line.
func (m *Marks) at(line int) Bounds {
	if i := sort.SearchInts(m.lines, line+1); i > 0 {
		return m.bounds[i-1]
	}
	return Bounds{}
}

// Verdict opens the store that a cut has left, compares all that it holds with the plan, stores something more, and looks
// for that in the store once more opened.
func (m *Marks) Verdict(root string, line int) error {
	dir := filepath.Join(root, DataName)
	store, err := boltstore.Open(dir, boltstore.Options{})
	if err != nil {
		return err
	}
	number, epochs, err := m.plan.Check(store, m.at(line))
	var added *reflect.Batch
	if err == nil {
		added, err = m.plan.add(store, number, epochs)
	}
	if err := errors.Join(err, store.Close()); err != nil {
		return err
	}
	store, err = boltstore.Open(dir, boltstore.Options{})
	if err != nil {
		return fmt.Errorf("opened again: %w", err)
	}
	return errors.Join(finds(store, added), store.Close())
}

// add stores one more message.
func (p *Plan) add(store reflect.Store, number int, epochs map[d2m.GroupID]reflect.Epoch) (*reflect.Batch, error) {
	group := p.groups[0]
	chunk := reflect.NewChunk(group, 0)
	chunk.Append(reflect.Message{Place: 1, Envelope: []byte("after the cut")})
	batch := &reflect.Batch{Group: group, Epoch: epochs[group], Chunk: chunk.Data}
	if err := store.Commit([]*reflect.Batch{batch})[0]; err != nil {
		return nil, fmt.Errorf("commit after the cut: %w", err)
	}
	if last := p.states[number].lastKey; batch.Key <= last {
		return nil, fmt.Errorf("commit after the cut: key %d, which is not above %d", batch.Key, last)
	}
	return batch, nil
}

// finds looks for the message of a batch.
func finds(store reflect.Store, batch *reflect.Batch) error {
	snapshot, err := store.Claim(batch.Group)
	if err != nil {
		return fmt.Errorf("opened again: %w", err)
	}
	if !slices.ContainsFunc(snapshot.Messages, func(m reflect.Stored) bool { return m.At.Key == batch.Key }) {
		return errors.New("opened again: what was committed after the cut is gone")
	}
	return nil
}
