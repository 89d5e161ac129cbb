package devicegroup_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
)

// plan is what a history starts with.
type plan struct {
	config devicegroup.Config
	drawn  uint64 // numbers that count as drawn (B14)
}

func (pl plan) String() string {
	c := pl.config
	return fmt.Sprintf("%d slots, absence %v, queue %d messages, %d bytes, group %d bytes, ttl %v, staged %d bytes, memory %d bytes, drawn %d",
		c.MaxSlots, c.MaxAbsence, c.QueueMessages, c.QueueBytes, c.GroupBytes, c.MaxTTL, c.StagedBytes, c.TailBytes, pl.drawn)
}

// weights say how often each kind is chosen.
var weights = [opKinds]int{
	opConnect: 40, opReflect: 160, opAck: 120, opDevices: 20, opDrop: 5, opShared: 10, opGarbage: 3, opEnd: 15, opNext: 330,
	opDrained: 30, opWritten: 10, opSeal: 110, opAnswer: 140, opTrim: 15, opClock: 50, opTick: 5, opCrash: 4, opFail: 1,
	opClaim: 20, opFull: 3, opSettle: 3,
	opBegin: 40, opCommit: 25, opPipeline: 30, opClose: 2, opCrowded: 3,
}

// writer makes up a history while it is played.
type writer struct {
	*rand.Rand
	weights  [opKinds]int
	total    int
	sizes    []int
	failures int  // per mille of commits
	heavy    bool // large messages
	typing   bool // many ephemerals
	name     int
	last     opKind
	script   []op
}

func newWriter(seed uint64) (*writer, plan) {
	w := &writer{Rand: rand.New(rand.NewPCG(seed, 0x6d6f64656c))}
	w.heavy, w.typing = w.IntN(20) == 0, w.IntN(30) == 0
	for kind, weight := range weights {
		w.weights[kind] = weight * []int{1, 3, 3, 3, 8}[w.IntN(5)]
		w.total += w.weights[kind]
	}
	w.failures = []int{0, 10, 60}[w.IntN(3)]
	w.sizes = [][]int{{8}, {0, 8, 100}, {8, 300, 3000}}[w.IntN(3)]
	return w, w.plan()
}

// plan makes up settings: often narrow ones, so that their limits are reached.
func (w *writer) plan() plan {
	pl := plan{config: devicegroup.DefaultConfig()}
	pl.config.MaxSlots = []int{1, 2, 3, 3, 4, 4, 4, 5}[w.IntN(8)]
	if w.IntN(2) == 0 {
		pl.config.MaxAbsence = time.Hour
	}
	if w.IntN(3) == 0 && !w.heavy {
		pl.config.QueueMessages = 3 + w.IntN(20)
	}
	if w.IntN(3) == 0 && !w.heavy {
		pl.config.QueueBytes = int64(8 * (40 + w.IntN(700)))
	}
	if w.IntN(4) == 0 && !w.heavy {
		pl.config.GroupBytes = int64(8 * (40 + w.IntN(700)))
	}
	if w.IntN(3) == 0 && !w.heavy {
		pl.config.StagedBytes = 64 * (3 + w.IntN(12))
	}
	if w.IntN(3) == 0 {
		pl.config.MaxTTL = []time.Duration{2 * time.Second, 1500 * time.Millisecond, time.Minute}[w.IntN(3)]
	}
	pl.config.TailBytes = []int{0, 500, pl.config.TailBytes}[w.IntN(3)]
	switch w.IntN(3) {
	case 0:
		pl.drawn = 1<<32 - 1 - uint64(w.IntN(60))
	case 1:
		pl.drawn = 1<<32 - 1 - uint64(w.IntN(3000))
	}
	return pl
}

// op makes up the next step.
func (w *writer) op(p *playthrough) op {
	if len(w.script) == 0 && len(p.alive) > 1 && w.IntN(40) == 0 {
		switch {
		case w.typing:
			w.script = w.typingWhileSealed(p.alive[0], p.alive[1])
		case p.plan.config.QueueMessages < 25 && w.IntN(4) == 0:
			w.script = w.holderOverLimit(p, p.alive[0], p.alive[1])
		default:
			w.script = w.againAfter5s(p, p.alive[len(p.alive)-1])
		}
	}
	if len(w.script) > 0 {
		o := w.script[0]
		w.script = w.script[1:]
		return o
	}
	kind := w.kind(p)
	w.last = kind
	o := op{kind: kind, device: w.IntN(len(playDevices)), n: 1, size: w.sizes[w.IntN(len(w.sizes))]}
	if kind == opConnect {
		w.name++
		o.conn = w.name
		o.device = w.device(p)
		o.mode = w.connectMode(p, o)
		o.n = w.IntN(len(infoSizes))
		return o
	}
	if l := w.link(p, kind); l != nil {
		o.conn = l.name
	}
	w.detail(&o)
	return o
}

