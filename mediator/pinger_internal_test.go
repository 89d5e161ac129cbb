package mediator

import (
	"runtime"
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
	"openmediator/reflect"
)

// runDry registers a device with a new slot in a group, whose queue runs dry.
func runDry(core *devicegroup.Group, device d2m.DeviceID) *devicegroup.Conn {
	now := time.Now()
	member := core.Register(now, &d2m.ClientHello{DeviceID: device, Expected: d2m.SlotNew})
	core.Committed(now, core.Seal(now, true), nil)
	core.Next(member, new(devicegroup.Output))
	core.Drained(now, member)
	return member
}

// A leader that is found alone, and becomes contested at the same moment, is looked after (B13).
func TestB13_ContestedWhileItIsLookedAt(t *testing.T) {
	for range 1000 {
		core, err := devicegroup.New(d2m.GroupID{1}, DefaultConfig().Group, &reflect.Snapshot{Epoch: 1}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		g := &group{core: core}
		c := &conn{group: g, core: core, member: runDry(core, 1), pinged: time.Now()}
		c.out = newOutbox(new(recorder), func() {})
		p := &pinger{watched: map[*conn]struct{}{c: {}}}
		looked := make(chan struct{})
		p.mu.Lock()
		go func() {
			p.look(c)
			close(looked)
		}()
		for range 10 {
			runtime.Gosched() // it waits for the lock then, or has not begun
		}
		if g.mu.TryLock() {
			runDry(core, 2)
			p.watched[c] = struct{}{} // as watch does
			g.mu.Unlock()
			p.mu.Unlock()
			<-looked
			if _, watched := p.watched[c]; !watched {
				t.Fatal("a contested leader is not looked after")
			}
			continue
		}
		p.mu.Unlock()
		<-looked
		if _, watched := p.watched[c]; watched {
			t.Fatal("a leader that is alone is looked after")
		}
	}
}
