package mediator_test

import (
	"testing"
	"time"

	"github.com/rs/zerolog"

	"openmediator/d2m"
	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/reflect"
	"openmediator/reflect/memstore"
)

// damagedStore gives the record of one message as a disk would on which a bit has flipped.
type damagedStore struct {
	reflect.Store
	envelope string // of that message
}

func (s damagedStore) Read(group d2m.GroupID, epoch reflect.Epoch, at []reflect.Location, each func(int, []byte) error) error {
	return s.Store.Read(group, epoch, at, func(i int, record []byte) error {
		if m, err := reflect.ParseRecord(record); err == nil && string(m.Envelope) == s.envelope {
			record = append([]byte(nil), record...)
			record[len(record)-1] ^= 1
		}
		return each(i, record)
	})
}

// What is damaged on disk is left out, for those who have not had it; all else of the group arrives, and the log counts it.
func TestB43_DamagedMessageIsLeftOut(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		log := new(logBuffer)
		config := mediator.DefaultConfig()
		config.Log = zerolog.New(log)
		config.TailBytes, config.Group.TailBytes = 0, 0 // all is read from the store
		s := startServer(t, listen.NewPipe(), damagedStore{memstore.New(), "two"}, config)
		id := newIdentity(t)
		sender, _ := s.login(id, 1, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](sender.device)
		away, _ := s.login(id, 2, d2m.SlotNew)
		away.leave()
		for i, envelope := range []string{"one", "two", "three"} {
			sender.reflect(d2m.ReflectID(i), []byte(envelope))
		}

		back, queue := s.login(id, 2, d2m.SlotExisting)
		if len(queue) != 2 || string(queue[0].Envelope) != "one" || string(queue[1].Envelope) != "three" {
			t.Fatalf("the queue is %v", queue)
		}
		for _, m := range queue {
			back.send(d2m.ReflectedAck{ID: m.ID})
		}
		back.barrier()
		back.leave()
		time.Sleep(time.Second)
		again, queue := s.login(id, 2, d2m.SlotExisting)
		if len(queue) != 0 || again.info.ReflectionQueueLength != 0 {
			t.Errorf("%d messages are still in the queue", again.info.ReflectionQueueLength)
		}
		if lines := log.lines("a stored message is damaged"); len(lines) != 1 {
			t.Errorf("the log says so %d times", len(lines))
		}
	})
}
