package model

import (
	"fmt"

	"openmediator/d2m"
)

// Message is something that was reflected and accepted. What the group chose for it, its number and its time, the model
// learns when it first sees them, and holds the group to it from then on.
type Message struct {
	sender    d2m.DeviceID
	ephemeral bool
	staged    bool // its sender held the lock
	stored    bool // to be, because somebody has to wait for it
	envelope  []byte

	earliest uint64 // its time is not before, Unix milliseconds
	latest   uint64 // and not after
	number   uint64 // 0: not seen yet

	order *order
	turn  int // in order.accepted
	came  int // the event with which it was accepted
	life  int // the claim under which it was accepted

	ordinal int  // behind the lock, if it was deferred
	lost    bool // an ephemeral for which there was no room behind the lock

	numbered      bool
	place         int // in order.messages
	drawn         int // the claim under which it was given its number
	sure, perhaps int // see order; its own number included

	delivered map[d2m.DeviceID]bool // to whom it has been
}

// order is the order in which all slots see what is reflected, and what is known of the numbers (B14): the low half of a
// 64-bit counter that never goes back, drawn one after the other while a claim lasts.
type order struct {
	accepted []*Message // in the order of acceptance
	messages []*Message // in the order of their numbers: that in which all see them

	from          uint64 // all numbers are above it
	floating      bool   // from means nothing: the numbers may begin anywhere, and only their low halves are true
	first, seen   uint64 // the lowest and the highest number that was seen
	low, high     uint64 // the last number drawn is one of these or between
	sure, perhaps int    // numbers drawn since the last claim, at least and at most
}

const (
	// reserved is the most by which numbers may skip with a claim: they are reserved ahead in blocks.
	reserved = 4096
	// window is how far apart two numbers may be whose low halves are compared.
	window = 1 << 31
	// afloat makes room below the first number that is seen of those that may begin anywhere.
	afloat = 1 << 40
)

// successor is the order of a group that comes into being when the last slot of this one has gone.
func (o *order) successor() *order { return &order{high: o.high, floating: true} }

// claim notes that the group goes on from what is stored.
func (o *order) claim() {
	o.low, o.high = o.seen, o.high+reserved
	o.sure, o.perhaps = 0, 0
}

// draw notes that a number was drawn, or, if that is not sure, that one may have been.
func (o *order) draw(sure bool) {
	o.high++
	o.perhaps++
	if sure {
		o.low++
		o.sure++
	}
}

// number gives a message its place in the order. One that was placed before, and that was not stored, is placed anew.
func (m *Model) number(message *Message) {
	if message.numbered && message.order == m.order {
		m.messages[message.place] = new(Message)
	}
	message.numbered = true
	message.order, message.drawn, message.place = m.order, m.life, len(m.messages)
	message.sure, message.perhaps = m.sure, m.perhaps
	m.messages = append(m.messages, message)
}

// accept gives a message its time, as far as that is known.
func (m *Model) accept(message *Message) {
	now := unixMilli(m.now)
	message.order, message.life, message.came, message.turn = m.order, m.life, m.event, len(m.order.accepted)
	message.earliest = max(now, m.stamp)
	message.latest = max(now, m.stamp, m.latest)
	if m.stamp > now {
		m.reach(ClockBack)
	}
	m.stamp, m.latest = message.earliest, message.latest
	m.order.accepted = append(m.order.accepted, message)
}

// checkNumber compares a number that was seen with what is known, and returns the whole of it.
func (m *Model) checkNumber(message *Message, id d2m.ReflectedID) (uint64, error) {
	if message.number != 0 {
		if uint32(message.number) != uint32(id) {
			return 0, fmt.Errorf("B18: reflected-id %d was %d before", id, uint32(message.number))
		}
		return message.number, nil
	}
	if message.order != m.order {
		return 0, fmt.Errorf("B32: message is of slots that are gone")
	}
	before, after := m.neighbours(message)
	number, err := m.whole(before, after, id)
	switch {
	case err != nil:
		return 0, err
	case after != nil && number >= after.number:
		return 0, fmt.Errorf("B14: reflected-id %d is not below %d, which comes later", id, uint32(after.number))
	case before == nil && !m.floating && number <= m.from:
		return 0, fmt.Errorf("B14: reflected-id %d is not above %d, which was drawn before", id, uint32(m.from))
	}
	return number, nil
}

