package mediator_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup/model"
)

// play makes up steps and carries them out.
func (p *serving) play(steps int) error {
	for i := range steps {
		if err := p.step(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
		if p.model.Doubtful() {
			return nil // what follows from that cannot be judged
		}
	}
	return p.settle(false)
}

// step is one of them. After a failure of the store somebody comes first of all: before that nothing is there.
func (p *serving) step() error {
	if p.failed || len(p.alive) == 0 && p.IntN(3) > 0 || p.IntN(6+8*len(p.alive)) == 0 {
		if err := p.settle(false); err != nil {
			return err
		}
		return p.connect(p.hello())
	}
	if p.IntN(8) == 0 {
		if err := p.settle(false); err != nil || p.failed {
			return err
		}
		return p.pass(p.duration())
	}
	if len(p.alive) == 0 {
		return nil
	}
	c := p.alive[p.IntN(len(p.alive))]
	hold := p.IntN(4) == 0
	if p.IntN(40) == 0 {
		return p.end(c, hold)
	}
	return p.send(c, p.message(c), hold)
}

// hello mostly expects what is so.
func (p *serving) hello() d2m.ClientHello {
	hello := d2m.ClientHello{DeviceID: d2m.DeviceID(1 + p.IntN(4)), Expected: d2m.SlotNew, Expiration: d2m.Persistent}
	if slices.Contains(p.model.Devices(), hello.DeviceID) != (p.IntN(12) == 0) {
		hello.Expected = d2m.SlotExisting
	}
	if hello.DeviceID == 3 {
		hello.Expiration = d2m.Volatile
	}
	if p.IntN(4) == 0 {
		hello.SlotsExhausted = d2m.DropLeastRecent
	}
	if p.IntN(6) == 0 {
		hello.DeviceInfo = []byte("other info")
	}
	return hello
}

// duration is never a multiple of what else takes time, so that no two things are due at once.
func (p *serving) duration() time.Duration {
	longest := []time.Duration{10 * time.Millisecond, time.Second, 6 * time.Second, time.Minute, 12 * time.Minute}
	return 1 + time.Duration(p.Int64N(int64(longest[p.IntN(len(longest))])))
}

func (p *serving) message(c *served) d2m.Message {
	envelope := fmt.Appendf(nil, "%d", p.Uint32())
	switch n := p.IntN(100); {
	case n < 35:
		return d2m.Reflect{ID: d2m.ReflectID(p.Uint32()), Envelope: envelope}
	case n < 43:
		return d2m.Reflect{Flags: d2m.FlagEphemeral, Envelope: envelope}
	case n < 70 && len(c.numbers) > 0:
		return d2m.ReflectedAck{ID: c.numbers[len(c.numbers)-1-p.IntN(min(6, len(c.numbers)))]}
	case n < 80 && c.holds != (p.IntN(20) == 0):
		return d2m.CommitTransaction{}
	case n < 80:
		return d2m.BeginTransaction{Scope: envelope, TTL: uint32([]int{0, 3, 10, 1000}[p.IntN(4)])}
	case n < 92:
		return d2m.GetDevicesInfo{}
	case n < 97:
		return d2m.SetSharedDeviceData{Data: envelope}
	case n < 99:
		return d2m.DropDevice{DeviceID: d2m.DeviceID(1 + p.IntN(4))}
	}
	return d2m.ServerHello{} // out of place
}

func (p *serving) count(reached map[string]int) {
	for _, c := range model.Cases() {
		reached[c.String()] += p.model.Reached(c)
	}
}

// expectReached fails if the histories did not come to what they are there for.
func expectReached(t *testing.T, reached map[string]int) {
	t.Helper()
	for _, c := range []model.Case{
		model.Delivered, model.DeliveredAgain, model.DeliveredAfterClaim, model.AckedByAll, model.EphemeralDelivered,
		model.Promoted, model.Replaced, model.DroppedOther, model.VolatileExpired, model.Committed, model.EndedTold,
		model.DeferredOut, model.DeferredAfterClaim, model.TTLRanOut, model.HolderEnds, model.RejectedLock,
		model.StoreFailed, model.FailedButStored, model.FailedWithLock, model.FailedDuringCommit,
	} {
		if reached[c.String()] == 0 {
			t.Errorf("no history came to: %v", c)
		}
	}
}
