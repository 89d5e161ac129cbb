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

// op is one step of a history, as data: it can be played again, and left out. One that makes no sense at its place, for
// the connection is not there, does nothing.
type op struct {
	kind   opKind
	conn   int // the connection's name
	device int // index in playDevices
	mode   int
	n      int
	size   int
	id     d2m.ReflectID
}

type opKind int

const (
	opConnect opKind = iota
	opReflect
	opAck
	opDevices
	opDrop
	opShared
	opGarbage
	opEnd
	opNext
	opDrained
	opWritten
	opSeal
	opAnswer
	opTrim
	opClock
	opTick
	opCrash
	opFail
	opClaim
	opFull
	opSettle
	opKinds
)

// Modes of opConnect, bits.
const (
	connectExisting = 1 << iota
	connectDropLeastRecent
	connectPersistent
	connectSlow
)

// Modes of opReflect.
const (
	reflectNormal = iota
	reflectEphemeral
	reflectOtherFlags
	reflectLongHeader
	reflectModes
)

// Modes of opAck.
const (
	ackNext      = iota // the first n that were not
	ackGiven            // the nth that this connection was given
	ackFormer           // the nth that the device's former connection was given
	ackElsewhere        // the one drawn last that any connection was given
	ackAhead            // n above that one
	ackRaw              // n
	ackModes
)

// infoSizes are sizes of device infos.
var infoSizes = []int{0, 20, d2m.MaxDeviceInfoSize}

// playDevices are the ids that devices have.
var playDevices = []d2m.DeviceID{0, 1<<64 - 1, 1, 7, 1 << 63}

// weights say how often each kind is chosen.
var weights = [opKinds]int{
	opConnect: 40, opReflect: 160, opAck: 120, opDevices: 20, opDrop: 5, opShared: 10, opGarbage: 3, opEnd: 15, opNext: 330,
	opDrained: 30, opWritten: 10, opSeal: 110, opAnswer: 140, opTrim: 15, opClock: 50, opTick: 5, opCrash: 4, opFail: 1,
	opClaim: 20, opFull: 3, opSettle: 3,
}

// writer makes up a history while it is played.
type writer struct {
	*rand.Rand
	weights  [opKinds]int
	total    int
	sizes    []int
	failures int // per mille of commits
	heavy    bool // large messages
	typing   bool // many ephemerals
	name     int
}

