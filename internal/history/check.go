package history

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"openmediator/d2m"
)

// AckGrace is how long after an ack has left a device the death of the server may undo it: the second in which it is
// written (B17), and one for its way.
const AckGrace = 2 * time.Second

// Check judges a history by the rules of the package comment. It returns nil or a *Violation. The history is not changed.
func Check(h *History) error {
	if v := newChecker(h).check(); v != nil {
		return v
	}
	return nil
}

func newChecker(h *History) *checker {
	return &checker{
		history:  h,
		messages: make(map[Content]*message),
		numbers:  make(map[uint64]*message),
		scopes:   make(map[Content]*transaction),
	}
}

// checker goes through a history in the order of time.
type checker struct {
	history  *History
	devices  []*device
	messages map[Content]*message
	sent     []*message          // in the order of sending
	numbers  map[uint64]*message // by number; see message
	latest   uint64              // highest number received by anybody
	leaders  []*connection       // promoted, in order
	slots    []*slot

	scopes       map[Content]*transaction
	transactions []*transaction // in the order of their begin
	endings      []ending
	waits        []*wait
}

// device is how far a device has come.
type device struct {
	index      int
	id         d2m.DeviceID
	slot       *slot       // nil before the first connection
	connection *connection // nil between connections
}

// slot is one life of a device slot.
type slot struct {
	device   *device
	since    time.Duration // it is known to exist
	dropped  bool          // nothing is due to it any more
	receipts map[*message]*receipt
	owed     map[*receipt]struct{} // not acknowledged
	last     uint64                // highest number received
}

// receipt is what became of a message at a slot.
type receipt struct {
	message    *message
	first      place
	at         place       // the last time it was received
	connection *connection // on which that was
	acked      bool        // on that connection
	ackedAt    place
}

// connection is one connection of a device.
type connection struct {
	at            place // Connected
	server        int
	unacked       []*message     // in the order of sending
	open          *transaction   // what is sent belongs to it
	asked         []*transaction // begun without an answer, in order
	committing    []*transaction // committed without an answer, in order
	wait          *wait          // for the end of a transaction
	last          uint64         // highest number received
	dry           bool
	promoted      bool
	promotedAt    place
	promotedAfter time.Duration // heard then
	heard         time.Duration // when the latest was sent of what it has received
	proof         place         // shows that the connection was in the group at alive
	alive         time.Duration // 0: not known
	over          bool
	overAt        time.Duration
	orderly       bool
	unsure        bool
	questions     []int     // GetDevicesInfo without an answer: their events
	handled       []handled // both numbers rise
}

// message is one Reflect.
type message struct {
	sender     d2m.DeviceID
	ordinal    int // of the sender's Reflects, from 1
	at         place
	sentAt     time.Duration
	ephemeral  bool
	connection *connection

	transaction *transaction // nil if it is none's

	// The rest is known once it was acked or received.
	acked        bool
	ackedAt      place
	received     bool
	receivedAt   place  // first
	number       uint64 // its reflected-id, continued beyond 32 bits
	timestamp    uint64
	timestampAt  place // where it was seen first
	hasTimestamp bool
}

// String names a message by its sender and the ordinal of the Reflect.
func (m *message) String() string { return fmt.Sprintf("%d/%d", m.sender, m.ordinal) }

func (c *checker) check() *Violation {
	if v := c.prepare(); v != nil {
		return v
	}
	for _, p := range c.timeline() {
		if v := c.event(p, c.history.at(p)); v != nil {
			return v
		}
	}
	c.settle()
	for _, rule := range []func() *Violation{
		c.checkLock, c.checkAnswers, c.checkStaged, c.checkDelivery, c.checkHeldBack, c.checkEndings,
		c.checkNumbers, c.checkContiguous, c.checkBegins, c.checkTimestamps, c.checkLeaders,
	} {
		if v := rule(); v != nil {
			return v
		}
	}
	return nil
}

