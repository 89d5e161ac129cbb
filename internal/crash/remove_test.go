package crash

import (
	"slices"
	"testing"

	"openmediator/internal/history"
)

// removeMessage takes an acked message of the first device, the first that was delivered, out of the history of the second.
// Both must have their slots when it is sent.
func removeMessage(t *testing.T, h *history.History) *history.History {
	t.Helper()
	var waiting []history.Event
	for _, e := range h.Devices[0].Events {
		switch {
		case e.Kind == history.Connected:
			waiting = nil
		case e.Kind == history.Sent && !e.Ephemeral:
			waiting = append(waiting, e)
		case e.Kind == history.Acked && waiting[0].At < h.Devices[1].Events[0].At:
			waiting = waiting[1:]
		case e.Kind == history.Acked:
			if forget(&h.Devices[1], waiting[0].Content) {
				return h
			}
			waiting = waiting[1:]
		}
	}
	t.Fatal("no message was acked")
	return nil
}

// removeStaged takes a message of a committed transaction of the first device out of the history of the second.
func removeStaged(t *testing.T, h *history.History) {
	t.Helper()
	var staged []history.Content
	open := false
	for _, e := range h.Devices[0].Events {
		switch {
		case e.Kind == history.Connected, e.Kind == history.CommitSent, e.Kind == history.Rejected:
			open = false
		case e.Kind == history.BeginSent:
			open, staged = true, nil
		case e.Kind == history.Sent && open && !e.Ephemeral:
			staged = append(staged, e.Content)
		case e.Kind == history.CommitAcked && len(staged) > 1 && h.Devices[1].Events[0].At < e.At:
			if forget(&h.Devices[1], staged[1]) {
				return
			}
		}
	}
	t.Fatal("no transaction was committed")
}

// forget takes all receipts of a message out of a device's history, and reports whether there were any.
func forget(d *history.Device, content history.Content) bool {
	before := len(d.Events)
	d.Events = slices.DeleteFunc(d.Events, func(e history.Event) bool {
		return e.Kind == history.Received && e.Content == content
	})
	return len(d.Events) < before
}