func newWriter(seed uint64) (*writer, plan) {
	w := &writer{Rand: rand.New(rand.NewPCG(seed, 0x6d6f64656c))}
	for kind, weight := range weights {
		w.weights[kind] = weight * []int{1, 3, 3, 3, 8}[w.IntN(5)]
		w.total += w.weights[kind]
	}
	w.heavy, w.typing = w.IntN(20) == 0, w.IntN(20) == 0
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
		pl.config.QueueBytes = int64(300 + w.IntN(6000))
	}
	if w.IntN(4) == 0 && !w.heavy {
		pl.config.GroupBytes = int64(300 + w.IntN(6000))
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
	kind := w.kind(p)
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
	if w.IntN(3) == 0 {
		o.mode = w.IntN(reflectModes)
	}
	switch w.IntN(20) {
	case 0:
		o.n = 2 + w.IntN(30)
	case 1, 2:
		if w.heavy {
			o.mode, o.n, o.size = w.IntN(2), 4+w.IntN(25), 60_000
		}
		if w.typing {
			o.mode, o.n, o.size = reflectEphemeral, 100+w.IntN(1500), 8
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

// garbage is what no device should send after ClientHello.
var garbage = [][]byte{
	nil,
	{byte(d2m.TypeReflect)},
	{0x99, 0, 0, 0},
	make([]byte, d2m.MaxMessageSize+1),
	{byte(d2m.TypeReflect), 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0},
	{byte(d2m.TypeReflect), 0, 0, 0, 99, 0, 0, 0, 1, 0, 0, 0},
	{byte(d2m.TypeReflectedAck), 0, 0, 0, 1, 2},
	{byte(d2m.TypeDropDevice), 0, 0, 0, 0xFF},
	d2m.ClientHello{}.Append(nil),
	d2m.ServerHello{}.Append(nil),
	d2m.ServerInfo{}.Append(nil),
	d2m.ReflectAck{}.Append(nil),
	d2m.Reflected{}.Append(nil),
	d2m.ReflectionQueueDry{}.Append(nil),
	d2m.DropDeviceAck{}.Append(nil),
	d2m.BeginTransaction{Scope: []byte("scope"), TTL: 1}.Append(nil),
	d2m.BeginTransaction{Scope: make([]byte, d2m.MaxScopeSize+1)}.Append(nil),
	d2m.CommitTransaction{}.Append(nil),
}

// do plays one step.
func (p *playthrough) do(o op) error {
	p.say("%v", o)
	switch o.kind {
	case opConnect:
		return p.doConnect(o)
	case opSeal:
		_, err := p.seal(o.mode == 1)
		return err
	case opAnswer:
		return p.answer(outcome(o.mode))
	case opTrim:
		p.group.Trim(o.n)
	case opClock:
		return p.pass(time.Duration(o.n) * time.Millisecond)
	case opTick:
		return p.tick()
	case opCrash:
		return p.crash(o.mode == 1, time.Duration(o.n)*time.Millisecond)
	case opFail:
		return p.fail(o.mode == 1)
	case opClaim:
		return p.reclaim()
	case opFull:
		p.full = o.mode == 1
		p.group.SetFull(p.full)
		p.model.SetFull(p.full)
	case opSettle:
		return p.settle()
	default:
		if l := p.links[o.conn]; l != nil {
			return p.doLink(l, o)
		}
	}
	return nil
}

// doLink plays a step of one connection.
func (p *playthrough) doLink(l *link, o op) error {
	switch o.kind {
	case opReflect:
		return p.reflect(l, o)
	case opAck:
		return p.doAck(l, o)
	case opDevices:
		for range o.n {
			if err := p.receive(l, d2m.GetDevicesInfo{}.Append(nil)); err != nil {
				return err
			}
		}
	case opDrop:
		return p.receive(l, d2m.DropDevice{DeviceID: playDevices[o.device]}.Append(nil))
	case opShared:
		data := make([]byte, o.size)
		copy(data, fmt.Sprintf("s%d.", o.n))
		return p.receive(l, d2m.SetSharedDeviceData{Data: data}.Append(nil))
	case opGarbage:
		return p.receive(l, garbage[o.n])
	case opEnd:
		return p.end(l)
	case opNext:
		return p.doNext(l, o)
	case opDrained:
		if p.model.Certain(l.model) {
			return p.drained(l)
		}
	case opWritten:
		return p.written(l)
	}
	return nil
}

// doConnect registers a device. What the server does after a failure, claim again, is left out in some cases.
func (p *playthrough) doConnect(o op) error {
	if o.mode&connectSlow == 0 {
		if err := p.reclaim(); err != nil {
			return err
		}
	}
	hello := d2m.ClientHello{DeviceID: playDevices[o.device]}
	if o.mode&connectExisting != 0 {
		hello.Expected = d2m.SlotExisting
	}
	if o.mode&connectDropLeastRecent != 0 {
		hello.SlotsExhausted = d2m.DropLeastRecent
	}
	if o.mode&connectPersistent != 0 {
		hello.Expiration = d2m.Persistent
	}
	hello.DeviceInfo = make([]byte, infoSizes[o.n])
	copy(hello.DeviceInfo, fmt.Sprintf("i%d.", o.device))
	l, err := p.connect(o.conn, hello)
	l.slow = o.mode&connectSlow != 0
	return err
}

// doNext reads from the group, and says when nothing is left.
func (p *playthrough) doNext(l *link, o op) error {
	gave, err := p.next(l, o.mode == 0)
	if err == nil && !gave && !l.core.Dry() {
		err = p.drained(l)
	}
	return err
}

func (p *playthrough) doAck(l *link, o op) error {
	former := p.former[l.device]
	switch {
	case o.mode == ackNext:
		for n := 0; n < o.n && l.acked < len(l.numbers) && p.links[l.name] == l; n++ {
			l.acked++
			if err := p.acknowledge(l, l.numbers[l.acked-1]); err != nil {
				return err
			}
		}
	case o.mode == ackGiven && len(l.numbers) > 0:
		return p.acknowledge(l, l.numbers[len(l.numbers)-1-o.n%len(l.numbers)])
	case o.mode == ackFormer && len(former) > 0:
		return p.acknowledge(l, former[len(former)-1-o.n%len(former)])
	case o.mode == ackElsewhere:
		return p.acknowledge(l, p.highest)
	case o.mode == ackAhead:
		return p.acknowledge(l, p.highest+d2m.ReflectedID(o.n))
	case o.mode == ackRaw:
		return p.acknowledge(l, d2m.ReflectedID(o.n))
	}
	return nil
}
