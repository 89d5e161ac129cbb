package mediator

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/coder/websocket"

	"openmediator/chatproxy"
	"openmediator/devicegroup"
	"openmediator/reflect"
)

// pingFrame is a WebSocket ping without payload. It is written as bytes, since the library would wait for the pong.
var pingFrame = []byte{0x89, 0x00}

var outputs = sync.Pool{New: func() any { return new(devicegroup.Output) }}

// wake makes the writer look for something to write. It never blocks.
func (c *conn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dirty = true
	if !c.writing {
		c.writing = true
		go c.write()
	}
}

// becomeWriter makes the caller the writer if there is none.
func (c *conn) becomeWriter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing {
		c.dirty = true
		return false
	}
	c.writing = true
	return true
}

// resign ends what becomeWriter began. What is left to do, or has come meanwhile, is for a writer of its own.
func (c *conn) resign(left bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if left || c.dirty {
		c.dirty = true
		go c.write()
		return
	}
	c.writing = false
}

// write sends what there is to be sent until there is nothing more. It runs in a goroutine of its own, of which there is
// one at a time per connection, or a caller of becomeWriter, and it alone closes the socket.
func (c *conn) write() {
	out := outputs.Get().(*devicegroup.Output)
	defer func() {
		out.Reset()
		outputs.Put(out)
	}()
	for c.takeTurn() {
		if c.writeTurn(out) {
			c.hangUp()
			return // writing stays set: nobody writes to this connection any more
		}
	}
}

// writeAtOnce writes what its group has for the device, as far as it is in memory and the kernel takes it at once, if the
// writer has no work: to start a writer costs more than all else. out is for its use.
func (c *conn) writeAtOnce(out *devicegroup.Output) {
	if c.becomeWriter() {
		c.resign(!c.informed || !c.passStream(out))
	}
}

// passStream says whether nothing is left to be done.
func (c *conn) passStream(out *devicegroup.Output) bool {
	c.out.collect()
	left := c.group.nextAtOnce(c, out)
	return c.sendFrames(&out.Frames) && c.out.tryFlush() && !left
}

// takeTurn says whether there may be something to write; if not, the writer has to stop.
func (c *conn) takeTurn() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dirty {
		c.writing = false
		return false
	}
	c.dirty = false
	return true
}

// writeTurn sends what is there now. It reports whether the connection has ended.
func (c *conn) writeTurn(out *devicegroup.Output) (ended bool) {
	for {
		more := c.collect(out)
		if c.out.flush() != nil {
			return true
		}
		if out.Close != nil {
			c.sendClose(*out.Close)
			return true
		}
		if waiting, ending := c.out.state(); ending && !waiting {
			return true
		}
		if !more {
			return false
		}
		c.sent()
	}
}

// collect fills the outbox with the frames that go out next, and says in out.Close whether the connection ends then. It
// reports whether there may be more. Once the library has sent a Close frame by itself it takes none of them: then the
// reader says how the connection ends.
func (c *conn) collect(out *devicegroup.Output) (more bool) {
	c.out.collect()
	own := c.takeOwn()
	if own.ping {
		c.out.append(pingFrame...)
	}
	out.Reset()
	taken, chatting := c.sendFrames(&own.early), false
	if taken && own.chat != nil {
		chatting, taken = c.sendChat(own.chat)
	}
	if own.registered {
		c.group.next(c, out)
		if !c.informed && len(out.Ends) > 0 {
			c.startChat()
			c.joined()
		}
		taken = taken && c.sendFrames(&out.Frames) && c.sendFetched(out)
	}
	more = taken && (chatting || !out.Empty())
	if out.Close == nil {
		out.Close = own.close
	}
	return more
}

// own is what a connection has to send without its group, and what it asks then.
type own struct {
	early      devicegroup.Frames
	close      *devicegroup.Close
	ping       bool
	chat       *chatproxy.Session
	registered bool
}

