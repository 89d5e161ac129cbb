package chatserver

import (
	"errors"
	"time"

	"openmediator/csp"
)

// How connections end for what is not their fault.
var (
	queueFull     = csp.Closed{MayReconnect: true, Text: "Queue of the receiver is full"}
	storageFailed = csp.Closed{MayReconnect: true, Text: "Storage failed"}
)

// takeMessage takes a message of the client: it is stored, then acked, then its receiver's connection looks for it.
func (c *conn) takeMessage(data []byte) error {
	m, err := csp.ParseMessage(data)
	if err != nil {
		return violation(err.Error())
	}
	if m.Sender != c.session.identity {
		return violation("message: sender is not the one that is logged in")
	}
	setTime(&m, time.Now())
	switch _, known := c.server.known.PublicKey(m.Receiver); {
	case !known:
		c.ackMessage(m)
	case m.Flags&csp.FlagDoNotQueue != 0:
		c.server.pass(m)
		c.ackMessage(m)
	default:
		c.server.store.submit(operation{
			do:   func(t *transaction) error { return t.put(m) },
			then: func(err error) { c.stored(m, err) },
		})
	}
	return nil
}

// setTime puts the server's time into a message that has none, or one that cannot be, or for which it decides when the
// message is deleted.
func setTime(m *csp.Message, now time.Time) {
	seconds := uint32(now.Unix())
	if m.CreatedAt == 0 || m.CreatedAt > seconds || m.Flags&csp.FlagShortLived != 0 {
		m.CreatedAt = seconds
	}
}

// stored takes the result of storing a message of the client. It is called by the committer.
func (c *conn) stored(m csp.Message, err error) {
	switch {
	case errors.Is(err, errQueueFull):
		c.end(queueFull)
	case err != nil:
		c.end(storageFailed)
	default:
		c.ackMessage(m)
		c.server.stir(m.Receiver)
	}
}

func (c *conn) ackMessage(m csp.Message) {
	if m.Flags&csp.FlagNoAck == 0 {
		ack := csp.MessageAck{Identity: m.Receiver, ID: m.ID}
		c.send(csp.Payload{Type: csp.OutgoingMessageAck, Data: ack.Append(nil)})
	}
}

// pass gives a message that is not to be stored to its receiver, if that takes messages now.
func (s *Server) pass(m csp.Message) {
	if one := s.sessions.receiver(m.Receiver); one != nil {
		if p, err := one.incoming(m); err == nil {
			one.conn.offer(p)
		}
	}
}

// incoming returns a message as the client of a session gets it.
func (one *session) incoming(m csp.Message) (csp.Payload, error) {
	if one.features&csp.FeatureMetadata == 0 {
		m.Metadata = nil
	}
	data, err := m.Append(nil)
	return csp.Payload{Type: csp.IncomingMessage, Data: data}, err
}