// link chooses a connection, mostly one that does something. Slow ones are seldom read.
func (w *writer) link(p *playthrough, kind opKind) *link {
	if len(p.alive) == 0 {
		return nil
	}
	for range 6 {
		l := p.alive[w.IntN(len(p.alive))]
		if kind == opNext && l.awake && (!l.slow || w.IntN(10) == 0) || kind != opNext && l.core.Registered() {
			return l
		}
	}
	return p.alive[w.IntN(len(p.alive))]
}

// Sequences that mere chance seldom comes to.

// againAfter5s lets a device send something as soon as that confirms its slot, or just before, and register anew (B7).
func (w *writer) againAfter5s(p *playthrough, l *link) []op {
	w.name++
	wait := l.writtenAt.Sub(p.now).Milliseconds() + 5000 + int64(w.IntN(2))
	if l.writtenAt.IsZero() || wait < 0 {
		return nil
	}
	again := op{kind: opConnect, conn: w.name, device: slices.Index(playDevices, l.device)}
	return []op{{kind: opClock, n: int(wait)}, {kind: opDevices, conn: l.name, n: 1}, again}
}

// typingWhileSealed draws numbers by the hundred, by ephemerals alone, while something lazy is being written that never
// arrives (B14).
func (w *writer) typingWhileSealed(from, to *link) []op {
	burst := op{kind: opReflect, conn: from.name, mode: reflectEphemeral, n: 300 + w.IntN(400), size: 8}
	takes := op{kind: opNext, conn: to.name}
	return []op{burst, {kind: opSettle}, burst, {kind: opSeal, mode: 1}, burst, takes, takes, {kind: opCrash}}
}

// holderOverLimit lets acknowledgements be lost, so that more waits for a device than may, and lets it take the lock and
// connect again (B22, B28).
func (w *writer) holderOverLimit(p *playthrough, holder, other *link) []op {
	most := p.plan.config.QueueMessages
	fills := op{kind: opReflect, conn: other.name, n: most, size: 8}
	comes := op{kind: opConnect, device: slices.Index(playDevices, holder.device), mode: connectExisting}
	w.name += 2
	again := comes
	comes.conn, again.conn = w.name-1, w.name
	takes, acks := op{kind: opNext, conn: holder.name}, op{kind: opAck, conn: holder.name, mode: ackNext, n: 1000}
	return []op{{kind: opSettle}, acks, {kind: opSettle}, fills, {kind: opSeal}, {kind: opAnswer}, takes, acks, fills,
		{kind: opSeal}, {kind: opAnswer}, {kind: opCrash}, comes, {kind: opBegin, conn: comes.conn, n: 60}, again}
}

// kind chooses one. The fewer devices are there, the sooner one comes.
func (w *writer) kind(p *playthrough) opKind {
	registered := 0
	for _, l := range p.alive {
		if l.core.Registered() {
			registered++
		}
	}
	if w.IntN(4+12*registered) == 0 {
		return opConnect
	}
	if w.last == opCrash && w.IntN(4) == 0 {
		return opSettle
	}
	at := w.IntN(w.total)
	kind := opKind(0)
	for at >= w.weights[kind] {
		at -= w.weights[kind]
		kind++
	}
	return kind
}

// device chooses one, mostly one that is not connected.
func (w *writer) device(p *playthrough) int {
	device := w.IntN(len(playDevices))
	for range 3 {
		id := playDevices[device]
		if !slices.ContainsFunc(p.alive, func(l *link) bool { return l.device == id && l.core.Registered() }) {
			break
		}
		device = w.IntN(len(playDevices))
	}
	return device
}

