package mediator_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup/model"
	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/reflect"
)

// retryAfter is when a group is claimed again after a failure of the store, if nobody comes.
const retryAfter = time.Minute

// serving is a history that is being played against a server.
type serving struct {
	*rand.Rand
	s          *testServer
	store      *heldStore
	id         identity
	model      *model.Model
	now        time.Time
	left       time.Time // see model.Claim
	failed     bool      // the store has, and the group was not claimed since
	flight     bool      // a commit is in progress
	alive      []*served
	name       int
	transcript strings.Builder
}

// served is a connection.
type served struct {
	*device
	in      *inbox
	name    int
	id      d2m.DeviceID
	model   *model.Conn
	numbers []d2m.ReflectedID // that it was given
	holds   bool              // the lock, as far as it knows
}

func newServing(t *testing.T, random *rand.Rand) *serving {
	config := mediator.DefaultConfig()
	config.Group.MaxSlots, config.Group.QueueMessages, config.Group.MaxTTL = 3, 20, time.Minute
	id := newIdentity(t)
	p := &serving{Rand: random, store: newHeldStore(id.group), id: id, now: time.Now(), left: time.Now()}
	p.s = startServer(t, listen.NewPipe(), p.store, config)
	c := config.Group
	p.model = model.New(model.Config{
		MaxSlots:       c.MaxSlots,
		VolatileExpiry: c.VolatileExpiry,
		MaxAbsence:     c.MaxAbsence,
		QueueMessages:  c.QueueMessages,
		QueueBytes:     c.QueueBytes,
		GroupBytes:     c.GroupBytes,
		MaxTTL:         c.MaxTTL,
		StagedBytes:    c.StagedBytes,
	}, 0)
	return p
}

func (p *serving) say(format string, args ...any) { fmt.Fprintf(&p.transcript, format+"\n", args...) }

// wait lets the server do all that it can do now. What it has claimed, the model claims before anything else.
func (p *serving) wait() {
	synctest.Wait()
	p.now = time.Now()
	if p.store.claims.Swap(0) > 0 {
		p.say("     claimed")
		p.model.Claim(p.left, false)
		p.failed = false
	}
}

// settle follows every event: it looks at all that has come of it. A commit stays in progress if hold says so.
func (p *serving) settle(hold bool) error {
	for {
		select {
		case b := <-p.store.sealed:
			if err := p.takeSealed(b); err != nil {
				return err
			}
		default:
		}
		if !p.flight {
			if err := p.model.Shown(); err != nil {
				return err
			}
		}
		for _, c := range slices.Clone(p.alive) {
			if err := p.look(c); err != nil {
				return fmt.Errorf("c%d: %w", c.name, err)
			}
		}
		if !p.flight {
			return p.complete()
		}
		if hold {
			return nil
		}
		p.answer(p.outcome())
	}
}

// outcome is what becomes of the commit in progress. That of a transaction fails more often: there are few.
func (p *serving) outcome() failure {
	rare := 60
	if slices.ContainsFunc(p.alive, func(c *served) bool { return p.model.Committing(c.model) }) {
		rare = 12
	}
	if p.IntN(rare) > 0 {
		return failure{}
	}
	return failures[[]string{"unavailable", "unavailable, yet stored", "fenced"}[p.IntN(3)]]
}

// complete checks that nothing is owed when nothing goes on, and nothing waits for the store that is older than a second.
func (p *serving) complete() error {
	if !p.failed {
		if err := p.model.Unsealed(p.now.Add(-reflect.LazyDelay), false); err != nil {
			return err
		}
	}
	for _, c := range p.alive {
		if err := p.model.Complete(c.model); err != nil {
			return fmt.Errorf("c%d: %w", c.name, err)
		}
	}
	return nil
}

