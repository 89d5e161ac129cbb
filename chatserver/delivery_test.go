package chatserver_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/chatserver"
	"openmediator/csp"
	"openmediator/internal/listen"
)

func TestMessageIsStoredAckedDeliveredAndDeletedWhenAcked(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		a := s.login(s.a, nil)
		a.expectQueue()
		sent := a.text(s.b, 7, "one")
		a.text(s.b, 8, "two")

		b := s.login(s.b, nil)
		if now := uint64(time.Now().UnixMilli()); b.ack.Queued != 2 || b.ack.Time != now {
			t.Errorf("login ack %+v, want 2 queued at %d", b.ack, now)
		}
		got := b.expectMessage("one")
		if got.Sender != s.a.id || got.Receiver != s.b.id || got.ID != 7 || got.Nonce != sent.Nonce || got.CreatedAt != 1 {
			t.Errorf("got %+v, sent %+v", got, sent)
		}
		b.acknowledge(got)
		b.expectMessage("two")
		b.expect(csp.QueueSendComplete)
		a.text(s.b, 9, "three")
		b.acknowledge(b.expectMessage("three"))
		b.barrier()
		if n := s.count(s.b); n != 1 {
			t.Errorf("%d messages wait, want the one that was not acked", n)
		}
	})
}

func TestUnackedIsSentAgainAtTheNextLoginAndAfterARestart(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		a := s.login(s.a, nil)
		a.expectQueue()
		a.text(s.b, 1, "one")
		a.text(s.b, 2, "two")
		for range 2 {
			b := s.login(s.b, nil)
			b.expectQueue("one", "two")
			b.nc.Close()
		}
		s.restart(listen.NewPipe())
		b := s.login(s.b, nil)
		b.acknowledge(b.expectMessage("one"))
		b.expectQueue("two")
		b.barrier()
		b.nc.Close()
		s.login(s.b, nil).expectQueue("two")
	})
}

// What was acked is in the file at that moment: a copy of it, which is what a crash would leave, has the message.
func TestAckedIsOnDisk(t *testing.T) {
	s := overTCP(t, nil)
	a := s.login(s.a, nil)
	a.expectQueue()
	for i := range 3 {
		a.text(s.b, csp.MessageID(i), "kept")
		other := *s
		other.config.DataDir = t.TempDir()
		copyFile(t, filepath.Join(s.config.DataDir, "chatserver.db"), filepath.Join(other.config.DataDir, "chatserver.db"))
		other.listener = listen.TCP(t)
		other.run()
		b := other.login(s.b, nil)
		for range i + 1 {
			b.expectMessage("kept")
		}
		b.expect(csp.QueueSendComplete)
		b.nc.Close()
		other.close()
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestUnknownReceiverIsAckedAndDropped(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		a := s.login(s.a, nil)
		a.expectQueue()
		nobody := user{id: identity(t, "NOBODY00")}
		a.text(nobody, 1, "lost")
		a.text(user{id: csp.Identity{1, 2, 3}}, 2, "lost")
		if n := s.Stored(); n != 0 {
			t.Errorf("%d messages are stored", n)
		}
	})
}

func TestFailingDiskAcksNothingAndEndsTheConnection(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		a, b := s.login(s.a, nil), s.login(s.b, nil)
		a.expectQueue()
		b.expectQueue()
		s.FailStore(syscall.EIO)
		a.post(a.message(s.b, 1, "lost"))
		a.expectClosed(true, "Storage failed")
		b.barrier() // nothing was delivered
		b.acknowledge(csp.Message{Sender: s.a.id, ID: 1})
		b.barrier() // there was nothing to delete, so nothing failed

		s.FailStore(nil)
		a = s.login(s.a, nil)
		a.expectQueue()
		a.text(s.b, 1, "kept")
		m := b.expectMessage("kept")
		s.FailStore(syscall.EIO)
		b.acknowledge(m)
		b.expectClosed(true, "Storage failed")
		s.FailStore(nil)
		if n := s.count(s.b); n != 1 {
			t.Errorf("%d messages wait, want 1", n)
		}
	})
}

