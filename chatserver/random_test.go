package chatserver_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	"openmediator/csp"
	"openmediator/internal/listen"
)

// world is what the rules say of a server, worked out naively: whole lists, looked through each time.
type world struct {
	t       *testing.T
	s       *testServer
	random  *rand.Rand
	users   [2]user
	waiting [2][]waiting // by receiver, in the order of arrival
	online  [2][]*online // by user
	sent    int          // messages, of all; also their ids and arrivals
	unblock int
}

type waiting struct {
	arrival int
	message csp.Message
}

type online struct {
	*client
	device   int // 0: none
	unblock  int // 0: not yet
	next     int // arrival from which on nothing has been sent here
	complete bool
}

// receiver is the one that unblocked last.
func (w *world) receiver(user int) *online {
	var last *online
	for _, o := range w.online[user] {
		if o.unblock > 0 && (last == nil || o.unblock > last.unblock) {
			last = o
		}
	}
	return last
}

// expectDue wants a user's receiver to get what it has not had.
func (w *world) expectDue(user int) {
	o := w.receiver(user)
	if o == nil {
		return
	}
	for _, m := range w.waiting[user] {
		if m.arrival >= o.next {
			o.expectMessage(string(m.message.Box))
			o.next = m.arrival + 1
		}
	}
	if !o.complete {
		o.expect(csp.QueueSendComplete)
		o.complete = true
	}
	o.barrier()
}

func (w *world) login(user int) {
	o := &online{device: w.random.IntN(4)}
	var extensions *csp.Extensions
	if o.device > 0 {
		extensions = device(csp.DeviceID(o.device))
	} else {
		w.unblock++
		o.unblock = w.unblock
	}
	o.client = w.s.login(w.users[user], extensions)
	if int(o.ack.Queued) != len(w.waiting[user]) {
		w.t.Fatalf("%d queued, want %d", o.ack.Queued, len(w.waiting[user]))
	}
	w.online[user] = slices.DeleteFunc(w.online[user], func(old *online) bool {
		same := o.device != 0 && old.device == o.device
		if ends := o.device == 0 || old.device == 0 || same; !ends {
			return false
		}
		old.expectCloseError(same, "Another connection")
		old.nc.Close()
		return true
	})
	w.online[user] = append(w.online[user], o)
	w.expectDue(user)
}

func (w *world) unblockOne(o *online, user int) {
	if o.unblock == 0 {
		w.unblock++
		o.unblock = w.unblock
	}
	o.send(csp.UnblockIncoming, nil)
	w.expectDue(user)
}

func (w *world) drop(o *online, user int) {
	o.nc.Close()
	w.online[user] = slices.DeleteFunc(w.online[user], func(other *online) bool { return other == o })
	synctest.Wait()
	w.expectDue(user)
}

func (w *world) sendMessage(from *online) {
	to := w.random.IntN(2)
	w.sent++
	m := from.message(w.users[to], csp.MessageID(w.sent), fmt.Sprintf("message %d", w.sent))
	w.waiting[to] = append(w.waiting[to], waiting{w.sent, m})
	synctest.Wait() // a turn that has begun before may find the message stored and not acked yet
	from.post(m)
	synctest.Wait()
	from.expectAck(m) // it goes out before the message that it is about, should that come here too
	w.expectDue(to)
}

// acknowledge acks a message that the connection has got; it need not be the one that gets messages now.
func (w *world) acknowledge(o *online, user int) {
	var got []csp.Message
	for _, m := range w.waiting[user] {
		if m.arrival < o.next {
			got = append(got, m.message)
		}
	}
	if len(got) == 0 {
		return
	}
	m := got[w.random.IntN(len(got))]
	o.acknowledge(m)
	o.barrier()
	synctest.Wait() // stored
	w.waiting[user] = slices.DeleteFunc(w.waiting[user], func(other waiting) bool { return other.message.ID == m.ID })
}

func (w *world) restart() {
	for i := range w.online {
		for _, o := range w.online[i] {
			o.nc.Close()
		}
		w.online[i] = nil
	}
	synctest.Wait()
	w.s.restart(listen.NewPipe())
}

func (w *world) step() {
	user := w.random.IntN(2)
	all := w.online[user]
	if len(all) == 0 || w.random.IntN(8) == 0 {
		w.login(user)
		return
	}
	o := all[w.random.IntN(len(all))]
	switch n := w.random.IntN(100); {
	case n < 35:
		w.sendMessage(o)
	case n < 70:
		w.acknowledge(o, user)
	case n < 85:
		w.unblockOne(o, user)
	case n < 98:
		w.drop(o, user)
	default:
		w.restart()
	}
}

// Over random histories each connection gets exactly what the rules say, in order, and at the end the queues hold what was
// acked to a sender and not by its receiver.
func TestRandomHistories(t *testing.T) {
	for seed := range uint64(randomHistories) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, s *testServer) {
				w := &world{t: t, s: s, random: rand.New(rand.NewPCG(seed, 0)), users: [2]user{s.a, s.b}}
				for range 150 {
					w.step()
				}
				w.restart()
				for user, u := range w.users {
					c := s.login(u, nil)
					for _, m := range w.waiting[user] {
						c.expectMessage(string(m.message.Box))
					}
					c.expectQueue()
				}
				if n, want := s.Stored(), len(w.waiting[0])+len(w.waiting[1]); n != want {
					t.Errorf("%d messages are stored, want %d", n, want)
				}
			})
		})
	}
}
