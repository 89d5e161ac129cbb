package history

import (
	"math"
	"time"
)

// lock is what is known of the time for which a transaction held it, once the whole history is.
type lock struct {
	heldFrom  time.Duration // it was held from here …
	heldUntil time.Duration // … to here; nothing is known if that is less
	freeAt    time.Duration // from here on it was free again
	kept      bool          // the transaction is a part of the queue
	first     *message      // of it in the order of the queue; nil if nobody has received any
}

const never = time.Duration(math.MaxInt64)

// settle finds out what became of the transactions.
func (c *checker) settle() {
	for _, t := range c.transactions {
		t.settleOutcome()
		t.settleHeld(c.history)
		t.freeAt = never
		if t.acked {
			t.freeAt = c.history.at(t.ackedAt).At
		}
	}
	for _, e := range c.endings {
		e.transaction.freeAt = min(e.transaction.freeAt, c.history.at(e.at).At)
	}
	for d := range c.history.Devices {
		for i := range c.history.Devices[d].Events {
			if e := &c.history.Devices[d].Events[i]; e.Kind == Connected {
				c.freeBy(d, e)
			}
		}
	}
}

func (t *transaction) settleOutcome() {
	if t.answer != granted {
		return
	}
	t.kept = t.acked
	for _, m := range t.messages {
		if !m.received {
			continue
		}
		t.kept = t.committed
		if t.first == nil || m.number < t.first.number {
			t.first = m
		}
	}
}

// settleHeld goes by the answers: each shows that the lock had been taken by then, and was held when the question was sent.
func (t *transaction) settleHeld(h *History) {
	t.heldFrom, t.heldUntil = never, -1
	if t.answer != granted {
		return
	}
	t.heldFrom = h.at(t.answeredAt).At
	for _, m := range t.messages {
		if m.acked {
			t.heldFrom = min(t.heldFrom, h.at(m.ackedAt).At)
			t.heldUntil = max(t.heldUntil, m.sentAt)
		}
	}
	if t.kept {
		t.heldUntil = t.commitAt
	}
}

// freeBy notes that a connection ends the transactions of earlier servers, and of earlier connections of its device.
func (c *checker) freeBy(device int, e *Event) {
	for _, t := range c.transactions {
		earlier := t.connection.server < e.Server
		replaced := t.begin.device == device && t.begunAt < e.At
		if earlier || replaced {
			t.freeAt = min(t.freeAt, e.At)
		}
	}
}

// checkLock looks for two holders at a time.
func (c *checker) checkLock() *Violation {
	for i, t := range c.transactions {
		for _, other := range c.transactions[:i] {
			if max(t.heldFrom, other.heldFrom) < min(t.heldUntil, other.heldUntil) {
				return c.violation("B24", []place{other.begin, other.answeredAt, t.begin, t.answeredAt},
					"transactions %v and %v held the lock at the same time", other, t)
			}
		}
	}
	return nil
}

// checkAnswers looks at those who were rejected: by a transaction that was over, or without hearing of its end.
func (c *checker) checkAnswers() *Violation {
	for _, w := range c.waits {
		t, lost := w.transaction, w.lost
		if t.answer == rejected {
			return c.violation("B25", []place{t.answeredAt, lost.answeredAt},
				"transaction %v was rejected for %v, which was rejected itself", lost, t)
		}
		if t.freeAt < lost.begunAt {
			return c.violation("B25", []place{t.begin, lost.begin, lost.answeredAt},
				"transaction %v was rejected for %v, which was over", lost, t)
		}
		for _, r := range w.received {
			if !c.endComes(w, r) {
				return c.violation("B27", []place{lost.answeredAt, r.at},
					"device %d was rejected and received message %v, sent later than the end of which it did not hear", lost.holder, r.message)
			}
		}
	}
	return nil
}

// endComes says whether a TransactionEnded may be due only behind a message, because the message may be from before the
// end, or because only the last of several TransactionEnded is kept (B21).
func (c *checker) endComes(w *wait, r passage) bool {
	at := c.history.at(r.at).At
	for _, t := range c.transactions {
		if t.answer != rejected && t.begunAt <= at && t.freeAt >= r.message.sentAt && t.holder != w.lost.holder {
			return true
		}
	}
	return false
}

// checkBegins looks for what a holder was to have before it had the lock: all that is before its messages in the order.
func (c *checker) checkBegins() *Violation {
	for _, t := range c.transactions {
		if t.answer != granted || t.first == nil {
			continue
		}
		for _, m := range c.byNumber() {
			if m.number >= t.first.number {
				break
			}
			r := t.slot.receipts[m]
			if r != nil && r.first.event > t.answeredAt.event {
				return c.violation("B24", []place{t.answeredAt, r.first},
					"device %d had the lock for transaction %v before message %v, which comes before it", t.holder, t, m)
			}
		}
	}
	return nil
}

// checkEndings looks for devices that heard of the end of a transaction too early.
func (c *checker) checkEndings() *Violation {
	for _, e := range c.endings {
		t := e.transaction
		if c.history.at(e.at).At < t.heldUntil {
			return c.violation("B27", []place{t.commitOrBegin(), e.at},
				"device %d heard of the end of transaction %v, which held the lock", e.slot.device.id, t)
		}
		if !t.kept {
			continue
		}
		for _, m := range t.messages {
			if r := e.slot.receipts[m]; !m.ephemeral && r != nil && r.first.event > e.at.event {
				return c.violation("B27", []place{e.at, r.first},
					"device %d heard of the end of transaction %v before its message %v", e.slot.device.id, t, m)
			}
		}
	}
	return nil
}

// commitOrBegin returns where the transaction shows best.
func (t *transaction) commitOrBegin() place {
	if t.committed {
		return t.commit
	}
	return t.begin
}
