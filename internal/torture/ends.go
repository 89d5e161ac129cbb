package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"openmediator/client"
	"openmediator/d2m"
)

// blame notes that the device has done what its connection will be closed for, with a code.
func (c *connection) blame(code d2m.CloseCode) { c.blamed, c.fate = time.Now(), code }

// judgeEnd looks for an excuse for the end of a connection that the device has not ended itself.
func (c *connection) judgeEnd() {
	c.recording.Lock()
	err, replaced := c.err, c.replaced
	c.recording.Unlock()
	var closed *client.CloseError
	switch {
	case err == nil && (replaced || !time.Now().Before(c.enough) || c.life.isOver() || c.road.faulty()):
		c.tally.countEnd("given up")
	case err == nil:
		c.findProblem(c.device, fmt.Sprintf("connection: the server takes nothing, by a road that is %s\n%s",
			roadNames[c.road.kind], c.life.process.Log()))
	case errors.As(err, &closed):
		c.tally.countEnd(closeName(closed.Code))
		problem := c.judgeCode(closed)
		if problem == "" && closed.Code == d2m.CloseChatServerClosed {
			problem = c.chat.missing()
		}
		if problem != "" {
			c.findProblem(c.device, problem)
		}
		if closed.Code == d2m.CloseDropped || closed.Code == d2m.CloseQueueLimit {
			c.slotLost()
		}
	default:
		c.judgeLoss(err)
	}
}

func (c *connection) judgeLoss(err error) {
	var lost *client.LostError
	if excuse := c.lossExcuse(); excuse != "" && errors.As(err, &lost) {
		c.tally.countEnd(excuse)
		return
	}
	c.findProblem(c.device, fmt.Sprintf("connection: %v, by a road that is %s\n%s",
		err, roadNames[c.road.kind], c.life.process.Log()))
}

// lossExcuse says why the connection may have ended without a close code, or returns "".
func (c *connection) lossExcuse() string {
	hasReason := !c.blamed.IsZero() || c.isExcused(byDrop|byLimit|byCrowd)
	switch {
	case c.life.isOver():
		return "server ended"
	case c.road.faulty():
		return "road ended"
	case c.lazy && hasReason:
		return "close not read" // the server gives up when the device takes nothing for 5 s (B45)
	}
	return ""
}

// judgeCode returns what is wrong about a close code here, or "".
func (c *connection) judgeCode(closed *client.CloseError) string {
	excused := !c.blamed.IsZero() && closed.Code == c.fate
	switch closed.Code {
	case d2m.CloseGoingAway:
		excused = c.life.isOver()
	case d2m.CloseTransactionExpired:
		excused = c.lock.plan == expire
	case d2m.CloseReplaced:
		excused = c.abandoned == c.life.number
	case d2m.CloseDropped:
		excused = c.isExcused(byDrop | byCrowd)
	case d2m.CloseQueueLimit:
		excused = c.isExcused(byLimit)
	}
	if excused {
		return ""
	}
	return fmt.Sprintf("%v, by a road that is %s", closed, roadNames[c.road.kind])
}

// replaceLimit is how long a connection that was replaced may still be there: the device may not read for a while.
const replaceLimit = 20 * time.Second

// awaitReplaced ends a connection that the device has left open, when the server has or has not (B9).
func (c *connection) awaitReplaced() {
	timer := time.NewTimer(replaceLimit)
	defer timer.Stop()
	ended := true
	select {
	case <-c.over:
	case <-c.hopeless.Done():
	case <-timer.C:
		ended = c.road.faulty() || c.lazy || c.life.isOver()
	}
	c.recording.Lock()
	c.ownEnd = true
	c.recording.Unlock()
	c.wake()
	c.wire.CloseNow()
	<-c.over
	if !ended {
		c.findProblem(c.device, "B9: the connection that was replaced is not closed")
	}
}

// judgeReplaced looks at how a connection ended that was replaced, unless the device has ended it. The reader asks.
func (c *connection) judgeReplaced(err error) {
	var closed *client.CloseError
	switch {
	case !errors.As(err, &closed):
		if !c.life.isOver() && !c.road.faulty() && c.hopeless.Err() == nil {
			c.findProblem(c.device, fmt.Sprintf("B9: the connection that was replaced ended with %v", err))
		}
	case closed.Code == d2m.CloseReplaced:
		c.tally.countEnd("4112 as meant")
	case closed.Code == d2m.CloseDropped && (c.kind == drops || c.kind == crowded):
	case closed.Code == d2m.CloseQueueLimit && c.kind == flooded:
	default:
		if problem := c.judgeCode(closed); problem != "" {
			c.findProblem(c.device, "after it was replaced: "+problem)
		}
	}
}

// closeNow ends a connection that is left over when the run is given up.
func (d *device) closeNow() {
	d.recording.Lock()
	c := d.current
	d.recording.Unlock()
	if c != nil {
		c.end(context.Cause(d.hopeless) == nil)
	}
}
