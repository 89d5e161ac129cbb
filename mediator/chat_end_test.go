package mediator_test

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"

	"openmediator/chatproxy"
	"openmediator/d2m"
	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/reflect/memstore"
)

// onTwice is a log in which a line with a text should stand once: with the second one it closes a channel.
type onTwice struct {
	text  []byte
	seen  int
	twice chan struct{}
}

// Write implements io.Writer; it is called by one goroutine at a time.
func (o *onTwice) Write(line []byte) (int, error) {
	if bytes.Contains(line, o.text) {
		if o.seen++; o.seen == 2 {
			close(o.twice)
		}
	}
	return len(line), nil
}

// The end of the chat server waits behind what the disk has not taken yet. Meanwhile it is not noticed again and again.
func TestB37_EndWaitsForTheStore(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		u := newUpstream()
		log := &onTwice{text: []byte("chat server connection ended"), twice: make(chan struct{})}
		config := mediator.DefaultConfig()
		config.Chat = chatproxy.Config{Upstreams: parseUpstreams(t, "4f=chat.example:5222"), Dial: u.dial}
		config.Log = zerolog.New(log)
		s := startServer(t, listen.NewPipe(), memstore.New(), config)
		d, _ := s.login(newIdentity(t), 1, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](d.device)
		d.send(d2m.Proxy{Data: []byte("x")})
		chat := <-u.conns
		readExactly(t, chat, 1)

		stored := make(chan struct{})
		s.memory().Fail(func(op memstore.Op, _ d2m.GroupID) error {
			if op == memstore.OpCommit {
				select {
				case <-stored:
				case <-log.twice:
				}
			}
			return nil
		})
		d.send(d2m.SetSharedDeviceData{Data: []byte("something to be stored")})
		synctest.Wait()
		chat.Close()
		synctest.Wait()
		close(stored)
		d.expectCloseAtOnce(d2m.CloseChatServerClosed)
		synctest.Wait()
		if log.seen != 1 {
			t.Errorf("noticed %d times that the chat server has ended", log.seen)
		}
	})
}
