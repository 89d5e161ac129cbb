package devicegroup_test

import (
	"encoding/binary"
	"fmt"
	"time"

	"openmediator/d2m"
)

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
	opBegin
	opCommit
	opPipeline
	opClose
	opCrowded
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
	d2m.BeginTransactionAck{}.Append(nil),
	d2m.TransactionEnded{}.Append(nil),
	d2m.BeginTransaction{Scope: make([]byte, d2m.MaxScopeSize+1)}.Append(nil),
	append(d2m.CommitTransaction{}.Append(nil), 0),
}

// do plays one step, and compares.
func (p *playthrough) do(o op) error {
	p.say("%v", o)
	return guard(func() error {
		if err := p.step(o); err != nil {
			return err
		}
		return p.compare()
	})
}

func (p *playthrough) step(o op) error {
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
	case opCrowded:
		p.crowded = o.mode == 1
		p.group.SetCrowded(p.crowded)
		p.model.SetCrowded(p.crowded)
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
	case opBegin:
		return p.receive(l, beginFrame(o))
	case opCommit:
		return p.receive(l, d2m.CommitTransaction{}.Append(nil))
	case opPipeline:
		return p.pipeline(l, o)
	case opClose:
		return p.close(l)
	case opEnd:
		return p.end(l)
	case opNext:
		return p.doNext(l, o)
	case opDrained:
		// Something may have come meanwhile. Where it is not certain whether it has, nothing can be said.
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

// reflect sends n messages.
func (p *playthrough) reflect(l *link, o op) error {
	for range o.n {
		if p.links[l.name] != l {
			return nil
		}
		p.serial++
		envelope := make([]byte, o.size)
		copy(envelope, fmt.Sprintf("m%d.", p.serial))
		if err := p.receive(l, reflectFrame(o, envelope)); err != nil {
			return err
		}
	}
	return nil
}

func reflectFrame(o op, envelope []byte) []byte {
	var header []byte
	flags := uint16(0)
	switch o.mode {
	case reflectEphemeral:
		flags = d2m.FlagEphemeral
	case reflectOtherFlags:
		flags = ^d2m.FlagEphemeral
	case reflectLongHeader:
		header = []byte{1, 2, 3}
	}
	frame := []byte{byte(d2m.TypeReflect), 1, 2, 3, byte(8 + len(header)), 7}
	frame = binary.LittleEndian.AppendUint16(frame, flags)
	frame = binary.LittleEndian.AppendUint32(frame, uint32(o.id))
	return append(append(frame, header...), envelope...)
}

// beginFrame is a BeginTransaction; n is the ttl, size that of the scope.
func beginFrame(o op) []byte {
	scope := make([]byte, o.size)
	copy(scope, fmt.Sprintf("t%d.", o.id))
	return d2m.BeginTransaction{Scope: scope, TTL: uint32(o.n)}.Append(nil)
}

// Bits of opPipeline's mode. What is set is sent, in this order, whether the connection is read or not, and once more if
// the last one is set.
const (
	pipeBegin = 1 << iota
	pipeBeginAgain
	pipeReflect
	pipeEphemeral
	pipeReflectAgain
	pipeCommit
	pipeReflectBehind
	pipeBeginBehind
	pipeCommitBehind
	pipeTwice
	pipeModes
)

// pipeline sends a sequence without waiting for anything.
func (p *playthrough) pipeline(l *link, o op) error {
	rounds := 1 + o.mode/pipeTwice
	for range rounds {
		for bit := pipeBegin; bit < pipeTwice; bit <<= 1 {
			if o.mode&bit == 0 || p.links[l.name] != l {
				continue
			}
			if l.core.Blocked() && !p.model.Committing(l.model) {
				return nil
			}
			if err := p.push(l, p.pipeFrame(o, bit)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *playthrough) pipeFrame(o op, bit int) []byte {
	switch bit {
	case pipeBegin, pipeBeginAgain, pipeBeginBehind:
		return beginFrame(op{size: 5, id: o.id, n: o.n})
	case pipeCommit, pipeCommitBehind:
		return d2m.CommitTransaction{}.Append(nil)
	}
	p.serial++
	envelope := make([]byte, o.size)
	copy(envelope, fmt.Sprintf("m%d.", p.serial))
	if bit == pipeEphemeral {
		o.mode = reflectEphemeral
	} else {
		o.mode = reflectNormal
	}
	return reflectFrame(o, envelope)
}
