package client

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"openmediator/csp"
)

// As soon as a connection counts as read again, the link must know that what the chat
// server has sent meanwhile comes only now; else it would be left as silent.
func TestLinkIsToldBeforeSilenceCounts(t *testing.T) {
	for range 100 {
		s := &session{chat: &chatLink{}}
		done := make(chan struct{})
		s.chat.mu.Lock()
		go func() {
			defer close(done)
			s.readOn()
		}()
		for range 10 {
			runtime.Gosched() // it waits for the lock then, or has not begun
		}
		early := s.isReading()
		s.chat.mu.Unlock()
		<-done
		if early || !s.isReading() {
			t.Fatalf("reading while the link is not told: %v, and when it is: %v", early, s.isReading())
		}
	}
}

// An ack that comes just before the connection ends is not lost.
func TestAckBeforeTheEnd(t *testing.T) {
	m := csp.Message{Receiver: csp.Identity([]byte("BOB00001")), ID: 1}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // the sender goes on only when both have happened
	for range 100 {
		s := new(session)
		s.ctx, s.end = context.WithCancelCause(context.Background())
		c := &chatLink{session: s, payloads: make(chan csp.Payload), unacked: make(map[csp.MessageAck]chan struct{})}
		sent := make(chan error)
		go func() { sent <- c.sendMessage(context.Background(), &m, nil) }()
		runtime.Gosched() // the sender waits
		<-c.payloads
		if err := (chatSent{csp.MessageAck{Identity: m.Receiver, ID: m.ID}}).do(c); err != nil {
			t.Fatal(err)
		}
		s.end(errors.New("the end"))
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	}
}
