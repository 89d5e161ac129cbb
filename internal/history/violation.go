package history

import (
	"fmt"
	"slices"
	"strings"
)

// Violation tells what in a history cannot be the work of a correct mediator.
type Violation struct {
	Rule string // of behaviour.md that it breaks, or "history" if the recording contradicts itself
	Text string // one sentence: which message, which device

	history  *History
	messages map[Content]*message
	scopes   map[Content]*transaction
	places   []place // where it shows
}

// neighbours is how many events before and after a place are shown.
const neighbours = 4

// Error implements error: a sentence, and under it the neighbourhood in the histories of the devices concerned. Messages
// have the name of their sender and the ordinal of the Reflect there: 2/17.
func (v *Violation) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", v.Rule, v.Text)
	for d := range v.history.Devices {
		v.excerpt(&b, d)
	}
	return b.String()
}

// excerpt shows the events of a device around those of the violation.
func (v *Violation) excerpt(b *strings.Builder, device int) {
	var marked []int
	for _, p := range v.places {
		if p.device == device {
			marked = append(marked, p.event)
		}
	}
	if len(marked) == 0 {
		return
	}
	slices.Sort(marked)
	events := v.history.Devices[device].Events
	fmt.Fprintf(b, "\n  device %d", v.history.Devices[device].ID)
	shown := 0 // all before it are shown, or left out
	for _, m := range marked {
		if m-neighbours > shown {
			b.WriteString("\n    …")
		}
		for i := max(shown, m-neighbours); i <= min(len(events)-1, m+neighbours); i++ {
			mark := ' '
			if slices.Contains(marked, i) {
				mark = '>'
			}
			fmt.Fprintf(b, "\n  %c %9.4fs  %s", mark, events[i].At.Seconds(), v.describe(&events[i]))
			shown = i + 1
		}
	}
	if shown < len(events) {
		b.WriteString("\n    …")
	}
}

func (v *Violation) describe(e *Event) string {
	switch e.Kind {
	case Connected:
		if e.NewSlot {
			return fmt.Sprintf("connected to server %d, new slot", e.Server)
		}
		return fmt.Sprintf("connected to server %d", e.Server)
	case Sent:
		return fmt.Sprintf("sent %s, reflect-id %d%s", v.name(e.Content), e.ReflectID, ephemeral(e))
	case Acked:
		return fmt.Sprintf("was acked reflect-id %d, timestamp %d", e.ReflectID, e.Timestamp)
	case Received:
		return fmt.Sprintf("received %s as %d, timestamp %d%s", v.name(e.Content), e.ID, e.Timestamp, ephemeral(e))
	case AckSent:
		return fmt.Sprintf("acknowledged %d", e.ID)
	case Dry:
		return "queue dry"
	case Promoted:
		return "promoted to leader"
	case Ended:
		if e.Orderly {
			return "connection ended in good order"
		}
		return "connection ended"
	case Dropped:
		return "slot dropped"
	}
	return v.describeTransaction(e)
}

func (v *Violation) describeTransaction(e *Event) string {
	switch e.Kind {
	case BeginSent:
		return fmt.Sprintf("began transaction %s", v.scope(e.Content))
	case BeginAcked:
		return "was given the lock"
	case Rejected:
		return fmt.Sprintf("was rejected for transaction %s of device %d", v.scope(e.Content), e.Holder)
	case CommitSent:
		return "committed"
	case CommitAcked:
		return "was acked the commit"
	case TransactionEnded:
		return fmt.Sprintf("heard of the end of transaction %s of device %d", v.scope(e.Content), e.Holder)
	case Asked:
		return "asked for the slots"
	case Answered:
		return "was told the slots"
	}
	return fmt.Sprintf("event of unknown kind %d", e.Kind)
}

func (v *Violation) name(c Content) string {
	if m := v.messages[c]; m != nil {
		return m.String()
	}
	return fmt.Sprintf("unknown content %x", c[:4])
}

func (v *Violation) scope(c Content) string {
	if t := v.scopes[c]; t != nil {
		return t.String()
	}
	return fmt.Sprintf("unknown scope %x", c[:4])
}

func ephemeral(e *Event) string {
	if e.Ephemeral {
		return ", ephemeral"
	}
	return ""
}
