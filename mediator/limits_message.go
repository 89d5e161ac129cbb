package mediator

import (
	"sync/atomic"
	"time"

	"openmediator/d2m"
	"openmediator/devicegroup"
)

// unfinished watches over a message that has begun to arrive (B44). Pings, empty frames and single bytes do not prolong
// its time; a connection on which nothing has begun may rest for ever. Most messages arrive in one piece: a timer is set
// only for one that has to be waited for. While the connection is not read, because its device does not read (B21), there
// is none.
type unfinished struct {
	conn    *conn
	timeout time.Duration
	count   atomic.Uint32              // changes with each beginning, end and halt: odd while a message arrives
	timer   atomic.Pointer[time.Timer] // of the message that is waited for; or nil
}

// watch makes u ready for the first begin.
func (u *unfinished) watch(c *conn) {
	u.conn, u.timeout = c, c.server.config().MessageTimeout
	c.out.message = u
}

// begin notes that the first frame of a message has arrived.
func (u *unfinished) begin() { u.count.Add(1) }

// wait notes that nothing more is there for the time being. It may be called on nil.
func (u *unfinished) wait() {
	if u == nil {
		return
	}
	if count := u.count.Load(); count%2 == 1 && u.timer.Load() == nil {
		u.timer.Store(time.AfterFunc(u.timeout, func() { u.overdue(count) }))
	}
}

// halt notes that the connection is not read: a message that arrives has all its time again when it is. It may be called on
// nil.
func (u *unfinished) halt() {
	if u != nil {
		u.change(2)
	}
}

// end notes that the message has arrived whole, or that it never will.
func (u *unfinished) end() { u.change(1) }

func (u *unfinished) change(by uint32) {
	u.count.Add(by)
	if timer := u.timer.Swap(nil); timer != nil {
		timer.Stop()
	}
}

// overdue closes the connection if the message of a count has still not arrived.
func (u *unfinished) overdue(count uint32) {
	if u.count.Load() == count {
		u.conn.end(devicegroup.Close{Code: d2m.CloseIdle, Reason: "message was not complete in time"})
	}
}
