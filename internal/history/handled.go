package history

import "time"

// handled says that the server has handled all that a device sent on a connection up to an event, because it answered that.
type handled struct {
	event int // of the device
	at    time.Duration
}

// showHandled notes that what was sent at p has been answered at a time.
func (k *connection) showHandled(event int, at time.Duration) {
	if n := len(k.handled); n == 0 || k.handled[n-1].event < event {
		k.handled = append(k.handled, handled{event, at})
	}
}

// handledAt returns when something that was sent after an event of the device had been answered, or never.
func (k *connection) handledAt(event int) time.Duration {
	for _, h := range k.handled {
		if h.event > event {
			return h.at
		}
	}
	if k.orderly {
		return k.overAt
	}
	return never
}

// devicesInfo takes a DevicesInfo.
func (c *checker) devicesInfo(d *device, p place, e *Event) *Violation {
	k := d.connection
	if len(k.questions) == 0 {
		return c.violation("B31", []place{p}, "device %d was told of the slots and did not ask", d.id)
	}
	k.showHandled(k.questions[0], e.At)
	k.questions = k.questions[1:]
	return nil
}
