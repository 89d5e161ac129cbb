package history

// checkStaged looks for messages that have left a transaction which was not committed, or not yet.
func (c *checker) checkStaged() *Violation {
	for _, t := range c.transactions {
		if t.answer != granted {
			continue
		}
		for _, m := range t.messages {
			switch {
			case m.received && !t.committed:
				return c.violation("B28", []place{m.at, m.receivedAt},
					"message %v was received, and its transaction %v was never committed", m, t)
			case m.received && c.history.at(m.receivedAt).At < t.commitAt:
				return c.violation("B26", []place{m.at, t.commit, m.receivedAt},
					"message %v was received before its transaction %v was committed", m, t)
			}
		}
	}
	return nil
}

// checkHeldBack looks for messages of other devices that were sent while a transaction held the lock, and not held back.
func (c *checker) checkHeldBack() *Violation {
	for _, t := range c.transactions {
		if t.heldFrom == never {
			continue
		}
		for _, m := range c.sent {
			if !m.received || m.at.device == t.begin.device || m.sentAt <= t.heldFrom {
				continue
			}
			switch {
			case c.history.at(m.receivedAt).At < t.heldUntil:
				return c.violation("B26", []place{t.answeredAt, t.commitOrBegin(), m.at, m.receivedAt},
					"message %v was sent and received while transaction %v held the lock", m, t)
			case t.first != nil && m.number < t.first.number:
				return c.violation("B26", []place{t.answeredAt, m.at, m.receivedAt, t.first.receivedAt},
					"message %v was sent when transaction %v had taken the lock, and comes before it", m, t)
			}
		}
	}
	return nil
}

// checkContiguous looks for messages inside a transaction that are none of it.
func (c *checker) checkContiguous() *Violation {
	var last *transaction
	left := make(map[*transaction]*message) // the message behind it
	for _, m := range c.byNumber() {
		t := m.staged()
		if behind := left[t]; t != nil && behind != nil {
			return c.violation("B27", []place{behind.receivedAt, m.receivedAt},
				"message %v stands inside transaction %v, before its message %v", behind, t, m)
		}
		if t != last && last != nil {
			left[last] = m
		}
		last = t
	}
	return nil
}

// staged returns the transaction of which a message is known to be a part, or nil.
func (m *message) staged() *transaction {
	if m.transaction == nil || m.transaction.answer != granted {
		return nil
	}
	return m.transaction
}
