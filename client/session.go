package client

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"openmediator/d2m"
)

const (
	// maxReceived is how many messages wait for Receive; 64 of the largest are 4 MiB.
	// Beyond it the connection is not read.
	maxReceived = 64
	// maxUnanswered is how many requests are on their way; 256 of the largest are
	// 16 MiB.
	maxUnanswered = 256

	// A server pings every 25 s. One that is silent for silenceLimit is pinged, and
	// given up if pongTimeout later it is still silent.
	silenceLimit = 60 * time.Second
	pongTimeout  = 30 * time.Second
)

var errSilent = errors.New("the server is silent")

// session is one connection of a device, from ServerInfo to its end. Four goroutines
// serve it: read takes what comes and passes it to handle, which calls the caller's
// functions and passes acknowledgements to write; watch looks for a dead server. A
// chatLink adds two.
type session struct {
	// fixed
	device *Device
	wire   *Wire
	info   d2m.ServerInfo
	ctx    context.Context // ends with the session; its cause is why
	end    context.CancelCauseFunc
	chat   *chatLink // nil if there is none

	inbox  chan event           // read to handle
	acks   chan d2m.ReflectedID // handle to write
	room   chan struct{}        // read and handle to write: there was an answer
	finish chan struct{}        // closed for write: no more acks are to come
	rest   func() error         // handle to write, before finish: sends an ack that had no room; or nil

	// reader's
	dry, leads bool

	transaction atomic.Pointer[Transaction] // that holds the lock or asks for it; set by write
	ended       chan struct{}               // handle to a rejected Transaction: the lock is free

	lastHeard  atomic.Int64 // Unix time, ns; 0 while the connection is not read
	unanswered unanswered
}

// newSession returns an error of what the caller has put into Config.
func newSession(d *Device) (*session, error) {
	s := &session{
		device: d,
		inbox:  make(chan event, maxReceived),
		acks:   make(chan d2m.ReflectedID, maxReceived),
		room:   make(chan struct{}, 1),
		finish: make(chan struct{}),
		ended:  make(chan struct{}, 1),
	}
	s.ctx, s.end = context.WithCancelCause(context.Background())
	var err error
	s.chat, err = newChatLink(s, d.chat)
	return s, err
}

// run serves the connection until it ends, or the device does. It returns why.
func (s *session) run() error {
	var readers, handler, writer sync.WaitGroup
	handler.Go(s.handle)
	writer.Go(s.write)
	readers.Go(s.read)
	readers.Go(s.watch)
	s.chat.start(&readers)

	select {
	case <-s.ctx.Done():
	case <-s.device.ctx.Done():
		handler.Wait()
		close(s.finish)
		s.closeNormally(&writer)
	}
	reason := context.Cause(s.ctx)
	s.device.leaveSession()
	writer.Wait()
	s.wire.closeAfter(reason)
	readers.Wait()
	handler.Wait() // last, for a Receive takes as long as it takes
	s.unanswered.lose(reason)
	return reason
}

// closeNormally closes the connection when the writer has sent what is left, but does
// not wait for ever for a server that does not read or answer.
func (s *session) closeNormally(writer *sync.WaitGroup) {
	timer := time.AfterFunc(closeTimeout, func() {
		s.end(ErrClosed)
		s.wire.CloseNow()
	})
	defer timer.Stop()
	writer.Wait()
	s.end(ErrClosed) // before the server's answer to Close is taken for the reason
	s.wire.Close(d2m.CloseNormal, "")
}

// write sends requests and acknowledgements until the session ends.
func (s *session) write() {
	err := s.writeAll()
	if err == nil {
		return
	}
	// The server's Close may be there to be read, and tells more.
	timer := time.NewTimer(flushTimeout)
	defer timer.Stop()
	select {
	case <-s.ctx.Done():
	case <-timer.C:
		s.end(err)
	}
}

func (s *session) writeAll() error {
	for {
		t, err := s.sendHeld()
		if err != nil {
			return err
		}
		outside, within := s.queues(t)
		answers, payloads := s.chat.frames()
		select {
		case id := <-s.acks:
			err = s.wire.Send(s.ctx, d2m.ReflectedAck{ID: id})
		case r := <-outside:
			err = s.sendOrHold(r, t)
		case r := <-within:
			err = s.sendRequest(r)
		case frame := <-answers:
			err = s.chat.sendFrame(frame)
		case payload := <-payloads:
			err = s.chat.sendFrame(chatFrame{payload: payload})
		case <-s.room:
		case <-s.finish:
			return s.sendLastAcks()
		case <-s.ctx.Done():
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// sendLastAcks sends what the handler has left behind.
func (s *session) sendLastAcks() error {
	for {
		select {
		case id := <-s.acks:
			if err := s.wire.Send(s.ctx, d2m.ReflectedAck{ID: id}); err != nil {
				return err
			}
		default:
			if err := s.chat.sendLast(); err != nil || s.rest == nil {
				return err
			}
			return s.rest()
		}
	}
}

func (s *session) sendRequest(r *request) error {
	if !r.take() {
		return nil
	}
	s.enter(r)
	for _, message := range s.unanswered.add(r) {
		if err := s.wire.Send(s.ctx, message); err != nil {
			return err
		}
	}
	s.leave(r)
	return nil
}

// heard is called for everything that comes.
func (s *session) heard() { s.lastHeard.Store(time.Now().UnixNano()) }

// notReading is called while the handler has enough to do. The silence of somebody
// to whom one does not listen means nothing.
func (s *session) notReading() { s.lastHeard.Store(0) }

func (s *session) isReading() bool { return s.lastHeard.Load() != 0 }

func (s *session) silence() time.Duration {
	last := s.lastHeard.Load()
	if last == 0 {
		return 0
	}
	return time.Since(time.Unix(0, last))
}

// watch finds out when the server is gone without a word.
func (s *session) watch() {
	ticker := time.NewTicker(silenceLimit / 4)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-s.ctx.Done():
			return
		}
		if s.silence() < silenceLimit {
			continue
		}
		ctx, cancel := context.WithTimeout(s.ctx, pongTimeout)
		err := s.wire.ping(ctx)
		cancel()
		if err != nil && s.silence() >= silenceLimit {
			s.end(&LostError{Err: errSilent})
			return
		}
	}
}
