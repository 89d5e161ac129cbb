package model

import (
	"slices"

	"openmediator/d2m"
)

// Conn is one connection: what is owed to it, in order.
type Conn struct {
	slot *slot // nil once the connection has left the group, or if it was refused
	over bool  // nobody looks any more

	ahead  []*item  // ServerInfo and answers
	stream []*item  // Reflected, ReflectionQueueDry, RolePromotedToLeader, BeginTransactionAck, TransactionEnded
	ending *closing // how it ends

	served  bool   // ServerInfo was handed over
	written uint64 // when it was written, Unix milliseconds; 0: it was not
	dry     bool   // the queue has run dry

	backlog  [][]byte // what was sent behind a CommitTransaction (B27)
	rejected bool     // TransactionRejected was handed over, and no TransactionEnded since

	given   []*Message // stored messages that were handed over
	highest uint64     // the highest number among them and the ephemerals
	ids     map[d2m.ReflectID]bool
}

// gate says which durable changes stand before something that shows: it must not come before the certain ones up to
// one event are stored, and may wait for those up to another.
type gate struct{ must, may int }

// change is something durable that is not stored yet.
type change struct {
	event   int
	certain bool // else it may be that nothing is to be stored
}

// item is a frame that is owed.
type item struct {
	gate
	frame    d2m.Message // of a ReflectAck and a Reflected all but what message tells
	size     int         // of what goes ahead, bytes
	message  *Message    // of a ReflectAck and a Reflected
	optional bool        // it may be left out, too
	lost     bool        // it is left out if it shows at once
	either   bool        // it may go ahead of the stream, too
}

// closing is an end that is owed.
type closing struct {
	gate
	codes []d2m.CloseCode // one of these
}

// here is the gate of what shows because of this event.
func (m *Model) here() gate { return gate{m.event, m.event} }

// change notes that this event changes something durable. Of those that will be sealed together the first is enough:
// whoever waits for a later one waits for that one, too.
func (m *Model) change(certain bool) {
	for _, c := range m.changes {
		if c.certain == certain && c.event > m.flightEnds {
			return
		}
	}
	m.changes = append(m.changes, change{m.event, certain})
}

// mustWait says whether something may not show yet, mayWait whether it need not.
func (m *Model) mustWait(g gate) bool {
	return slices.ContainsFunc(m.changes, func(c change) bool { return c.certain && c.event <= g.must })
}

func (m *Model) mayWait(g gate) bool {
	return slices.ContainsFunc(m.changes, func(c change) bool { return c.event <= g.may })
}

// answer owes a frame ahead of the stream. message is the one that a ReflectAck is for.
func (m *Model) answer(c *Conn, frame d2m.Message, message *Message) {
	c.ahead = append(c.ahead, &item{gate: m.here(), frame: frame, message: message, size: len(frame.Append(nil))})
}

// place owes a frame at the end of the stream.
func (m *Model) place(c *Conn, frame d2m.Message, g gate) {
	c.stream = append(c.stream, &item{gate: g, frame: frame})
}

// reflected owes a message at the end of the stream.
func (m *Model) reflected(c *Conn, message *Message, g gate) *item {
	i := &item{gate: g, frame: d2m.Reflected{}, message: message}
	c.stream = append(c.stream, i)
	return i
}

// Registered says whether the connection has a slot: it is neither refused nor replaced nor dropped nor ended.
func (c *Conn) Registered() bool { return c.slot != nil }

// Leads says whether the connection is the leader (B12).
func (m *Model) Leads(c *Conn) bool { return m.leader == c }

// Contested says whether another connection waits to lead (B13).
func (m *Model) Contested() bool { return m.leader != nil && len(m.dry) > 1 }

// Ready says how much of what is owed has to be there by now: frames ahead of the stream, frames of the stream, and
// whether the end has.
func (m *Model) Ready(c *Conn) (ahead, stream int, end bool) {
	if c.over {
		return 0, 0, false
	}
	count := func(items []*item) (n int) {
		for _, i := range items {
			if m.mayWait(i.gate) {
				break
			}
			_, left := m.superseded(items, i)
			if !i.optional && !left && !i.either {
				n++
			}
		}
		return n
	}
	ahead, stream = count(c.ahead), count(c.stream)
	if !c.served && ahead == 0 {
		stream = 0
	}
	return ahead, stream, c.ending != nil && !m.mayWait(c.ending.gate)
}

// Certain says whether it is certain for all that is owed to a connection whether it shows now.
func (m *Model) Certain(c *Conn) bool {
	open := func(i *item) bool { return i.optional || i.either || m.mayWait(i.gate) != m.mustWait(i.gate) }
	return !slices.ContainsFunc(c.ahead, open) && !slices.ContainsFunc(c.stream, open)
}

// Held returns what a connection makes the group hold for it, in bytes: answers that are owed, and envelopes that wait
// for the store (B21). What is staged has a limit of its own (B26).
func (m *Model) Held(c *Conn) (unsent, unstored int) {
	for _, i := range c.ahead {
		unsent += i.size
		if i.message != nil && i.message.stored && !i.message.staged && m.mustWait(i.gate) {
			unstored += len(i.message.envelope)
		}
	}
	return unsent, unstored
}