// look shows the model what a connection has got.
func (p *serving) look(c *served) error {
	for _, m := range c.in.take() {
		p.say("     c%d gets %s", c.name, model.Words(m))
		switch m := m.(type) {
		case d2m.ReflectionQueueDry:
			p.model.Drained(p.now, c.model)
		case d2m.Reflected:
			c.numbers = append(c.numbers, m.ID)
		case d2m.BeginTransactionAck:
			c.holds = true
		case d2m.CommitTransactionAck:
			c.holds = false
		}
		if err := p.model.Observe(c.model, m.Append(nil)); err != nil {
			return err
		}
	}
	p.model.Written(p.now, c.model)
	over, code, _ := c.in.ended()
	if !over {
		return nil
	}
	p.say("     c%d is closed with %d", c.name, code)
	if err := p.model.ObserveClose(c.model, code); err != nil {
		return err
	}
	p.forget(c)
	return nil
}

// forget ends a connection for the model.
func (p *serving) forget(c *served) {
	p.model.End(p.now, c.model)
	p.alive = slices.DeleteFunc(p.alive, func(other *served) bool { return other == c })
}

// connect lets a device log in. No commit is in progress.
func (p *serving) connect(hello d2m.ClientHello) error {
	p.name++
	c := &served{device: p.s.dial(p.id), name: p.name, id: hello.DeviceID}
	own := p.id.hello(p.s.t, expect[d2m.ServerHello](c.device), hello.DeviceID, hello.Expected)
	hello.Response = own.Response
	p.say("c%d: device %d connects, %v, %v, %q", c.name, c.id, hello.Expected, hello.Expiration, hello.DeviceInfo)
	c.send(hello)
	c.in = c.listen()
	p.wait()
	c.model = p.model.Connect(p.now, hello)
	p.alive = append(p.alive, c)
	return p.settle(false)
}

// send lets a device send a message, if it is certain what becomes of it.
func (p *serving) send(c *served, m d2m.Message, hold bool) error {
	_, begins := m.(d2m.BeginTransaction)
	if p.model.Committing(c.model) || begins && !p.model.CertainLock() {
		return nil
	}
	if ack, ok := m.(d2m.ReflectedAck); ok && !p.model.CertainAck(ack.ID) {
		return nil
	}
	p.say("c%d sends %s", c.name, model.Words(m))
	c.send(m)
	p.wait()
	p.model.Receive(p.now, c.model, m.Append(nil))
	return p.settle(hold)
}

// end cuts a connection.
func (p *serving) end(c *served, hold bool) error {
	if p.model.Committing(c.model) {
		return nil
	}
	p.say("c%d ends", c.name)
	c.ws.CloseNow()
	p.wait()
	p.forget(c)
	return p.settle(hold)
}

// pass lets time go by, up to each moment at which something happens. What can wait is stored then. If the store fails it
// lasts until the group is claimed again for its deadlines.
func (p *serving) pass(d time.Duration) error {
	p.say("%v pass", d)
	for end := p.now.Add(d); p.now.Before(end); {
		at, due := p.model.Deadline()
		due = due && !at.After(end)
		if !due {
			at = end
		}
		if p.failed {
			end = p.now.Add(retryAfter)
			at, due = end, true
		}
		if err := p.until(at, due); err != nil {
			return err
		}
	}
	return nil
}

// until lets time go by up to a moment, at which a deadline may be due, or up to the next commit.
func (p *serving) until(at time.Time, due bool) error {
	var sealed *reflect.Batch
	select {
	case sealed = <-p.store.sealed:
	case <-time.After(time.Until(at)):
	}
	p.wait()
	due = due && !p.now.Before(at) // what is stored at that moment is stored because of it
	switch {
	case due && p.failed && sealed == nil:
		return errors.New("B34: group is not claimed again after a failure")
	case due && !p.failed:
		p.say("     a deadline")
		p.model.Tick(p.now)
	}
	if sealed != nil {
		if err := p.takeSealed(sealed); err != nil {
			return err
		}
	}
	return p.settle(false)
}