func TestDuplicateIsAckedAgainAndNotStoredTwice(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		a := s.login(s.a, nil)
		a.expectQueue()
		a.text(s.b, 1, "first")
		a.text(s.b, 1, "again")
		b := s.login(s.b, nil)
		if b.ack.Queued != 1 {
			t.Errorf("%d messages wait", b.ack.Queued)
		}
		m := b.expectMessage("first")
		b.expect(csp.QueueSendComplete)
		b.text(s.a, 1, "same id, other way")
		a.expectMessage("same id, other way")
		b.acknowledge(m)
		b.settle()
		a.text(s.b, 1, "the id is free again")
		b.expectMessage("the id is free again")
	})
}

// settle sends an unblock without effect, and waits until it was handled behind all that is to be stored.
func (c *client) settle() {
	c.t.Helper()
	c.send(csp.UnblockIncoming, nil)
	c.barrier()
	synctest.Wait()
}

func TestSenderIsTheOneThatIsLoggedIn(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		a := s.login(s.a, nil)
		a.expectQueue()
		m := a.message(s.b, 1, "forged")
		m.Sender = s.b.id
		a.post(m)
		a.expectClosed(false, "sender")
		if n := s.count(s.b); n != 0 {
			t.Errorf("%d messages wait", n)
		}
	})
}

func TestCreatedAtIsReplaced(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		a, b := s.login(s.a, nil), s.login(s.b, nil)
		a.expectQueue()
		b.expectQueue()
		now := uint32(time.Now().Unix())
		for i, test := range []struct {
			name  string
			sent  uint32
			flags csp.MessageFlags
			want  uint32
		}{
			{"none", 0, 0, now},
			{"past", now - 1000, csp.FlagPush, now - 1000},
			{"now", now, 0, now},
			{"future", now + 1, 0, now},
			{"short-lived", now - 1000, csp.FlagShortLived, now},
			{"short-lived, not queued", now - 1000, csp.FlagShortLived | csp.FlagDoNotQueue, now},
			{"not queued", 0, csp.FlagDoNotQueue, now},
		} {
			m := a.message(s.b, csp.MessageID(i), test.name)
			m.CreatedAt, m.Flags = test.sent, test.flags
			a.deliver(m)
			if got := b.expectMessage(test.name); got.CreatedAt != test.want || got.Flags != test.flags {
				t.Errorf("%s: created at %d with flags %x, want %d and %x", test.name, got.CreatedAt, got.Flags, test.want, test.flags)
			}
		}
	})
}

func TestFlag02_IsDeliveredNowOrNever(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		a := s.login(s.a, nil)
		a.expectQueue()
		b := s.login(s.b, device(1))
		send := func(id csp.MessageID, text string) {
			m := a.message(s.b, id, text)
			m.Flags = csp.FlagDoNotQueue
			a.deliver(m)
		}
		send(1, "blocked")
		b.unblock()
		send(2, "now")
		b.expectMessage("now")
		b.barrier()
		b.nc.Close()
		synctest.Wait()
		send(3, "away")
		if n := s.Stored(); n != 0 {
			t.Errorf("%d messages are stored", n)
		}
	})
}

func TestFlag04_NoAckIsSentAndItIsDeletedOnceWritten(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		a := s.login(s.a, nil)
		a.expectQueue()
		send := func(to user, id csp.MessageID, flags csp.MessageFlags, text string) {
			m := a.message(to, id, text)
			m.Flags = csp.FlagNoAck | flags
			a.post(m)
			a.barrier() // and no ack before it
		}
		send(s.b, 1, 0, "stored")
		send(s.b, 2, csp.FlagDoNotQueue, "dropped")
		send(user{id: identity(t, "NOBODY00")}, 3, 0, "dropped")
		a.text(s.b, 4, "acked")
		b := s.login(s.b, nil)
		if b.ack.Queued != 2 {
			t.Errorf("%d messages wait", b.ack.Queued)
		}
		b.expectQueue("stored", "acked")
		synctest.Wait()
		if n := s.Stored(); n != 1 {
			t.Errorf("%d messages are stored, want the one that has to be acked", n)
		}
		a.expectNothing()
	})
}