// connectMode mostly expects what is so.
func (w *writer) connectMode(p *playthrough, o op) int {
	mode := w.IntN(16)
	mode &^= connectExisting
	if slices.Contains(p.model.Devices(), playDevices[o.device]) != (w.IntN(12) == 0) {
		mode |= connectExisting
	}
	if w.IntN(3) > 0 {
		mode &^= connectSlow
	}
	return mode
}

func (w *writer) detail(o *op) {
	switch o.kind {
	case opReflect:
		w.detailReflect(o)
	case opAck:
		w.detailAck(o)
	case opDevices:
		o.n = []int{1, 1, 1, 1, 20}[w.IntN(5)]
	case opShared:
		o.n = w.IntN(100)
		o.size = []int{0, 10, 10, 100, d2m.MaxSharedDataSize, d2m.MaxSharedDataSize + 1}[w.IntN(6)]
	case opGarbage:
		o.n = w.IntN(len(garbage))
	case opBegin:
		o.id = d2m.ReflectID(w.IntN(100))
		o.n = []int{0, 0, 1, 3, 60, 1799, 1800, 1801, 1<<32 - 1}[w.IntN(9)]
		o.size = []int{0, 4, 4, 4, d2m.MaxScopeSize, d2m.MaxScopeSize + w.IntN(2)}[w.IntN(6)]
	case opPipeline:
		o.id = d2m.ReflectID(w.IntN(100))
		o.n = w.IntN(4)
		o.mode = w.IntN(pipeModes)
		if w.IntN(2) == 0 {
			o.mode = pipeBegin | pipeReflect | pipeReflectAgain | pipeCommit
		}
		if w.IntN(3) > 0 {
			o.mode &^= pipeBeginAgain
		}
	case opCrowded:
		o.mode = w.IntN(2)
	case opNext, opFull, opFail:
		o.mode = w.IntN(4) / 3
	case opSeal:
		o.mode = w.IntN(3) / 2
	case opAnswer:
		if w.IntN(1000) < w.failures {
			o.mode = 1 + w.IntN(len(outcomes)-1)
		}
	case opTrim:
		o.n = w.IntN(3) * 200
	case opClock:
		o.n = []int{1, 1, 10, 300, 600, 600, 2000, 5000, 5000, 5001, 20_000, -1}[w.IntN(12)]
		if w.IntN(15) == 0 {
			o.n = []int{11 * 60_000, 2 * 3_600_000, -3_600_000}[w.IntN(3)]
		}
	case opCrash:
		o.mode = w.IntN(2)
		o.n = []int{0, 1, 3000, -3_600_000}[w.IntN(4)]
	}
}

func (w *writer) detailReflect(o *op) {
	o.id = []d2m.ReflectID{0, 1, 2, 1<<32 - 1, d2m.ReflectID(w.Uint32())}[w.IntN(5)]
	switch {
	case w.IntN(3) == 0:
		o.mode = w.IntN(reflectModes)
	case w.typing:
		o.mode = reflectEphemeral
	}
	switch w.IntN(20) {
	case 0:
		o.n = 2 + w.IntN(30)
	case 1, 2, 4, 5:
		if w.heavy {
			o.mode = []int{reflectNormal, reflectEphemeral, reflectEphemeral}[w.IntN(3)]
			o.n, o.size = 4+w.IntN(20), 60_000
		}
		if w.typing {
			o.mode, o.n, o.size = reflectEphemeral, 100+w.IntN(900), 8
		}
	case 3:
		if w.IntN(20) == 0 {
			o.size = d2m.MaxEnvelopeSize + w.IntN(2)
		}
	}
}

func (w *writer) detailAck(o *op) {
	switch w.IntN(40) {
	default:
		o.mode, o.n = ackNext, 1+w.IntN(4)
	case 0, 1, 2, 3:
		o.mode, o.n = ackNext, 1000
	case 4, 5, 6, 7, 8, 9, 10, 11:
		o.mode, o.n = ackGiven, w.IntN(20)
	case 12, 13, 14, 15:
		o.mode, o.n = []int{ackFormer, ackElsewhere}[w.IntN(2)], w.IntN(20)
	case 16:
		o.mode, o.n = ackAhead, []int{1, 1, 2, 3, 10, 10_000, 1<<31 - 1, 1 << 31, 1<<31 + 1}[w.IntN(9)]
		if w.IntN(3) == 0 {
			o.mode, o.n = ackRaw, int(w.Uint32())
		}
	}
}
