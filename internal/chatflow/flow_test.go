package chatflow

import (
	"flag"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"openmediator/client"
	"openmediator/csp"
	"openmediator/d2m"
)

var (
	seedFlag     = flag.Uint64("chatflow.seed", 0, "which connections are cut, and after how many messages; 0 draws one")
	messagesFlag = flag.Int("chatflow.messages", 3_000, "how many messages the two users exchange together")
)

const (
	devicesPerUser = 3
	// sendersPerDevice is how many messages a device has on their way at a time.
	sendersPerDevice = 10
	// arrivals is how often a message comes: to all devices of its receiver, and to the sender's others.
	arrivals = 2*devicesPerUser - 1
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Each message comes once to each device, and no server keeps or reads one, whatever is cut off meanwhile.
func TestEachMessageComesOnceWhileLeadersAreKilled(t *testing.T) {
	seed, count := *seedFlag, *messagesFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-chatflow.seed %d", seed)
	w := newWorld(t)
	tally := newTally(w.users(), count)
	devices := w.joinAll(tally)
	killer := newKiller(seed, devices, w.tap)

	w.exchange(devices, tally, killer)
	w.stopMediator()
	w.startMediator()
	w.sendLast(devices, tally)
	leave(devices)
	w.stop()

	killer.check(t)
	for _, problem := range tally.problems(devices) {
		t.Error(problem)
	}
	w.checkServers(count + 2)
}

func (w *world) joinAll(tally *tally) (devices []*device) {
	w.t.Helper()
	for _, u := range w.users() {
		for id := range d2m.DeviceID(devicesPerUser) {
			devices = append(devices, w.join(u, id+1, tally.arrived))
		}
	}
	return devices
}

// exchange has all devices send at once what their user has to send, and returns when the chat server has it.
func (w *world) exchange(devices []*device, tally *tally, killer *killer) {
	w.t.Helper()
	numbers := make(map[*user]chan int)
	for _, u := range w.users() {
		numbers[u] = make(chan int, tally.last)
	}
	for number := range tally.last {
		numbers[tally.author(number)] <- number
	}
	for _, u := range w.users() {
		close(numbers[u])
	}
	var sending sync.WaitGroup
	for _, d := range devices {
		for range sendersPerDevice {
			sending.Go(func() {
				for number := range numbers[d.user] {
					tally.sends(d, number)
					if err := d.send(w.ctx, tally.receiver(number), number); err != nil {
						w.t.Errorf("%s cannot send message %d: %v", d.name, number, err)
						return
					}
					killer.messageSent()
				}
			})
		}
	}
	sending.Wait()
}

// sendLast sends each user one more message and waits until all devices have both. Whatever was on its way to a device
// comes before them: nothing is cut off any more, and since the mediator was stopped there is nothing left of connections
// that were.
func (w *world) sendLast(devices []*device, tally *tally) {
	w.t.Helper()
	for number := tally.last; number < tally.last+2; number++ {
		author := tally.author(number)
		d := devices[slices.IndexFunc(devices, func(d *device) bool { return d.user == author })]
		tally.sends(d, number)
		if err := d.send(w.ctx, tally.receiver(number), number); err != nil {
			w.t.Errorf("%s cannot send message %d: %v", d.name, number, err)
		}
	}
	tally.awaitLast(w.ctx)
}

// leave closes the devices, those that lead at last: a device that took over could be sent what the one before it has
// acknowledged, as long as that is still on its way, and would reflect it to devices that are gone.
func leave(devices []*device) {
	var leaders []*device
	for _, d := range devices {
		if d.IsLeader() {
			leaders = append(leaders, d)
		} else {
			d.Close()
		}
	}
	for _, d := range leaders {
		d.Close()
	}
}

// checkServers looks at what the servers got and kept: all messages went through them, and none is there to be read.
func (w *world) checkServers(messages int) {
	w.t.Helper()
	for _, p := range w.places() {
		if p.holds(marker) {
			w.t.Errorf("%s holds a message in the clear", p.name)
		}
	}
	if n := w.tap.messageCount(); n != messages {
		w.t.Errorf("the chat server got %d different messages, want %d", n, messages)
	}
	for _, u := range w.users() {
		if n := w.waitingAtMediator(u); n > 0 {
			w.t.Errorf("mediator: %d messages wait for %s's devices", n, u.name)
		}
	}
	if n := w.waitingAtChatServer(); n > 0 {
		w.t.Errorf("chat server: %d messages wait", n)
	}
}

// The search finds what a server could read, and the count what waits: of two messages in the clear the mediator gets one,
// the chat server the other.
func TestMessagesInTheClearAreFound(t *testing.T) {
	w := newWorld(t)
	ignore := func(*device, client.ChatMessage) {}
	one, two := w.join(w.alice, 1, ignore), w.join(w.alice, 2, ignore)
	two.Close()
	if _, err := one.ReflectSealed(w.ctx, []byte(marker)); err != nil {
		t.Fatal(err)
	}
	sealed, err := one.SealChat(w.ctx, w.bob.identity, csp.KindText, []byte(marker))
	if err != nil {
		t.Fatal(err)
	}
	message, err := csp.ParseMessage(sealed.Message)
	if err != nil {
		t.Fatal(err)
	}
	message.Box = []byte(marker)
	if sealed.Message, err = message.Append(nil); err != nil {
		t.Fatal(err)
	}
	if err := one.SendChatSealed(w.ctx, sealed); err != nil {
		t.Fatal(err)
	}
	one.Close()
	w.stop()

	for _, p := range w.places() {
		if !p.holds(marker) {
			t.Errorf("%s: the message is not found", p.name)
		}
	}
	if n := w.tap.messageCount(); n != 1 {
		t.Errorf("the chat server got %d messages, want 1", n)
	}
	if n := w.waitingAtMediator(w.alice); n != 2 {
		t.Errorf("mediator: %d messages wait, want 2", n)
	}
	if n := w.waitingAtChatServer(); n != 1 {
		t.Errorf("chat server: %d messages wait, want 1", n)
	}
}