func TestFlag20_IsDeletedAfter60Seconds(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		a := s.login(s.a, device(1))
		send := func(id csp.MessageID, text string) {
			m := a.message(s.b, id, text)
			m.Flags = csp.FlagShortLived
			a.deliver(m)
		}
		send(1, "late")
		a.text(s.b, 2, "patient")
		time.Sleep(59*time.Second + 999*time.Millisecond)
		b := s.login(s.b, nil)
		b.expectQueue("late", "patient")
		b.nc.Close()
		time.Sleep(time.Millisecond)
		b = s.login(s.b, nil)
		if b.ack.Queued != 1 {
			t.Errorf("%d messages wait", b.ack.Queued)
		}
		b.expectQueue("patient")
		b.nc.Close()

		send(3, "gone") // nobody logs in, and nothing else is stored
		time.Sleep(71 * time.Second)
		if n := s.Stored(); n != 1 {
			t.Errorf("%d messages are stored", n)
		}
		send(4, "acked in time")
		b = s.login(s.b, nil)
		b.expectMessage("patient")
		b.acknowledge(b.expectMessage("acked in time"))
		b.expect(csp.QueueSendComplete)
		time.Sleep(2 * time.Minute)
		if n := s.Stored(); n != 1 {
			t.Errorf("%d messages are stored", n)
		}
	})
}

func TestMetadataIsForClientsThatAnnouncedIt(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		a := s.login(s.a, device(1))
		send := func(id csp.MessageID, flags csp.MessageFlags) {
			m := a.message(s.b, id, "text")
			m.Metadata, m.Flags, m.Nickname = []byte("metadata box"), flags, [32]byte{'N'}
			a.deliver(m)
		}
		send(1, 0)
		for _, test := range []struct {
			extensions *csp.Extensions
			want       string
		}{
			{nil, ""},
			{&csp.Extensions{Features: csp.FeatureEcho}, ""},
			{&csp.Extensions{Features: csp.FeatureEcho | csp.FeatureMetadata}, "metadata box"},
		} {
			b := s.login(s.b, test.extensions)
			stored := b.expectMessage("text")
			b.expect(csp.QueueSendComplete)
			send(2, csp.FlagDoNotQueue)
			passed := b.expectMessage("text")
			if string(stored.Metadata) != test.want || string(passed.Metadata) != test.want || stored.Nickname[0] != 'N' {
				t.Errorf("metadata %q and %q, want %q", stored.Metadata, passed.Metadata, test.want)
			}
			b.nc.Close()
		}
	})
}

func TestFullQueueEndsTheSendersConnection(t *testing.T) {
	inBubble(t, func(c *chatserver.Config) { c.MaxQueue = 3 }, func(t *testing.T, s *testServer) {
		a := s.login(s.a, nil)
		a.expectQueue()
		for i := range 3 {
			a.text(s.b, csp.MessageID(i), "text")
		}
		a.text(s.b, 2, "a duplicate is none more")
		a.post(a.message(s.b, 3, "too much"))
		a.expectClosed(true, "Queue of the receiver is full")

		b := s.login(s.b, nil)
		b.acknowledge(b.expectMessage("text"))
		b.expectQueue("text", "text")
		a = s.login(s.a, nil)
		a.expectQueue()
		a.text(s.b, 3, "there is room")
		b.expectMessage("there is room")
	})
}

// A queue of many pages arrives whole, in order, and once.
func TestLongQueueIsSentInOrder(t *testing.T) {
	s := overTCP(t, nil)
	a := s.login(s.a, nil)
	a.expectQueue()
	const n = 300
	for i := range n {
		a.post(a.message(s.b, csp.MessageID(i), box(1+i*20)))
	}
	for i := range n {
		a.expectAck(csp.Message{Receiver: s.b.id, ID: csp.MessageID(i)})
	}
	b := s.login(s.b, device(1))
	b.send(csp.UnblockIncoming, nil)
	for i := range n {
		b.acknowledge(b.expectMessage(box(1 + i*20)))
	}
	b.expect(csp.QueueSendComplete)
	a.text(s.b, n, "last")
	b.expectMessage("last")
	b.nc.Close()
	if n := s.count(s.b); n != 1 {
		t.Errorf("%d messages wait", n)
	}
}

func TestDataDirectoryIsForOneServer(t *testing.T) {
	s := overTCP(t, nil)
	if _, err := chatserver.New(s.config); !errors.Is(err, chatserver.ErrInUse) {
		t.Errorf("got %v", err)
	}
}
