package client

import (
	"sync"

	"openmediator/csp"
)

const (
	// maxChatWaiting is how many bytes of chat messages wait to be reflected: 1,024 of
	// the largest, 16,384 small ones.
	maxChatWaiting = 8 << 20
	// chatMessageCost is what a message takes beside its boxes.
	chatMessageCost = 512
)

// chatQueue holds what the chat server has sent, between the reader, which must
// never wait for it, and the goroutine that reflects it. For while the reader waits
// no ReflectAck comes, and nothing leaves the queue without one: both would wait for
// ever. Nor can the chat server be told to wait. So when the queue is full, that
// message and all behind it are left to the next connection.
type chatQueue struct {
	ready chan struct{} // holds an element while there is something to take

	mu      sync.Mutex
	waiting []chatArrival
	size    int
	full    bool
}

// chatArrival is a message, or an event that keeps its place among the messages.
type chatArrival struct {
	message *csp.Message
	event   event // if message is nil
}

func newChatQueue() *chatQueue { return &chatQueue{ready: make(chan struct{}, 1)} }

// push keeps nothing any more once there was no room; it puts a chatBacklog behind
// all that it has kept.
func (q *chatQueue) push(arrival chatArrival) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.full {
		return
	}
	if q.size+arrival.cost() > maxChatWaiting {
		q.full = true
		arrival = chatArrival{event: chatBacklog{}}
	}
	q.size += arrival.cost()
	q.waiting = append(q.waiting, arrival)
	q.notify()
}

// take is called once for each element of ready.
func (q *chatQueue) take() chatArrival {
	q.mu.Lock()
	defer q.mu.Unlock()
	arrival := q.waiting[0]
	q.waiting[0] = chatArrival{}
	q.waiting = q.waiting[1:]
	q.size -= arrival.cost()
	if len(q.waiting) > 0 {
		q.notify()
	}
	return arrival
}

// notify is called with mu held.
func (q *chatQueue) notify() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

func (a chatArrival) cost() int {
	if a.message == nil {
		return chatMessageCost
	}
	return len(a.message.Box) + len(a.message.Metadata) + chatMessageCost
}

// chatBacklog ends the session when all that has been kept is handled.
type chatBacklog struct{}

func (chatBacklog) handle(*session) error { return ErrChatBacklog }