// whole returns the number that id is the low half of.
func (m *Model) whole(before, after *Message, id d2m.ReflectedID) (uint64, error) {
	base := m.from
	switch {
	case before != nil:
		base = before.number
	case after != nil:
		step := uint32(after.number) - uint32(id)
		if step == 0 || step >= window || uint64(step) > after.number {
			return 0, fmt.Errorf("B14: reflected-id %d is not below %d, which comes later", id, uint32(after.number))
		}
		return after.number - uint64(step), nil
	case m.floating:
		return afloat + uint64(id), nil
	}
	step := uint32(id) - uint32(base)
	if step == 0 || step >= window {
		return 0, fmt.Errorf("B14: reflected-id %d is not above %d, which came before", id, uint32(base))
	}
	return base + uint64(step), nil
}

// neighbours returns the nearest messages with a known number that were accepted before and after.
func (m *Model) neighbours(message *Message) (before, after *Message) {
	for i := message.place - 1; i >= 0 && before == nil; i-- {
		if m.messages[i].number != 0 {
			before = m.messages[i]
		}
	}
	for i := message.place + 1; i < len(m.messages) && after == nil; i++ {
		if m.messages[i].number != 0 {
			after = m.messages[i]
		}
	}
	return before, after
}

// learnNumber takes a number that was checked.
func (m *Model) learnNumber(message *Message, number uint64) {
	if message.number != 0 {
		return
	}
	message.number = number
	if number>>32 != m.seen>>32 && m.seen != 0 {
		m.reach(NumberWrapped)
	}
	m.seen = max(m.seen, number)
	if m.first == 0 || number < m.first {
		m.first = number
	}
	m.low = max(m.low, number)
	if message.drawn != m.life {
		return
	}
	low := number + uint64(m.sure-message.sure)
	high := number + uint64(m.perhaps-message.perhaps)
	if low > m.high || high < m.low {
		m.low, m.high = low, high
		return
	}
	m.low, m.high = max(m.low, low), min(m.high, high)
}

// checkTime compares a time that was seen with what is known (B15).
func (m *Model) checkTime(message *Message, t uint64) error {
	low, high := message.earliest, message.latest
	if low != high && message.order == m.order {
		for _, other := range m.order.accepted {
			switch {
			case other.life != message.life:
			case other.turn < message.turn:
				low = max(low, other.earliest)
			case other.turn > message.turn:
				high = min(high, other.latest)
			}
		}
	}
	if t < low || t > high {
		return fmt.Errorf("B15: timestamp %d is not between %d and %d", t, low, high)
	}
	return nil
}

// learnTime takes a time that was checked.
func (m *Model) learnTime(message *Message, t uint64) {
	message.earliest, message.latest = t, t
	if message.life == m.life && message.order == m.order {
		m.stamp = max(m.stamp, t)
	}
}

// drawnNumber says which number a device means: -1 if it is one from before the first. It reports whether the number was
// ever drawn (B19), and whether all that is certain.
func (m *Model) drawnNumber(id d2m.ReflectedID) (number int64, drawn, certain bool) {
	number, drawn = meant(m.low, id)
	other, otherDrawn := meant(m.high, id)
	certain = drawn == otherDrawn && number == other && m.high-m.low < window/2
	if m.floating && drawn && number < int64(m.first) {
		certain = false
	}
	return number, drawn, certain
}

// meant is what drawnNumber says if last is the last number drawn.
func meant(last uint64, id d2m.ReflectedID) (number int64, drawn bool) {
	ahead := uint32(id) - uint32(last)
	if ahead != 0 && ahead < window {
		return -1, false
	}
	behind := uint64(uint32(last) - uint32(id))
	if behind > last {
		return -1, true
	}
	return int64(last - behind), true
}
