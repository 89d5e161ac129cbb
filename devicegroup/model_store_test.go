package devicegroup_test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
	"openmediator/devicegroup/model"
	"openmediator/reflect"
	"openmediator/reflect/memstore"
)

// outcome is what becomes of a commit.
type outcome int

const (
	outcomeDone outcome = iota
	outcomeUnavailable
	outcomeUnavailableStored
	outcomeFenced
)

var outcomes = [...]error{nil, reflect.ErrUnavailable, memstore.ErrUnavailableStored, reflect.ErrFenced}

// seal begins a commit. It reports whether there is anything to be stored.
func (p *playthrough) seal(all bool) (bool, error) {
	if p.flight != nil || p.group.Failed() {
		return false, nil
	}
	needs := p.group.Needs()
	b := p.group.Seal(p.now, all)
	if b == nil {
		if needs == devicegroup.NeedNow || all && needs != devicegroup.NeedNothing {
			return false, errors.New("B17: there is something to be stored, and then there is not")
		}
		return false, p.model.Unsealed(p.now, all)
	}
	if needs == devicegroup.NeedNothing {
		return false, errors.New("B17: something is to be stored, and nobody was told")
	}
	p.flight = b
	records, positions, err := chunkRecords(b.Chunk)
	if err != nil {
		return false, err
	}
	messages, err := p.model.Sealed(p.now, all, records, b.State != nil)
	if err != nil {
		return false, err
	}
	for i := range messages {
		p.messages[positions[i]] = messages[i]
	}
	p.say("     sealed: %d messages, state: %v, %d blobs, %d deleted, erase: %v",
		len(records), b.State != nil, len(b.Blobs), len(b.Delete), b.Erase)
	return true, p.after()
}

// chunkRecords reads the messages of a chunk.
func chunkRecords(chunk []byte) (records []model.Record, positions []position, err error) {
	if chunk == nil {
		return nil, nil, nil
	}
	stored, err := reflect.AppendStored(nil, 0, chunk)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range stored {
		record, err := reflect.Record(chunk, s.At)
		if err != nil {
			return nil, nil, err
		}
		m, err := reflect.ParseRecord(record)
		if err != nil {
			return nil, nil, err
		}
		records = append(records, model.Record{Sender: m.Sender, Timestamp: m.Timestamp, Envelope: m.Envelope})
		positions = append(positions, position{m.Lock, m.Place})
	}
	return records, positions, nil
}

// answer carries out the commit that was sealed, or lets it fail.
func (p *playthrough) answer(how outcome) error {
	if p.flight == nil {
		return nil
	}
	b, want := p.flight, outcomes[how]
	p.store.Fail(func(memstore.Op, d2m.GroupID) error { return want })
	err := p.store.Commit([]*reflect.Batch{b})[0]
	p.store.Fail(nil)
	if !errors.Is(err, want) {
		return fmt.Errorf("commit: %v, want %v", err, want)
	}
	p.flight = nil
	switch how {
	case outcomeDone:
		p.model.Stored(p.now)
	case outcomeFenced:
		p.model.Failed(false, d2m.CloseGoingAway)
	default:
		p.model.Failed(how == outcomeUnavailableStored, d2m.CloseInternal)
	}
	p.group.Committed(p.now, b, err)
	if failed := p.group.Failed(); failed != (err != nil) {
		return fmt.Errorf("B43: commit: %v, and the group is dead: %v", err, failed)
	}
	if err == nil && p.group.TailBytes() > p.plan.config.TailBytes {
		return fmt.Errorf("B44: %d bytes are kept in memory, and %d may be", p.group.TailBytes(), p.plan.config.TailBytes)
	}
	return p.after()
}

// lose lets the commit in progress be stored or not, without anybody being told.
func (p *playthrough) lose(stored bool) {
	if p.flight != nil && stored {
		must(0, p.store.Commit([]*reflect.Batch{p.flight})[0])
	}
	p.flight = nil
}

// fail makes the group dead while its store may go on.
func (p *playthrough) fail(stored bool) error {
	if p.group.Failed() {
		return nil
	}
	p.lose(stored)
	p.model.Failed(stored, d2m.CloseInternal)
	p.group.Fail(reflect.ErrUnavailable)
	return p.after()
}

// reclaim begins again after a failure.
func (p *playthrough) reclaim() error {
	if !p.group.Failed() {
		return nil
	}
	p.model.Claim(p.now, false)
	p.claim()
	return p.after()
}

// crash ends the server and starts it anew. Nobody is told anything.
func (p *playthrough) crash(stored bool, later time.Duration) error {
	for _, l := range p.alive {
		if len(l.numbers) > 0 {
			p.former[l.device] = l.numbers
		}
	}
	p.lose(stored)
	p.links, p.alive = make(map[int]*link), nil
	p.now = p.now.Add(later)
	p.model.Claim(p.now, stored)
	p.store = p.store.Clone()
	p.claim()
	return p.after()
}

// pass lets time go by. What is due then is done in time.
func (p *playthrough) pass(d time.Duration) error {
	end := p.now.Add(d)
	for {
		at, due := p.group.Deadline()
		if !due || at.After(end) || d < 0 || p.group.Failed() {
			break
		}
		if at.After(p.now) {
			p.now = at
		}
		if err := p.tick(); err != nil {
			return err
		}
		if again, due := p.group.Deadline(); due && !again.After(at) {
			return errors.New("B34: deadline does not move")
		}
	}
	p.now = end
	return nil
}