func (c *checker) violation(rule string, places []place, format string, args ...any) *Violation {
	return &Violation{
		Rule: rule, Text: fmt.Sprintf(format, args...),
		history: c.history, messages: c.messages, scopes: c.scopes, places: places,
	}
}

// prepare finds all messages and transactions, so that one that is heard of is known even if clocks are coarse.
func (c *checker) prepare() *Violation {
	for d := range c.history.Devices {
		history := &c.history.Devices[d]
		c.devices = append(c.devices, &device{index: d, id: history.ID})
		ordinal, begins, before := 0, 0, time.Duration(0)
		for i := range history.Events {
			e, p := &history.Events[i], place{d, i}
			if e.At < before {
				return c.violation("history", []place{p}, "device %d goes back in time", history.ID)
			}
			before = e.At
			var v *Violation
			switch e.Kind {
			case Sent:
				ordinal++
				v = c.addMessage(&message{sender: history.ID, ordinal: ordinal, at: p, sentAt: e.At, ephemeral: e.Ephemeral})
			case BeginSent:
				begins++
				v = c.addTransaction(&transaction{holder: history.ID, ordinal: begins, begin: p, begunAt: e.At})
			}
			if v != nil {
				return v
			}
		}
	}
	return nil
}

func (c *checker) addMessage(m *message) *Violation {
	content := c.history.at(m.at).Content
	if other := c.messages[content]; other != nil {
		return c.violation("history", []place{other.at, m.at}, "message %v was sent twice", other)
	}
	c.messages[content] = m
	return nil
}

// timeline returns all events in the order of time.
func (c *checker) timeline() []place {
	var places []place
	for d := range c.history.Devices {
		for i := range c.history.Devices[d].Events {
			places = append(places, place{d, i})
		}
	}
	slices.SortStableFunc(places, func(a, b place) int {
		return cmp.Compare(c.history.at(a).At, c.history.at(b).At)
	})
	return places
}

func (c *checker) event(p place, e *Event) *Violation {
	d := c.devices[p.device]
	if e.Kind == Connected {
		return c.connected(d, p, e)
	}
	if e.Kind == Dropped {
		if d.slot != nil {
			d.slot.dropped = true
		}
		return nil
	}
	if d.connection == nil {
		return c.violation("history", []place{p}, "device %d is not connected", d.id)
	}
	switch e.Kind {
	case Sent:
		return c.reflect(d, e)
	case Acked:
		return c.ack(d, p, e)
	case Received:
		return c.receive(d, p, e)
	case AckSent:
		return c.acknowledge(d, p, e)
	case Dry:
		return c.runDry(d, p)
	case Promoted:
		return c.promote(d, p)
	case Ended:
		d.connection.end(e)
		d.connection = nil
		return nil
	case Asked:
		d.connection.questions = append(d.connection.questions, p.event)
		return nil
	case Answered:
		return c.devicesInfo(d, p, e)
	}
	return c.transactionEvent(d, p, e)
}

// connected begins a connection, and a slot if it is a new one or the first.
func (c *checker) connected(d *device, p place, e *Event) *Violation {
	if e.Server < 1 || e.Server > len(c.history.Servers) {
		return c.violation("history", []place{p}, "device %d is connected to a server that never was", d.id)
	}
	if d.connection != nil {
		d.connection.end(e)
	}
	d.connection = &connection{at: p, server: e.Server, unsure: e.Unsure}
	if d.slot != nil && !e.NewSlot {
		return nil
	}
	since := e.At
	if d.slot != nil {
		d.slot.dropped = true
	} else if !e.NewSlot {
		since = -1 // older than the history
	}
	d.slot = &slot{
		device: d, since: since,
		receipts: make(map[*message]*receipt), owed: make(map[*receipt]struct{}),
	}
	c.slots = append(c.slots, d.slot)
	return nil
}

func (k *connection) end(e *Event) { k.over, k.overAt, k.orderly = true, e.At, e.Orderly }

// showAlive notes that the connection was still in the group after m was sent.
func (k *connection) showAlive(m *message, p place) {
	if m.sentAt > k.alive {
		k.alive, k.proof = m.sentAt, p
	}
}
