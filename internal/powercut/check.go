package powercut

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"openmediator/d2m"
	"openmediator/reflect"
)

func compareBlobs(a, b reflect.Blob) int {
	if a.Shared != b.Shared {
		if a.Shared {
			return -1
		}
		return 1
	}
	return cmp.Compare(a.Device, b.Device)
}

// Bounds are the numbers of the commits of which one is what a store has to hold: what was done, and what was begun.
type Bounds struct{ Done, Begun int }

// Bounds returns those of the moment.
func (p *Plan) Bounds() Bounds { return Bounds{p.current, p.begun} }

// Check claims all groups and compares all that a store holds with what one of the two commits has left. It returns the
// one it is, the first one if there is no difference, and the epochs of the claims. Each message is read, and its
// checksum checked.
func (p *Plan) Check(store reflect.Store, bounds Bounds) (number int, epochs map[d2m.GroupID]reflect.Epoch, err error) {
	epochs = make(map[d2m.GroupID]reflect.Epoch)
	differs := make(map[int]error) // by commit
	candidates := slices.Compact([]int{bounds.Done, bounds.Begun})
	for i, group := range p.groups {
		snapshot, err := store.Claim(group)
		if err != nil {
			return 0, nil, fmt.Errorf("group %d: claim: %w", i, err)
		}
		epochs[group] = snapshot.Epoch
		for _, n := range candidates {
			held := p.states[n].groups[group]
			if err := held.check(store, group, snapshot); err != nil && differs[n] == nil {
				differs[n] = fmt.Errorf("it is not what commit %d left: group %d: %w", n, i, err)
			}
		}
	}
	for _, n := range candidates {
		if differs[n] == nil {
			return n, epochs, p.checkGroups(store, p.states[n])
		}
	}
	err = differs[candidates[0]]
	if len(candidates) > 1 {
		err = errors.Join(err, differs[candidates[1]])
	}
	return 0, nil, err
}

// checkGroups finds groups that should not be there.
func (p *Plan) checkGroups(store reflect.Store, held *planState) error {
	count := 0
	err := store.Groups(func(group d2m.GroupID, _ []byte) error {
		count++
		if held.groups[group] == nil {
			return errors.New("it lists a group that is gone, or that there never was")
		}
		return nil
	})
	if err == nil && count != len(held.groups) {
		return fmt.Errorf("it lists %d groups, want %d", count, len(held.groups))
	}
	return err
}

// check compares what a claim has found with what is to be there; g is nil for nothing.
func (g *planGroup) check(store reflect.Store, group d2m.GroupID, s *reflect.Snapshot) error {
	if g == nil {
		if s.State != nil || len(s.Blobs) > 0 || len(s.Messages) > 0 {
			return fmt.Errorf("is there, with %d blobs and %d messages", len(s.Blobs), len(s.Messages))
		}
		return nil
	}
	if want := g.state.Append(nil); !bytes.Equal(s.State, want) {
		return fmt.Errorf("state is %x, want %x", s.State, want)
	}
	same := func(a, b reflect.Blob) bool { return compareBlobs(a, b) == 0 && bytes.Equal(a.Data, b.Data) }
	if !slices.EqualFunc(s.Blobs, g.blobs, same) {
		return fmt.Errorf("has %d blobs, and others than the %d wanted", len(s.Blobs), len(g.blobs))
	}
	return g.checkMessages(store, group, s)
}

// checkMessages compares the messages. One that nobody waits for may have been erased.
func (g *planGroup) checkMessages(store reflect.Store, group d2m.GroupID, s *reflect.Snapshot) error {
	var want []reflect.Stored
	var waited []reflect.Location
	var records [][]byte
	eraser := reflect.NewEraser(g.state)
	for _, c := range g.chunks {
		stored, err := reflect.AppendStored(nil, c.key, c.data)
		if err != nil {
			return err
		}
		erased, _ := eraser.Erase(c.data)
		for _, m := range stored {
			record, err := reflect.Record(c.data, m.At)
			if err != nil {
				return err
			}
			if left, _ := reflect.Record(erased, m.At); bytes.Equal(record, left) && m.Envelope > 0 {
				waited, records = append(waited, m.At), append(records, record)
			}
		}
		want = append(want, stored...)
	}
	same := func(a, b reflect.Stored) bool {
		return a.At == b.At && a.Envelope == b.Envelope && a.Place == b.Place && a.Timestamp == b.Timestamp && a.Sender == b.Sender
	}
	if !slices.EqualFunc(s.Messages, want, same) {
		return fmt.Errorf("has %d messages %v, want %d %v", len(s.Messages), keys(s.Messages), len(want), keys(want))
	}
	return store.Read(group, s.Epoch, waited, func(i int, record []byte) error {
		if _, err := reflect.ParseRecord(record); err != nil {
			return err
		}
		if !bytes.Equal(record, records[i]) {
			return fmt.Errorf("message at %v is another one", waited[i])
		}
		return nil
	})
}

// keys returns the keys of the chunks of messages.
func keys(messages []reflect.Stored) []uint64 {
	var keys []uint64
	for _, m := range messages {
		keys = append(keys, m.At.Key)
	}
	return slices.Compact(keys)
}