func (p *playthrough) tick() error {
	if p.group.Failed() {
		return nil
	}
	p.model.Tick(p.now)
	p.group.Tick(p.now)
	return p.after()
}

// settle stores and delivers until nothing happens any more, and then asks the model what is still owed.
func (p *playthrough) settle() error {
	if err := p.reclaim(); err != nil {
		return err
	}
	for busy, rounds := true, 0; busy; rounds++ {
		if rounds > 10_000 {
			return errors.New("B44: it never ends")
		}
		sealed, err := p.seal(true)
		busy = sealed || p.flight != nil
		if err == nil {
			err = p.answer(outcomeDone)
		}
		if err != nil {
			return err
		}
		for _, l := range append([]*link{}, p.alive...) {
			took, err := p.takeAll(l)
			if err != nil {
				return err
			}
			busy = busy || took
		}
	}
	return p.settled()
}

// takeAll lets a connection take all that is there, until it is dry.
func (p *playthrough) takeAll(l *link) (took bool, err error) {
	for p.links[l.name] == l {
		gave, err := p.next(l, true)
		took = took || gave
		switch {
		case err != nil:
			return took, err
		case gave:
		case l.core.Dry() || !l.core.Registered():
			return took, nil
		default:
			if err := p.drained(l); err != nil || !l.awake {
				return took, err
			}
		}
	}
	return took, nil
}

// settled checks that nothing is left to be done, to be sent or to be kept.
func (p *playthrough) settled() error {
	for _, l := range p.alive {
		if err := p.model.Complete(l.model); err != nil {
			return fmt.Errorf("c%d: %w", l.name, err)
		}
		if l.core.Blocked() {
			return fmt.Errorf("B21: c%d is still not read", l.name)
		}
	}
	if needs := p.group.Needs(); needs != devicegroup.NeedNothing {
		return fmt.Errorf("B17: something is still to be stored: %d", needs)
	}
	if kept := p.group.TailBytes(); kept > 0 {
		return fmt.Errorf("B21: %d bytes are kept in memory, and everybody has got all", kept)
	}
	if err := p.compare(); err != nil {
		return err
	}
	return p.checkStored()
}

// checkStored checks that every chunk in the store is there for a message that somebody waits for (B17), and that
// without a slot there is nothing (B34).
func (p *playthrough) checkStored() error {
	snapshot := must(p.store.Clone().Claim(playGroup))
	waited := make(map[uint64]bool)
	for _, s := range snapshot.Messages {
		m := p.messages[position{s.Lock, s.Place}]
		waited[s.At.Key] = waited[s.At.Key] || m != nil && p.model.WaitedFor(m)
	}
	for key, is := range waited {
		if !is {
			return fmt.Errorf("B17: chunk %d holds nothing that anybody waits for", key)
		}
	}
	devices := len(p.model.Devices())
	state := must(reflect.ParseState(snapshot.State))
	if len(state.Slots) != devices {
		return fmt.Errorf("B34: %d slots are stored, and %d should be", len(state.Slots), devices)
	}
	if devices == 0 && (len(snapshot.Blobs) > 0 || len(snapshot.Messages) > 0) {
		return errors.New("B34: something is stored for a group without slots")
	}
	for _, b := range snapshot.Blobs {
		if !b.Shared && !slices.Contains(p.model.Devices(), b.Device) {
			return fmt.Errorf("B32: the info of device %d is stored, which has no slot", b.Device)
		}
	}
	return nil
}

// finish lets everything come out, lets every device acknowledge all that it gets, and at last drops them all.
func (p *playthrough) finish() error {
	p.say("finish: everything is stored and taken")
	p.full = false
	p.group.SetFull(false)
	p.model.SetFull(false)
	p.crowded = false
	p.group.SetCrowded(false)
	p.model.SetCrowded(false)
	if err := p.settle(); err != nil {
		return err
	}
	p.say("finish: every device comes and acknowledges everything")
	for i, device := range p.model.Devices() {
		l, err := p.connect(-1-i, d2m.ClientHello{DeviceID: device, Expected: d2m.SlotExisting, Expiration: d2m.Persistent})
		if err == nil {
			err = p.settle()
		}
		if err != nil {
			return err
		}
		if err := p.acknowledgeAll(l); err != nil {
			return err
		}
	}
	if err := p.settle(); err != nil {
		return err
	}
	for _, l := range p.alive { // with the last lock deferred messages have come
		if err := p.acknowledgeAll(l); err != nil {
			return err
		}
	}
	if err := p.settle(); err != nil {
		return err
	}
	if messages, _ := p.model.Waiting(); messages > 0 {
		return fmt.Errorf("B17: %d messages still wait when all are acknowledged", messages)
	}
	p.say("finish: every device drops itself")
	for _, l := range append([]*link{}, p.alive...) {
		if err := p.receive(l, d2m.DropDevice{DeviceID: l.device}.Append(nil)); err != nil {
			return err
		}
	}
	return p.settle()
}

// acknowledgeAll acknowledges everything that a connection has got and not acknowledged.
func (p *playthrough) acknowledgeAll(l *link) error {
	for ; l.acked < len(l.numbers); l.acked++ {
		if err := p.receive(l, d2m.ReflectedAck{ID: l.numbers[l.acked]}.Append(nil)); err != nil {
			return err
		}
	}
	return nil
}