// takeOwn takes what the connection has to send without its group.
func (c *conn) takeOwn() own {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := own{c.early, c.close, c.pingDue, c.chat, c.registered}
	c.early, c.pingDue = devicegroup.Frames{}, false
	if o.ping {
		c.pinged = time.Now()
		c.unanswered++
	}
	return o
}

// sendFrames puts frames into the outbox. It reports false if nothing goes out any more.
func (c *conn) sendFrames(f *devicegroup.Frames) bool {
	return len(f.Ends) == 0 || c.out.sendFrames(f.Data, f.Ends)
}

// sendFetched reads from the store what is not in memory any more. It reports false if the library takes no frames.
func (c *conn) sendFetched(out *devicegroup.Output) bool {
	if len(out.Fetch) == 0 {
		return true
	}
	out.Frames.Reset()
	missing, err := c.fetch(out, 0, len(out.Fetch))
	for i := 0; missing && i < len(out.Fetch); i++ {
		// Every device has acknowledged a message that is deleted, this one on an earlier connection (d2m.md, 16).
		if _, err = c.fetch(out, i, i+1); err != nil {
			break
		}
	}
	if err != nil {
		c.group.unreadable(c, err)
		return true
	}
	return c.sendFrames(&out.Frames)
}

// fetch appends some of out's messages in the store to its frames, without those that are damaged. It reports whether one
// of them is not there; then none is appended.
func (c *conn) fetch(out *devicegroup.Output, from, to int) (missing bool, err error) {
	var nonsense error
	var damaged []int
	data, ends := len(out.Data), len(out.Ends)
	err = c.server.store.Read(c.url.GroupID, c.core.Epoch(), out.Fetch[from:to], func(i int, record []byte) error {
		nonsense = out.AppendFetched(from+i, record)
		if errors.Is(nonsense, reflect.ErrDamaged) {
			damaged = append(damaged, from+i)
			nonsense = nil
		}
		return nonsense
	})
	if err == nil || nonsense != nil || errors.Is(err, reflect.ErrUnavailable) || errors.Is(err, reflect.ErrFenced) {
		c.group.skip(c, out, damaged)
		return false, err
	}
	out.Data, out.Ends = out.Data[:data], out.Ends[:ends]
	return true, nil
}

// sent notes that what its group has handed out is with the kernel.
func (c *conn) sent() {
	if !c.informed {
		c.informed = true
		c.group.written(c)
	}
}

// sendClose sends a Close frame and waits for the peer's, reading and discarding, 5 s at most (B45).
func (c *conn) sendClose(why devicegroup.Close) {
	c.server.counters.closed(why.Code)
	c.server.logClose(c, why)
	for !c.out.passThrough() {
		if c.out.flush() != nil {
			return
		}
	}
	if c.link != nil {
		c.link.beginClosing(c.freeDiscard())
	}
	c.out.Conn.SetReadDeadline(time.Now().Add(closeTimeout))
	c.mute.Store(true) // an answer that fails would count as the device's Close
	err := c.ws.Close(websocket.StatusCode(why.Code), closeReason(why.Reason))
	if err == nil || websocket.CloseStatus(err) != -1 || errors.Is(err, net.ErrClosed) {
		return // the device has sent its Close frame
	}
	linger(c.out.Conn)
}

// freeDiscard is how much is discarded at full speed of what is still on its way when the connection is closed.
func (c *conn) freeDiscard() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.admitted {
		return membersDiscard
	}
	return strangersDiscard
}

// linger ends the sending side and reads on for as long as the read deadline allows: a socket that is closed while
// something arrives sends a reset, which would eat the Close frame.
func linger(nc net.Conn) {
	closeWrite(nc)
	if l := linkOf(nc); l != nil && l != nc {
		l.CloseWrite() // TLS has ended its stream, not the one below
	}
	io.Copy(io.Discard, nc)
}

// hangUp ends the connection for good.
func (c *conn) hangUp() {
	c.ws.CloseNow()
	c.out.Close()
	if c.link != nil {
		c.link.closing.Store(true) // TLS says that this is the end, and waits no longer than the rest
	}
	c.out.Conn.Close()
	if c.isRegistered() {
		c.group.over(c)
	}
	c.part()
}
