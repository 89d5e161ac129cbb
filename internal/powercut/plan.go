package powercut

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"openmediator/d2m"
	"openmediator/reflect"
)

// planGroups is how many groups a plan has.
const planGroups = 6

// Plan is a row of commits, drawn from a seed, and what a store holds after each. What became of them is told by marks:
//
//	opened     the store was opened
//	begin 7    commit 7 begins; the numbers start at 1
//	acked 7    it is done: from here on it is durable
//	failed 7   it is not known whether it is
//	seen 7     whoever claims the groups sees what commit 7 has left: the last one that is done, or one that was begun
//
// One plan draws the commits for the process that carries them out, and another one, that follows the marks of it, knows
// what a power cut has to leave.
type Plan struct {
	random  *rand.Rand
	groups  []d2m.GroupID
	states  []*planState // by the number of the commit; 0 is the empty store
	batches []*reflect.Batch
	current int    // the last one that is known to be done
	begun   int    // the one in progress or in doubt, or current
	lastKey uint64 // that the store has given, failed commits included
}

// planState is what a store holds. It is not changed.
type planState struct {
	groups  map[d2m.GroupID]*planGroup
	lastKey uint64 // of a chunk that was stored
}

// planGroup is what it holds of one group. It is not changed.
type planGroup struct {
	state  *reflect.State
	blobs  []reflect.Blob // sorted as in a snapshot
	chunks []planChunk    // rising
	next   uint64         // number of the next message
}

type planChunk struct {
	key  uint64
	data []byte
	last uint64 // number of its last message
}

// NewPlan returns the plan of a seed.
func NewPlan(seed uint64) *Plan {
	p := &Plan{random: rand.New(rand.NewPCG(seed, 0x706c616e)), states: []*planState{{}}}
	for range planGroups {
		var group d2m.GroupID
		fill(p.random, group[:])
		p.groups = append(p.groups, group)
	}
	return p
}

func fill(random *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(random.Uint32())
	}
}

// Groups returns the groups that there may be.
func (p *Plan) Groups() []d2m.GroupID { return p.groups }

// Next returns the number of the next commit.
func (p *Plan) Next() int { return len(p.states) }

// Batches returns those of the commit that has begun, without their epochs.
func (p *Plan) Batches() []*reflect.Batch { return p.batches }

// Follow goes on by a mark.
func (p *Plan) Follow(mark string) error {
	var number int
	word, rest, _ := strings.Cut(strings.TrimSpace(mark), " ")
	if word != "opened" {
		if _, err := fmt.Sscan(rest, &number); err != nil {
			return fmt.Errorf("mark %q: has no number", mark)
		}
	}
	if number < 0 || number > len(p.states) || word != "begin" && number == len(p.states) {
		return fmt.Errorf("mark %q: there are %d commits", mark, len(p.states)-1)
	}
	switch {
	case word == "opened":
		// The store knows the keys that it has stored, and no others.
		p.lastKey = 0
	case word == "begin" && number == len(p.states):
		p.draw()
		p.begun = number
	case word == "failed" && number == p.begun:
	case word == "acked" && number == p.begun, word == "seen" && (number == p.begun || number == p.current):
		p.current, p.begun = number, number
		p.lastKey = max(p.lastKey, p.states[number].lastKey)
	default:
		return fmt.Errorf("mark %q: does not fit to commit %d begun and %d done", mark, p.begun, p.current)
	}
	return nil
}

// draw makes up the next commit.
func (p *Plan) draw() {
	before := p.states[p.current]
	after := &planState{groups: maps.Clone(before.groups)}
	if after.groups == nil {
		after.groups = make(map[d2m.GroupID]*planGroup)
	}
	p.batches = nil
	for _, i := range p.random.Perm(planGroups)[:1+p.random.IntN(3)] {
		d := drawer{random: p.random, group: p.groups[i], lastKey: p.lastKey}
		batch, held := d.draw(before.groups[p.groups[i]])
		p.batches = append(p.batches, batch)
		p.lastKey = d.lastKey
		if held == nil {
			delete(after.groups, p.groups[i])
		} else {
			after.groups[p.groups[i]] = held
		}
	}
	after.lastKey = before.lastKey
	if slices.ContainsFunc(p.batches, func(b *reflect.Batch) bool { return b.Chunk != nil }) {
		after.lastKey = p.lastKey
	}
	p.states = append(p.states, after)
}

// drawer makes up a batch.
type drawer struct {
	random  *rand.Rand
	group   d2m.GroupID
	lastKey uint64
}

