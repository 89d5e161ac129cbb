package history

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"openmediator/d2m"
)

// imagined is a mediator with its devices as a checker should imagine it: it makes random histories, all of them good.
type imagined struct {
	random  *rand.Rand
	now     time.Duration
	history *History
	order   []accepted
	stamps  int
	lock    *imaginedLock
	devices []*imaginedDevice
}

// accepted is a message that has its place in the order. Its id is the place.
type accepted struct {
	content   Content
	sender    *imaginedDevice
	timestamp uint64
	ephemeral bool
	to        []int // ephemeral: the number of the connection that each device had
}

type imaginedDevice struct {
	index     int
	connected bool
	number    int // of the connection
	dry       bool
	reflects  int
	inFlight  []Event       // sent and not accepted
	acks      []Event       // on their way to the device
	next      int           // place in the order from which it has not been given anything
	given     []int         // on this connection and not acknowledged
	taken     map[int]taken // acknowledged
	dealings  dealings
}

// taken says when an ack was sent, and on which connection.
type taken struct {
	at     time.Duration
	number int
}

func newImagined(seed uint64) *imagined {
	m := &imagined{random: rand.New(rand.NewPCG(seed, 0)), history: &History{Servers: make([]Server, 1)}}
	for i := range 2 + m.random.IntN(3) {
		m.history.Devices = append(m.history.Devices, Device{ID: d2m.DeviceID(i + 1)})
		m.devices = append(m.devices, &imaginedDevice{index: i, taken: make(map[int]taken)})
	}
	for _, d := range m.devices {
		m.connect(d, true)
	}
	return m
}

func (m *imagined) record(d *imaginedDevice, e Event) {
	m.now += time.Duration(m.random.IntN(100)) * time.Millisecond
	e.At = m.now
	events := &m.history.Devices[d.index].Events
	*events = append(*events, e)
}

func (m *imagined) connect(d *imaginedDevice, first bool) {
	d.connected, d.dry, d.next, d.given = true, false, 0, nil
	d.number++
	m.record(d, Event{Kind: Connected, Server: len(m.history.Servers), NewSlot: first})
}

// step lets something happen to a device, or to the server.
func (m *imagined) step() {
	if m.random.IntN(200) == 0 {
		m.kill()
	}
	d := m.devices[m.random.IntN(len(m.devices))]
	if !d.connected {
		m.connect(d, false)
		return
	}
	switch m.random.IntN(15) {
	case 0, 1, 2:
		m.send(d)
	case 3, 4:
		m.accept(d)
	case 5:
		m.ack(d)
	case 6, 7, 8:
		m.deliver(d)
	case 9, 10:
		m.acknowledge(d)
	case 11:
		if m.random.IntN(10) == 0 {
			m.end(d, m.random.IntN(2) == 0)
		}
	case 12, 13, 14:
		m.transact(d)
	}
}

func (m *imagined) send(d *imaginedDevice) {
	d.reflects++
	e := Event{
		Kind: Sent, ReflectID: d2m.ReflectID(m.random.Uint32()), Ephemeral: m.random.IntN(8) == 0,
		Content: contentOf(fmt.Sprint(d.index, d.reflects)),
	}
	m.record(d, e)
	d.inFlight = append(d.inFlight, e)
}

func (m *imagined) accept(d *imaginedDevice) {
	if len(d.inFlight) == 0 {
		return
	}
	e := d.inFlight[0]
	d.inFlight = d.inFlight[1:]
	if e.Kind != Sent {
		m.acceptTransaction(d, e)
		return
	}
	m.stamps++
	a := accepted{content: e.Content, sender: d, timestamp: uint64(m.stamps / 3), ephemeral: e.Ephemeral}
	m.put(a)
	if !e.Ephemeral {
		d.acks = append(d.acks, Event{Kind: Acked, ReflectID: e.ReflectID, Timestamp: a.timestamp})
	}
}

func (m *imagined) ack(d *imaginedDevice) {
	if len(d.acks) > 0 {
		m.record(d, d.acks[0])
		if d.acks[0].Kind == Rejected {
			d.dealings.begun, d.dealings.asking = false, false
		}
		d.acks = d.acks[1:]
	}
}

// deliver gives a device the next message, or tells it that there is none.
func (m *imagined) deliver(d *imaginedDevice) {
	for ; d.next < len(m.order); d.next++ {
		if m.deliverPlaced(d) {
			return
		}
		a := m.order[d.next]
		_, acked := d.taken[d.next]
		if a.sender == d || acked || a.ephemeral && a.to[d.index] != d.number {
			continue
		}
		m.record(d, Event{
			Kind: Received, ID: d2m.ReflectedID(d.next), Timestamp: a.timestamp, Content: a.content, Ephemeral: a.ephemeral,
		})
		d.given = append(d.given, d.next)
		d.next++
		return
	}
	if m.deliverPlaced(d) {
		return
	}
	if !d.dry {
		d.dry = true
		m.record(d, Event{Kind: Dry})
	}
}

