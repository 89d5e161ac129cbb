package main

import (
	"math/rand/v2"
	"time"
)

// road is what lies between a device and the server for one connection.
type road struct {
	kind  roadKind
	delay time.Duration // of each piece, both ways
	after time.Duration // from the dial to the cut, or to the first byte that is swallowed
}

type roadKind int

const (
	direct       roadKind = iota
	delays                // only that
	cutByFIN              // orderly for TCP, without a Close frame
	cutByReset            //
	swallowsUp            // what the device sends does not arrive, its end neither
	swallowsDown          // what the server sends does not arrive
	swallowsBoth          //
	roadKinds
)

var roadNames = [roadKinds]string{"direct", "delayed", "cut", "reset", "swallowed up", "swallowed down", "swallowed"}

func (r road) cuts() bool     { return r.kind == cutByFIN || r.kind == cutByReset }
func (r road) swallows() bool { return r.kind >= swallowsUp }

// faulty tells whether a connection may end, or stay without an answer, because of the road.
func (r road) faulty() bool { return r.cuts() || r.swallows() }

// drawRoad draws one of those that the faults allow. Half of the connections are direct.
func drawRoad(random *rand.Rand, f faults) road {
	r := road{kind: roadKind(random.IntN(2 * int(roadKinds)))}
	switch {
	case r.kind >= roadKinds,
		r.cuts() && !f["cut"], r.swallows() && !f["swallow"], r.kind == delays && !f["delay"]:
		return road{}
	}
	if f["delay"] && r.kind != direct {
		r.delay = upTo(random, 20*time.Millisecond)
		if random.IntN(8) == 0 {
			r.delay = upTo(random, time.Second)
		}
	}
	r.after = 50*time.Millisecond + upTo(random, 4*time.Second)
	return r
}
