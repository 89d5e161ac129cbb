package main

import (
	"slices"

	"openmediator/internal/history"
)

// removeOne takes a message out of the first history that has one which was acked and delivered to a slot that nobody may
// have dropped.
func (g *group) removeOne(h *history.History) {
	g.run.mu.Lock()
	defer g.run.mu.Unlock()
	if g.broken || len(h.Devices) < 2 {
		return
	}
	for i := range h.Devices {
		to := &h.Devices[i]
		if slices.ContainsFunc(to.Events, func(e history.Event) bool { return e.Kind == history.Dropped }) {
			continue
		}
		from := &h.Devices[(i+1)%len(h.Devices)]
		for _, sent := range ackedOutside(from) {
			if forget(to, sent) {
				g.broken = true
				g.report.note("broken on purpose: device %d of %v has never received a message of device %d", to.ID, g, from.ID)
				return
			}
		}
	}
}

// ackedOutside returns the messages that were acked and are of no transaction.
func ackedOutside(d *history.Device) (acked []history.Event) {
	var waiting []history.Event
	inside := false
	for _, e := range d.Events {
		switch e.Kind {
		case history.Connected:
			waiting, inside = nil, false
		case history.BeginSent:
			inside = true
		case history.Rejected, history.CommitSent:
			inside = false
		case history.Sent:
			if !e.Ephemeral {
				e.NewSlot = inside // says whether it is left out
				waiting = append(waiting, e)
			}
		case history.Acked:
			if !waiting[0].NewSlot {
				acked = append(acked, waiting[0])
			}
			waiting = waiting[1:]
		}
	}
	return acked
}

// forget takes all receipts of a message out of a device's history, if its slot was there when that was sent.
func forget(d *history.Device, sent history.Event) bool {
	if len(d.Events) == 0 || d.Events[0].At > sent.At {
		return false
	}
	before := len(d.Events)
	d.Events = slices.DeleteFunc(d.Events, func(e history.Event) bool {
		return e.Kind == history.Received && e.Content == sent.Content
	})
	return len(d.Events) < before
}