func (m *imagined) acknowledge(d *imaginedDevice) {
	if len(d.given) > 0 {
		i := m.random.IntN(len(d.given))
		m.record(d, Event{Kind: AckSent, ID: d2m.ReflectedID(d.given[i])})
		d.taken[d.given[i]] = taken{m.now, d.number}
		d.given = slices.Delete(d.given, i, i+1)
	}
}

// end ends a connection. What is under way is lost, and so may be acks of the last two seconds.
func (m *imagined) end(d *imaginedDevice, orderly bool) {
	m.record(d, Event{Kind: Ended, Orderly: orderly})
	if !orderly {
		m.forget(d, d.number)
	}
	d.connected, d.inFlight, d.acks, d.dealings = false, nil, nil, dealings{}
	if m.lock != nil && m.lock.holder == d {
		m.unlock(true)
	}
}

// forget loses late acks of the connections from a number on.
func (m *imagined) forget(d *imaginedDevice, from int) {
	for place, ack := range d.taken {
		if ack.number >= from && m.now-ack.at < AckGrace && m.random.IntN(2) == 0 {
			delete(d.taken, place)
		}
	}
}

func (m *imagined) kill() {
	m.history.Servers[len(m.history.Servers)-1] = Server{Killed: true, At: m.now}
	m.history.Servers = append(m.history.Servers, Server{})
	if m.lock != nil {
		m.unlock(false)
	}
	for _, d := range m.devices {
		m.forget(d, 0)
		if d.connected {
			m.end(d, false)
		}
	}
}

// drain delivers all that is left.
func (m *imagined) drain() *History {
	for _, d := range m.devices {
		for d.connected && len(d.inFlight) > 0 {
			m.accept(d)
		}
		for d.connected && len(d.acks) > 0 {
			m.ack(d)
		}
	}
	for _, d := range m.devices {
		if d.connected {
			m.end(d, true)
		}
	}
	for _, d := range m.devices {
		m.connect(d, false)
		for !d.dry {
			m.deliver(d)
		}
	}
	return m.history
}

const randomHistories = 30

func randomHistory(seed uint64) *History {
	m := newImagined(seed)
	for range 1000 {
		m.step()
	}
	return m.drain()
}

func TestAcceptsRandomGoodHistories(t *testing.T) {
	for seed := range uint64(randomHistories) {
		if err := Check(randomHistory(seed)); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// faults plant something in a history, at a receipt of a message that was acked and that others have received, too.
var faults = map[string]func(h *History, at place){
	"one message removed": func(h *History, at place) {
		content := h.at(at).Content
		events := &h.Devices[at.device].Events
		*events = slices.DeleteFunc(*events, func(e Event) bool { return e.Kind == Received && e.Content == content })
	},
	"one message moved": func(h *History, at place) {
		events := h.Devices[at.device].Events
		for i := at.event + 1; i < len(events) && events[i].Kind != Connected; i++ {
			if events[i].Kind == Received {
				moved, behind := events[at.event], events[i]
				moved.At, behind.At = behind.At, moved.At
				events[at.event], events[i] = behind, moved
				return
			}
		}
		h.at(at).ID--
	},
	"again with another id": func(h *History, at place) {
		again := *h.at(at)
		again.ID += 1 << 20
		h.Devices[at.device].Events = slices.Insert(h.Devices[at.device].Events, at.event+1, again)
	},
	"another id":        func(h *History, at place) { h.at(at).ID += 1 << 20 },
	"another timestamp": func(h *History, at place) { h.at(at).Timestamp++ },
	"another content":   func(h *History, at place) { h.at(at).Content[0] ^= 1 },
	"another flag":      func(h *History, at place) { h.at(at).Ephemeral = true },
}

func TestRejectsRandomHistoriesWithAFault(t *testing.T) {
	for name, plant := range faults {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(randomHistories) {
				h := randomHistory(seed)
				at, ok := h.someReceipt(rand.New(rand.NewPCG(seed, 1)))
				if !ok {
					continue
				}
				plant(h, at)
				if Check(h) == nil {
					t.Fatalf("seed %d: accepted with a fault at event %d of device %d", seed, at.event, at.device+1)
				}
			}
		})
	}
}

// someReceipt returns a receipt of a message that another device has received, too, and whose sender got an ack.
func (h *History) someReceipt(random *rand.Rand) (place, bool) {
	c := newChecker(h)
	if c.check() != nil {
		return place{}, false
	}
	var receipts []place
	for d := range h.Devices {
		for i := range h.Devices[d].Events {
			e := &h.Devices[d].Events[i]
			if e.Kind != Received || e.Ephemeral || !c.messages[e.Content].acked {
				continue
			}
			elsewhere := slices.ContainsFunc(c.slots, func(s *slot) bool {
				return s.device.index != d && s.receipts[c.messages[e.Content]] != nil
			})
			if elsewhere {
				receipts = append(receipts, place{d, i})
			}
		}
	}
	if len(receipts) == 0 {
		return place{}, false
	}
	return receipts[random.IntN(len(receipts))], true
}