// draw returns a batch for a group and what is stored of it afterwards: nil for nothing.
func (d *drawer) draw(before *planGroup) (*reflect.Batch, *planGroup) {
	batch := &reflect.Batch{Group: d.group}
	if before != nil && d.random.IntN(25) == 0 {
		batch.Erase = true
		before = nil
		if d.random.IntN(2) == 0 {
			return batch, nil
		}
	}
	after := d.continued(before)
	d.acknowledge(after.state)
	d.remove(batch, after)
	if d.random.IntN(5) > 0 {
		d.append(batch, after)
	}
	if d.random.IntN(4) == 0 {
		d.replace(batch, after)
	}
	batch.State = after.state.Append(nil)
	return batch, after
}

// continued returns a copy of what is stored of a group, or a new one.
func (d *drawer) continued(before *planGroup) *planGroup {
	if before == nil {
		first := 1 + d.random.Uint64N(1<<40)
		state := &reflect.State{Bound: first + 1<<16}
		for range 2 + d.random.IntN(2) {
			state.Slots = append(state.Slots, reflect.SlotState{
				Device: d2m.DeviceID(d.random.Uint64()), Expiration: d2m.Persistent, First: first, Next: first,
			})
		}
		return &planGroup{state: state, next: first}
	}
	after := *before
	state := *before.state
	state.Slots = slices.Clone(state.Slots)
	after.state = &state
	after.blobs, after.chunks = slices.Clone(after.blobs), slices.Clone(after.chunks)
	return &after
}

// acknowledge has slots wait for less, some with a gap. The first one is behind for long. Numbers that are acknowledged
// before they are given are not given any more.
func (d *drawer) acknowledge(state *reflect.State) {
	state.LastTimestamp++
	for i := range state.Slots {
		s := &state.Slots[i]
		waits := state.LastTimestamp + uint64(i)
		switch to := s.Next + d.random.Uint64N(6); {
		case i == 0 && waits%32 > 0:
		case d.random.IntN(8) == 0 && to > s.Next:
			s.Gaps = []uint64{s.Next}
			s.Next = to
		default:
			s.Gaps = nil
			s.Next = to
		}
	}
}

// remove deletes chunks that nobody waits for. Some stay for a while.
func (d *drawer) remove(batch *reflect.Batch, after *planGroup) {
	low := after.next
	for _, s := range after.state.Slots {
		next := s.Next
		if len(s.Gaps) > 0 {
			next = s.Gaps[0]
		}
		low = min(low, next)
	}
	after.chunks = slices.DeleteFunc(after.chunks, func(c planChunk) bool {
		gone := (c.last < low || len(after.chunks) > 12) && d.random.IntN(4) > 0
		if gone {
			batch.Delete = append(batch.Delete, c.key)
		}
		return gone
	})
}

// append adds a chunk of some messages, most of them small.
func (d *drawer) append(batch *reflect.Batch, after *planGroup) {
	chunk := reflect.NewChunk(d.group, 0)
	for _, s := range after.state.Slots {
		after.next = max(after.next, s.Next)
	}
	sender := after.state.Slots[d.random.IntN(len(after.state.Slots))].Device
	for range 1 + d.random.IntN(3) {
		size := d.random.IntN(400)
		switch d.random.IntN(40) {
		case 0:
			size = d2m.MaxEnvelopeSize - d.random.IntN(3)
		case 1, 2, 3:
			size = d.random.IntN(6000)
		}
		envelope := make([]byte, size)
		fill(d.random, envelope)
		chunk.Append(reflect.Message{
			Place: after.next, Timestamp: after.state.LastTimestamp, Sender: sender, Envelope: envelope,
		})
		after.next++
	}
	batch.Chunk = chunk.Data
	d.lastKey++
	after.chunks = append(after.chunks, planChunk{d.lastKey, chunk.Data, after.next - 1})
}

// replace stores or deletes a blob.
func (d *drawer) replace(batch *reflect.Batch, after *planGroup) {
	blob := reflect.Blob{Shared: true}
	if i := d.random.IntN(len(after.state.Slots) + 1); i > 0 {
		blob = reflect.Blob{Device: after.state.Slots[i-1].Device}
	}
	after.blobs = slices.DeleteFunc(after.blobs, func(b reflect.Blob) bool {
		return b.Shared == blob.Shared && b.Device == blob.Device
	})
	if d.random.IntN(3) > 0 {
		blob.Data = make([]byte, d.random.IntN(900))
		fill(d.random, blob.Data)
		after.blobs = append(after.blobs, blob)
		slices.SortFunc(after.blobs, compareBlobs)
	}
	batch.Blobs = []reflect.Blob{blob}
}
