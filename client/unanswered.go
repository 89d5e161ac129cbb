package client

import (
	"slices"
	"sync"

	"openmediator/d2m"
)

// unanswered is what was sent on one connection and has had no answer. Several
// goroutines may use it.
type unanswered struct {
	mu       sync.Mutex
	reflects map[d2m.ReflectID]*request
	nextID   d2m.ReflectID
	others   []*request // in the order in which they were sent
}

// add is called before the request is sent, and returns what to send.
func (u *unanswered) add(r *request) []d2m.Message {
	u.mu.Lock()
	defer u.mu.Unlock()
	if r.answer != d2m.TypeReflectAck {
		u.others = append(u.others, r)
		return r.messages
	}
	if u.reflects == nil {
		u.reflects = make(map[d2m.ReflectID]*request)
	}
	for u.reflects[u.nextID] != nil {
		u.nextID++
	}
	id := u.nextID
	u.nextID++
	u.reflects[id] = r
	return []d2m.Message{d2m.Reflect{ID: id, Envelope: r.sealed}}
}

func (u *unanswered) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.reflects) + len(u.others)
}

// answer finishes the request that the message answers. It is false if there is
// none.
func (u *unanswered) answer(message d2m.Message) bool {
	r := u.remove(message)
	if r == nil {
		return false
	}
	if r.answered != nil {
		r.answered()
	}
	r.finish(message, nil)
	return true
}

func (u *unanswered) remove(message d2m.Message) *request {
	u.mu.Lock()
	defer u.mu.Unlock()
	if ack, ok := message.(d2m.ReflectAck); ok {
		r := u.reflects[ack.ID]
		delete(u.reflects, ack.ID)
		return r
	}
	at := slices.IndexFunc(u.others, func(r *request) bool { return r.isAnsweredBy(message) })
	if at < 0 {
		return nil
	}
	r := u.others[at]
	u.others = slices.Delete(u.others, at, at+1)
	return r
}

// lose finishes all, because the connection has ended.
func (u *unanswered) lose(reason error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, r := range u.reflects {
		r.finish(nil, &UnknownError{Err: reason, Sealed: r.sealed})
	}
	for _, r := range u.others {
		r.finish(nil, &UnknownError{Err: reason})
	}
	u.reflects, u.others = nil, nil
}
