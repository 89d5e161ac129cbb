package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"openmediator/csp"
	"openmediator/d2m"
	"openmediator/internal/history"
)

// chat is a device's dealings with the chat server on one connection. It sends units, cut into messages anywhere, and
// has to get the same units back, each in a message of its own, in order (B35, B36).
type chat struct {
	// fixed
	order order

	// the device's goroutine's
	sent int // bytes

	// guarded by the device's recording
	due   []unit // sent, and not yet come back
	wrong string // about what has come
}

// unit is what the parrot sends back.
type unit struct {
	content history.Content
	size    int
	end     int // bytes sent up to its end
	sent    time.Time
}

// serverGroup is the one whose chat server does as planned; see chatServers.
func (c *chat) serverGroup() string {
	switch c.order.plan {
	case refuses:
		return "1"
	case isNotKnown:
		return "2"
	}
	return "0"
}

// chatServers is the setting that goes with serverGroup. Nothing listens at the port of the second.
func chatServers(parrot string) string { return "0=" + parrot + ",1=127.0.0.1:1" }

// newChat draws what becomes of it. Most of them last.
func newChat(random *rand.Rand) chat {
	o := order{plan: chatPlan(random.IntN(8 * int(chatPlans)))}
	if o.plan >= chatPlans {
		o.plan = chatPlan(random.IntN(2))
	}
	switch o.plan {
	case hangsUp: // possibly within a unit
		o.limit = uint32(csp.ServerHelloSize + random.IntN(4<<10))
	case exceeds: // where a unit begins
		o.limit = csp.ServerHelloSize + csp.LoginAckSize
	}
	return chat{order: o}
}

// lasts tells whether the device's connection is not closed because of it.
func (c *chat) lasts() bool { return c.order.plan < hangsUp }

// isOver tells whether enough was sent for the end.
func (c *chat) isOver() bool { return c.order.ends() && c.sent >= int(c.order.limit) }

// fate is the code that the device's connection is closed with, once it has sent enough; 0 if it is not.
func (c *chat) fate() d2m.CloseCode {
	switch {
	case c.sent == 0:
		return 0
	case c.order.plan == refuses, c.order.plan == isNotKnown:
		return d2m.CloseChatServerUnreachable
	case c.order.plan == hangsUp && c.isOver():
		return d2m.CloseChatServerClosed
	case c.order.plan == exceeds && c.isOver():
		return d2m.CloseChatServerInternal
	}
	return 0
}

// next returns the next unit and notes that it is sent.
func (c *chat) next(random *rand.Rand) []byte {
	var data []byte
	from := noise[random.IntN(len(noise)/2):]
	switch c.sent {
	case 0:
		data = append(data, from[:csp.ServerHelloSize]...)
		c.order.put(data)
	case csp.ServerHelloSize:
		data = append(data, from[:csp.LoginAckSize]...)
	default:
		size := drawSize(random) / 2
		data = binary.LittleEndian.AppendUint16(data, uint16(size))
		data = append(data, from[:size]...)
	}
	c.sent += len(data)
	if c.fate() != d2m.CloseChatServerUnreachable {
		c.due = append(c.due, unit{history.ContentOf(data), len(data), c.sent, time.Now()})
	}
	return data
}

// some returns up to some units.
func (c *chat) some(random *rand.Rand, most int) (data []byte) {
	for range 1 + random.IntN(most) {
		data = append(data, c.next(random)...)
	}
	return data
}

// early returns what goes to the chat server before the device is registered, if anything does: whole units of the
// handshake, far less than what is held back (B4).
func (c *chat) early(random *rand.Rand) []d2m.Message {
	if !c.lasts() || random.IntN(4) > 0 {
		return nil
	}
	return cut(c.some(random, 2), random)
}

// take compares what has come with what is due. The device's recording is held.
func (c *chat) take(data []byte) {
	switch {
	case c.wrong != "":
	case len(c.due) == 0:
		c.wrong = fmt.Sprintf("B35: %d bytes came from the chat server, and none are due", len(data))
	case history.ContentOf(data) != c.due[0].content:
		c.wrong = fmt.Sprintf("B36: %d bytes came from the chat server that are not the unit of %d bytes that is due",
			len(data), c.due[0].size)
	default:
		c.due = c.due[1:]
	}
}

// since returns when the unit was sent that is due now.
func (c *chat) since() []time.Time {
	if len(c.due) == 0 || c.order.ends() && c.due[0].end > int(c.order.limit) {
		return nil
	}
	return []time.Time{c.due[0].sent}
}

// missing tells of a unit that should have come before the end (B37).
func (c *chat) missing() string {
	if c.since() == nil {
		return ""
	}
	return fmt.Sprintf("B37: a unit of %d bytes that the chat server sent before its end has not come", c.due[0].size)
}

// cut cuts bytes into messages.
func cut(data []byte, random *rand.Rand) (messages []d2m.Message) {
	for len(data) > 0 {
		size := min(1+random.IntN(len(data)), len(data), d2m.MaxProxyDataSize)
		messages = append(messages, d2m.Proxy{Data: data[:size]})
		data = data[size:]
	}
	return messages
}

// talk sends some units to the chat server.
func (c *connection) talk(ctx context.Context) error {
	if c.chat.isOver() {
		return nil
	}
	c.recording.Lock()
	data := c.chat.some(c.random, 4)
	c.recording.Unlock()
	if fate := c.chat.fate(); fate != 0 {
		c.blame(fate)
	}
	for _, message := range cut(data, c.random) {
		if err := c.send(ctx, message); err != nil {
			return err
		}
	}
	return nil
}
