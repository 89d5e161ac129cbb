package history

import (
	"fmt"
	"slices"
	"testing"
)

// imaginedLock is the lock while a device holds it.
type imaginedLock struct {
	holder           *imaginedDevice
	scope            Content
	staged, deferred []accepted
}

// dealings is what a device has to do with the lock, on one connection.
type dealings struct {
	begun, asking, holds bool
	placed               []placedEvent
}

// placedEvent is a message of the server that comes before the message with the number at.
type placedEvent struct {
	at    int
	event Event
}

// transact goes one step towards a committed transaction.
func (m *imagined) transact(d *imaginedDevice) {
	e := Event{Kind: CommitSent}
	switch {
	case d.dealings.holds:
		d.dealings.holds, d.dealings.begun = false, false
	case !d.dealings.begun && !d.dealings.asking:
		d.reflects++
		e = Event{Kind: BeginSent, Content: contentOf(fmt.Sprint("scope", d.index, d.reflects))}
		d.dealings.begun, d.dealings.asking = true, true
	default:
		return
	}
	m.record(d, e)
	d.inFlight = append(d.inFlight, e)
}

func (m *imagined) acceptTransaction(d *imaginedDevice, e Event) {
	switch {
	case e.Kind == CommitSent:
		for _, a := range m.lock.staged {
			m.place(a)
		}
		d.acks = append(d.acks, Event{Kind: CommitAcked})
		m.unlock(true)
	case m.lock == nil:
		m.lock = &imaginedLock{holder: d, scope: e.Content}
		d.dealings.placed = append(d.dealings.placed, placedEvent{len(m.order), Event{Kind: BeginAcked}})
	default:
		holder := m.history.Devices[m.lock.holder.index].ID
		d.acks = append(d.acks, Event{Kind: Rejected, Holder: holder, Content: m.lock.scope})
	}
}

// put stages, holds back, or places a message.
func (m *imagined) put(a accepted) {
	switch {
	case m.lock == nil:
		m.place(a)
	case m.lock.holder == a.sender:
		m.lock.staged = append(m.lock.staged, a)
	default:
		m.lock.deferred = append(m.lock.deferred, a)
	}
}

func (m *imagined) place(a accepted) {
	for _, other := range m.devices {
		number := 0
		if other.connected {
			number = other.number
		}
		a.to = append(a.to, number)
	}
	m.order = append(m.order, a)
}

// unlock ends the lock, and tells the others of it.
func (m *imagined) unlock(tell bool) {
	lock := m.lock
	m.lock = nil
	ended := Event{Kind: TransactionEnded, Holder: m.history.Devices[lock.holder.index].ID, Content: lock.scope}
	for _, d := range m.devices {
		if tell && d.connected && d != lock.holder {
			d.dealings.placed = append(d.dealings.placed, placedEvent{len(m.order), ended})
		}
	}
	for _, a := range lock.deferred {
		if tell || !a.ephemeral {
			m.place(a)
		}
	}
}

// deliverPlaced gives a device a message that is due before the next one of the order, if there is one.
func (m *imagined) deliverPlaced(d *imaginedDevice) bool {
	placed := d.dealings.placed
	if len(placed) == 0 || placed[0].at > d.next {
		return false
	}
	for slices.ContainsFunc(d.acks, func(e Event) bool { return e.Kind == Rejected }) {
		m.ack(d) // whoever is rejected then waits for the end
	}
	d.dealings.placed = placed[1:]
	m.record(d, placed[0].event)
	if placed[0].event.Kind == BeginAcked {
		d.dealings.asking, d.dealings.holds = false, true
	}
	return true
}

func TestRejectsRandomTransactionsWithAMessageMissing(t *testing.T) {
	missing := 0
	for seed := range uint64(randomHistories) {
		h := randomHistory(seed)
		m := someStaged(h)
		if m == nil {
			continue
		}
		missing++
		content := h.at(m.at).Content
		events := &h.Devices[m.receivedAt.device].Events
		*events = slices.DeleteFunc(*events, func(e Event) bool { return e.Kind == Received && e.Content == content })
		if Check(h) == nil {
			t.Errorf("seed %d: accepted without message %v at device %d", seed, m, m.receivedAt.device+1)
		}
	}
	if missing < randomHistories/2 {
		t.Errorf("only %d of %d histories have a transaction", missing, randomHistories)
	}
}

// someStaged returns a stored message of a transaction whose commit was acked.
func someStaged(h *History) *message {
	c := newChecker(h)
	if c.check() != nil {
		return nil
	}
	for _, m := range c.byNumber() {
		if t := m.staged(); t != nil && t.acked && !m.ephemeral {
			return m
		}
	}
	return nil
}
