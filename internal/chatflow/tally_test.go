package chatflow

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"openmediator/client"
)

// tally counts which message has come to whom. Messages with an even number are alice's, the others bob's. The two with the
// highest numbers are sent last.
type tally struct {
	// fixed
	users    []*user
	last     int           // the lower of the highest numbers
	complete chan struct{} // closed when the last messages have come to all

	mu      sync.Mutex
	sender  []*device         // by number
	counts  map[*device][]int // by number: how often the message has come
	missing int               // arrivals of the last messages
	wrong   []string          // what nobody has sent
}

// newTally is for messages with the numbers from 0 and two more.
func newTally(users []*user, messages int) *tally {
	return &tally{
		users: users, last: messages, complete: make(chan struct{}),
		sender: make([]*device, messages+2), counts: make(map[*device][]int), missing: 2 * arrivals,
	}
}

func (t *tally) author(number int) *user   { return t.users[number%2] }
func (t *tally) receiver(number int) *user { return t.users[(number+1)%2] }

func (t *tally) sends(d *device, number int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sender[number] = d
}

// arrived is each device's onMessage.
func (t *tally) arrived(d *device, m client.ChatMessage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	number, err := numberOf(m)
	switch {
	case err != nil:
		t.wrong = append(t.wrong, fmt.Sprintf("%s: %v", d.name, err))
		return
	case number < 0 || number >= len(t.sender) || m.Sender != t.author(number).identity ||
		m.Receiver != t.receiver(number).identity || m.Outgoing != (d.user == t.author(number)):
		t.wrong = append(t.wrong, fmt.Sprintf("%s: message %d came from %v for %v, outgoing: %v", d.name, number, m.Sender, m.Receiver, m.Outgoing))
		return
	}
	if t.counts[d] == nil {
		t.counts[d] = make([]int, len(t.sender))
	}
	t.counts[d][number]++
	if number < t.last || t.counts[d][number] > 1 {
		return
	}
	if t.missing--; t.missing == 0 {
		close(t.complete)
	}
}

// awaitLast waits until the last messages have come to all. The time's end is no error here: check tells what is missing.
func (t *tally) awaitLast(ctx context.Context) {
	select {
	case <-t.complete:
	case <-ctx.Done():
	}
}

// problems returns what has gone wrong: one line for each device and kind.
func (t *tally) problems(devices []*device) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	problems := slices.Clone(t.wrong)
	for _, d := range devices {
		problems = append(problems, t.check(d)...)
	}
	return problems
}

// check is problems for one device. t.mu is held.
func (t *tally) check(d *device) (problems []string) {
	counts := t.counts[d]
	if counts == nil {
		counts = make([]int, len(t.sender))
	}
	var lost, repeated, echoed []int
	for number, n := range counts {
		switch own := t.sender[number] == d; {
		case own && n > 0:
			echoed = append(echoed, number)
		case !own && n == 0:
			lost = append(lost, number)
		case n > 1:
			repeated = append(repeated, number)
		}
	}
	for what, numbers := range map[string][]int{"were lost": lost, "came more than once": repeated, "are its own": echoed} {
		if len(numbers) > 0 {
			problems = append(problems, fmt.Sprintf("%s: %d messages %s, the first of them number %d", d.name, len(numbers), what, numbers[0]))
		}
	}
	return problems
}
