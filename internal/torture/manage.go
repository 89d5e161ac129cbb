package main

import (
	"context"
	"time"

	"openmediator/d2m"
	"openmediator/internal/history"
)

// manage asks for the slots, sets the shared data, drops a device, talks to the chat server or acknowledges what there is not,
// seldom.
func (c *connection) manage(ctx context.Context) error {
	switch n := c.random.IntN(60); {
	case n < 4:
		return c.ask(ctx)
	case n < 6:
		return c.share(ctx, c.random.IntN(200))
	case n == 6:
		return c.share(ctx, c.random.IntN(d2m.MaxSharedDataSize+1))
	case n < 9 && c.kind == drops:
		return c.drop(ctx, c.drawTarget())
	case n < 16:
		return c.talk(ctx)
	case n == 16 && c.random.IntN(10) == 0:
		return c.acknowledgeNone(ctx)
	}
	return nil
}

// acknowledgeNone acknowledges a number that was never drawn in the group (B19).
func (c *connection) acknowledgeNone(ctx context.Context) error {
	c.recording.Lock()
	last := c.lastID
	c.recording.Unlock()
	if last == 0 {
		return nil
	}
	c.blame(d2m.CloseUnknownMessageAcked)
	return c.send(ctx, d2m.ReflectedAck{ID: last + 1<<30})
}

func (c *connection) ask(ctx context.Context) error {
	c.tally.asked.Add(1)
	if !c.note(history.Event{Kind: history.Asked}, func() { c.asked = append(c.asked, time.Now()) }) {
		return errLost
	}
	return c.send(ctx, d2m.GetDevicesInfo{})
}

// share sets shared data that later ServerInfos may have.
func (c *connection) share(ctx context.Context, size int) error {
	value := noise[c.random.IntN(len(noise)/2):][:size]
	c.mu.Lock()
	number := c.shared.add(history.ContentOf(value), c)
	c.mu.Unlock()
	c.recording.Lock()
	c.sets = append(c.sets, unproven{number, c.reflects})
	c.recording.Unlock()
	c.tally.shared.Add(1)
	return c.send(ctx, d2m.SetSharedDeviceData{Data: value})
}

// dropped is a DropDevice without an ack.
type dropped struct {
	target *device
	slot   int
	acked  bool
}

// drawTarget returns a device that may be dropped.
func (c *connection) drawTarget() *device { return c.devices[1+c.random.IntN(len(c.devices)-1)] }

// drop drops a device, possibly itself. Nothing is known of the slot of the other until there is an answer.
func (c *connection) drop(ctx context.Context, target *device) error {
	c.mu.Lock()
	target.drops++
	target.underway++
	target.mayGo(byDrop)
	c.dropping = append(c.dropping, dropped{target: target, slot: target.slots})
	c.mu.Unlock()
	c.tally.drops.Add(1)
	if target == c.device {
		c.blame(d2m.CloseDropped)
	}
	return c.send(ctx, d2m.DropDevice{DeviceID: target.id})
}

// settleDrops takes the acks.
func (c *connection) settleDrops() {
	c.recording.Lock()
	acks := c.dropAcks
	c.dropAcks = nil
	c.recording.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range acks {
		for i := range c.dropping {
			if d := &c.dropping[i]; !d.acked && d.target.id == id {
				d.acked = true
				d.target.underway--
				if d.target.registered && d.target.slots == d.slot {
					d.target.gone = true
				}
				break
			}
		}
	}
}
