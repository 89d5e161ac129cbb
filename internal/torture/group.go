package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"openmediator/d2m"
	"openmediator/devicekeys"
	"openmediator/internal/history"
)

// kind is what may happen in a group.
type kind int

const (
	plain   kind = iota // no slot may ever get lost
	quiet               // plain, and silent most of the time
	honest              // plain, undisturbed and regular: the time to its acks is measured
	drops               // devices drop others and themselves, never the first: without a slot the group would begin anew
	crowded             // more devices than slots: any slot may be lost to another device
	flooded             // more messages than a queue may hold
)

// pace is how a kind reflects.
type pace struct {
	burst int     // at most
	rest  float64 // between two bursts, compared to plain
}

var paces = map[kind]pace{
	plain: {8, 1}, quiet: {2, 8}, drops: {8, 1}, crowded: {8, 1}, flooded: {64, 0.5},
}

// A group in which no queue may overflow is finished before any could.
const (
	calmMessages = maxQueueMessages * 3 / 4
	calmBytes    = maxQueueBytes / 2
)

// group is a device group from its first connection to its last.
type group struct {
	// fixed
	*run
	number  int
	kind    kind
	keys    *devicekeys.Keys
	devices []*device
	stays   bool            // its slots stay at the end
	load    context.Context // ends when the devices are to fall silent
	finish  context.CancelFunc
	first   chan struct{} // closed when the first device has a slot

	mu     sync.Mutex // guards the following, and what is said so of a device
	random *rand.Rand
	serial uint64
	tiny   [8]uint64 // envelopes of some bytes so far, by size
	shared sharedData
	sent   int // messages, ephemerals not counted
	bytes  int
}

func (r *run) newGroup(number int) (*group, error) {
	random := rand.New(rand.NewPCG(r.seed, uint64(number)+1))
	var secret [32]byte
	binary.LittleEndian.PutUint64(secret[:], r.seed)
	binary.LittleEndian.PutUint64(secret[8:], uint64(number))
	keys, err := devicekeys.FromGroupKey(secret)
	if err != nil {
		return nil, err
	}
	g := &group{
		run: r, number: number, kind: r.drawKind(number, random), keys: keys, random: random,
		stays: random.IntN(6) == 0 && !r.settings.soak, first: make(chan struct{}),
		shared: newSharedData(),
	}
	g.load, g.finish = context.WithCancel(r.loadOver)
	size := 2 + random.IntN(min(maxSlots, 8)-1)
	switch g.kind {
	case crowded:
		size = maxSlots + 1 + random.IntN(2)
	case flooded, honest:
		size = 2 + random.IntN(2)
	}
	for i := range size {
		g.devices = append(g.devices, g.newDevice(d2m.DeviceID(i)))
	}
	return g, nil
}

// drawKind draws one of those that the faults allow. Two groups at a time are honest.
func (r *run) drawKind(number int, random *rand.Rand) kind {
	k := plain
	switch n := random.IntN(20); {
	case number%r.groups < 2:
		k = honest
	case n < 3:
		k = quiet
	case n < 6 && r.faults["drops"]:
		k = drops
	case n < 8 && r.faults["limits"]:
		k = crowded
	case n == 8 && r.faults["limits"]:
		k = flooded
	}
	return k
}

// live runs the group until it is judged.
func (g *group) live(ctx context.Context) {
	life := g.life/2 + upTo(g.random, g.life)
	timer := time.AfterFunc(life, g.finish)
	defer timer.Stop()
	defer g.finish()
	var running sync.WaitGroup
	for _, d := range g.devices {
		running.Go(func() { d.live(ctx) })
	}
	running.Wait()
	defer func() {
		for _, d := range g.devices {
			d.closeNow()
		}
	}()
	if !g.settle(ctx) {
		return
	}
	g.judge()
	if g.stays {
		g.stay(g.keys.GroupID())
	} else if !g.depart(ctx) {
		return
	}
	g.tally.groups.Add(1)
}

// judge has the histories checked.
func (g *group) judge() {
	h := g.history()
	g.judging <- struct{}{}
	defer func() { <-g.judging }()
	if g.breakOne {
		g.removeOne(h)
	}
	for _, d := range h.Devices {
		g.tally.events.Add(int64(len(d.Events)))
	}
	g.tally.judged.Add(1)
	if err := history.Check(h); err != nil {
		g.findHistory(g, h, err)
	}
}

func (g *group) history() *history.History {
	var recorders []*history.Recorder
	for _, d := range g.devices {
		recorders = append(recorders, d.Recorder)
	}
	return g.world.history.History(recorders)
}

// String implements fmt.Stringer.
func (g *group) String() string { return fmt.Sprintf("group %d", g.number) }
