package chatserver

import (
	"errors"
	"time"

	"openmediator/csp"
)

const (
	pageSize  = 64 << 10 // bytes of stored messages that the writer reads at once
	writeSize = 16 << 10 // bytes that a client has to take within the stall timeout
)

// errEnded is the end of the writer.
var errEnded = errors.New("connection has ended")

// write sends what there is to be sent until the connection ends. It is the writer.
func (c *conn) write() {
	defer close(c.written)
	var echo <-chan time.Time
	if c.session.features&csp.FeatureEcho != 0 {
		ticker := time.NewTicker(c.server.config.EchoInterval)
		defer ticker.Stop()
		echo = ticker.C
	}
	for {
		select {
		case <-c.wake:
		case <-echo:
			c.offer(csp.Payload{Type: csp.EchoRequest})
		}
		if err := c.writeTurn(); err != nil {
			return
		}
	}
}

// writeTurn sends what there is now. An error is the end of the writer.
func (c *conn) writeTurn() error {
	t := c.take()
	if t.gone {
		return errEnded
	}
	data, err := c.sealAll(nil, t.own)
	if err == nil && t.behind {
		data, err = c.sealQueue(data, &t)
	}
	if err == nil && t.closing != nil {
		data, err = c.sealAll(data, []csp.Payload{{Type: csp.CloseError, Data: t.closing.Append(nil)}})
	}
	if err == nil {
		err = c.writeOut(data)
	}
	c.giveRoom(t.size)
	switch {
	case err != nil:
		c.drop()
		c.nc.Close()
		return err
	case t.closing != nil:
		c.linger()
		return errEnded
	}
	c.forget(t.noAck)
	return nil
}

// turn is what the writer does at once.
type turn struct {
	own     []csp.Payload
	size    int  // of own, as counted in unsent
	behind  bool // the queue is to be looked at
	closing *csp.Closed
	gone    bool
	noAck   []uint64 // arrivals of the messages in it that nobody will ack
}

// take takes what is to be sent. Stored messages go to the session that gets them alone; whoever becomes that is stirred
// afterwards, so it is not asked who it is before behind is looked at.
func (c *conn) take() (t turn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	receives := c.server.sessions.receiver(c.session.identity) == c.session
	t = turn{own: c.own, size: c.unsent, closing: c.closing, gone: c.gone}
	t.behind = c.behind && receives && c.closing == nil
	c.own, c.behind = nil, false
	return t
}

func (c *conn) sealAll(data []byte, payloads []csp.Payload) ([]byte, error) {
	var err error
	for _, p := range payloads {
		if data, err = c.boxes.Seal(data, p); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// sealQueue appends the next stored messages, and 0xd0 behind those that were there when their sending began.
func (c *conn) sealQueue(data []byte, t *turn) ([]byte, error) {
	page, err := c.server.store.read(c.session.identity, c.next, pageSize)
	if err != nil {
		c.server.storageFailed(err)
		c.end(storageFailed)
		return data, nil
	}
	if !c.begun {
		c.begun, c.queueEnd = true, page.last
	}
	for _, q := range page.messages {
		p, err := c.session.incoming(q.message)
		if err == nil {
			data, err = c.boxes.Seal(data, p)
		}
		if err != nil {
			return nil, err
		}
		if q.message.Flags&csp.FlagNoAck != 0 {
			t.noAck = append(t.noAck, q.arrival)
		}
		c.next = q.arrival + 1
	}
	if page.more {
		c.stir()
	}
	if !c.queueIsOut && (!page.more || c.next > c.queueEnd) {
		c.queueIsOut = true
		return c.boxes.Seal(data, csp.Payload{Type: csp.QueueSendComplete})
	}
	return data, nil
}

// writeOut writes piece by piece. Each has the stall timeout, or, once the connection ends, the close timeout.
func (c *conn) writeOut(data []byte) error {
	for len(data) > 0 {
		piece := data[:min(len(data), writeSize)]
		c.armWrite()
		if _, err := c.nc.Write(piece); err != nil {
			return err
		}
		data = data[len(piece):]
	}
	return nil
}

// armWrite sets the deadline of the next write. The one that end has set stays.
func (c *conn) armWrite() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing == nil {
		c.nc.SetWriteDeadline(time.Now().Add(c.server.config.StallTimeout))
	}
}

// giveRoom notes that what the writer took is not waiting any more.
func (c *conn) giveRoom(size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unsent -= size
	c.room.Broadcast()
}

// forget deletes messages that were written and that nobody acks.
func (c *conn) forget(arrivals []uint64) {
	if len(arrivals) == 0 {
		return
	}
	c.store(func(t *transaction) {
		for _, arrival := range arrivals {
			t.remove(c.session.identity, arrival)
		}
	}, nil)
}

// linger ends the sending side. The reader reads on until the client closes, for a while: a socket that is closed while
// something arrives sends a reset, which would eat the close error.
func (c *conn) linger() {
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lingers = true
	c.nc.SetReadDeadline(time.Now().Add(c.server.config.CloseTimeout))
}
