package chatserver_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/chatserver"
	"openmediator/csp"
	"openmediator/internal/listen"
)

func TestWithDeviceIDNothingComesBeforeUnblock(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		a := s.login(s.a, nil)
		a.expectQueue()
		a.text(s.b, 1, "before")
		b := s.login(s.b, device(1))
		if b.ack.Queued != 1 {
			t.Errorf("%d messages wait", b.ack.Queued)
		}
		a.text(s.b, 2, "after")
		b.expectNothing()
		b.unblock("before", "after")
	})
}

func TestUnblockWithoutDeviceIDOrAgainHasNoEffect(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		a, b := s.login(s.a, nil), s.login(s.b, device(1))
		a.expectQueue()
		b.unblock()
		for _, c := range []*client{a, b} {
			c.send(csp.UnblockIncoming, nil)
			c.expectNothing()
		}
		a.text(s.b, 1, "one")
		b.expectMessage("one")
		b.send(csp.UnblockIncoming, nil)
		b.expectNothing() // what was sent and not acked is not sent again

		other := s.login(s.b, device(2))
		other.unblock("one")
		b.send(csp.UnblockIncoming, nil)
		synctest.Wait()
		a.text(s.b, 2, "two")
		other.expectMessage("two") // b did not take over again
		b.expectNothing()
		b.send(csp.UnblockIncoming, nil)
		b.expectNothing()
	})
}

func TestQueueSendCompleteComesOncePerConnection(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		a := s.login(s.a, nil)
		a.expectQueue()
		b := s.login(s.b, device(1))
		b.unblock()
		a.text(s.b, 1, "one")
		b.expectMessage("one")
		b.expectNothing()
		b.send(csp.UnblockIncoming, nil)
		b.expectNothing()
	})
}

func TestLoginWithoutDeviceIDEndsAllOthers(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		first := s.login(s.b, nil)
		first.expectQueue()
		second := s.login(s.b, nil)
		first.expectClosed(false, "Another connection")
		second.expectQueue()
		one := s.login(s.b, device(1))
		second.expectClosed(false, "Another connection")
		two := s.login(s.b, device(2))
		two.unblock()
		last := s.login(s.b, nil)
		one.expectCloseError(false, "Another connection")
		two.expectCloseError(false, "Another connection")
		one.expectEnd()
		two.expectEnd()
		last.expectQueue()
		last.barrier()
	})
}

func TestLoginWithDeviceIDEndsThoseWithoutAndTheSame(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		a := s.login(s.a, nil)
		a.expectQueue()
		old := s.login(s.b, nil)
		old.expectQueue()
		one := s.login(s.b, device(1))
		old.expectClosed(false, "Another connection")
		two := s.login(s.b, device(2))
		again := s.login(s.b, device(1))
		one.expectClosed(true, "Another connection")
		two.barrier()
		again.barrier()
		a.barrier() // it is another identity
	})
}

func TestTheOneThatUnblockedLastGetsTheMessages(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		a := s.login(s.a, nil)
		a.expectQueue()
		one, two, three := s.login(s.b, device(1)), s.login(s.b, device(2)), s.login(s.b, device(3))
		two.unblock()
		a.text(s.b, 1, "first")
		first := two.expectMessage("first")
		one.unblock("first") // not acked, so it is sent here too
		a.text(s.b, 2, "second")
		second := one.expectMessage("second")
		one.acknowledge(second)
		two.acknowledge(first) // it may ack what it has got, although it gets nothing more
		two.expectNothing()
		three.unblock()
		three.nc.Close()
		synctest.Wait()
		a.text(s.b, 3, "third")
		one.expectMessage("third") // the one before goes on
		one.nc.Close()
		synctest.Wait()
		two.expectMessage("third") // and so does the one before that: it gets what it has not had
		a.text(s.b, 4, "fourth")
		two.expectMessage("fourth")
	})
}

// The older connection of a device that got the messages is replaced by one that has not unblocked: another device that
// has gets them.
func TestReplacedReceiverHandsOver(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		a := s.login(s.a, nil)
		a.expectQueue()
		one, two := s.login(s.b, device(1)), s.login(s.b, device(2))
		one.unblock()
		two.unblock()
		a.text(s.b, 1, "one")
		two.expectMessage("one")
		again := s.login(s.b, device(2))
		two.expectClosed(true, "Another connection")
		one.expectMessage("one")
		again.unblock("one")
	})
}

// While a connection that did something wrong ends, another one gets the messages at once.
func TestEndingConnectionHandsOverAtOnce(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		a := s.login(s.a, nil)
		a.expectQueue()
		one, two := s.login(s.b, device(1)), s.login(s.b, device(2))
		one.unblock()
		two.unblock()
		two.send(csp.OutgoingMessage, nil)
		two.expectCloseError(false, "message") // and the client does not close
		started := time.Now()
		a.text(s.b, 1, "one")
		one.expectMessage("one")
		if took := time.Since(started); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

// A client that does not read its close error is gone after 5 s, and so is one that reads it and does not close.
func TestEndedConnectionIsGoneSoon(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		for _, reads := range []string{"all", "not the close error", "nothing"} {
			first := s.login(s.a, nil)
			if reads != "nothing" {
				first.expectQueue()
			}
			second := s.login(s.a, nil)
			second.expectQueue()
			if reads == "all" {
				first.expectCloseError(false, "Another connection")
			}
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if n := s.Connections(); n != 1 {
				t.Errorf("%d connections; the client reads %s", n, reads)
			}
			second.nc.Close()
			synctest.Wait()
		}
	})
}

// What is acked before the unblock is not sent after it.
func TestUnblockComesBehindTheAcks(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		a := s.login(s.a, nil)
		a.expectQueue()
		for i := range 10 {
			m := a.text(s.b, csp.MessageID(i), "text")
			b := s.login(s.b, device(1))
			ack := csp.MessageAck{Identity: m.Sender, ID: m.ID}.Append(nil)
			frames := b.frames(csp.Payload{Type: csp.IncomingMessageAck, Data: ack}, csp.Payload{Type: csp.UnblockIncoming})
			if _, err := b.nc.Write(frames); err != nil {
				t.Fatal(err)
			}
			b.expectQueue()
			b.nc.Close()
		}
	})
}

// What an ended connection sends meanwhile does not make TCP reset it: it reads the close error in any case.
func TestCloseErrorIsReadWhateverIsOnItsWay(t *testing.T) {
	s := overTCP(t, nil)
	for range 5 {
		first := s.login(s.a, nil)
		first.expectQueue()
		flood := first.frames(csp.Payload{Type: csp.PayloadType(0x77), Data: make([]byte, 8000)})
		second := make(chan *client)
		go func() {
			c, err := s.tryLogin(s.a, nil)
			if err != nil {
				t.Error(err)
			}
			second <- c
		}()
		for range 500 {
			if _, err := first.nc.Write(flood); err != nil {
				t.Fatal(err) // the server has closed although something arrives
			}
			flood = first.frames(csp.Payload{Type: csp.PayloadType(0x77), Data: make([]byte, 8000)})
		}
		c := <-second
		first.expectClosed(false, "Another connection")
		c.expectQueue()
		c.nc.Close()
	}
}

func TestEchoIsReturnedByteForByteAtAnyTime(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		for _, extensions := range []*csp.Extensions{nil, device(1)} {
			c := s.login(s.a, extensions)
			if extensions == nil {
				c.expectQueue()
			}
			for _, size := range []int{0, 1, 100, csp.MaxDataSize} {
				data := bytes.Repeat([]byte{byte(size), 7}, size)[:size]
				c.send(csp.EchoRequest, data)
				if got := c.expect(csp.EchoResponse); !bytes.Equal(got, data) {
					t.Errorf("%d bytes came back as %d", size, len(got))
				}
			}
			c.nc.Close()
		}
	})
}

func TestEchoRequestsGoToClientsThatAnnouncedIt(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		silent := s.login(s.a, &csp.Extensions{Features: csp.FeatureMetadata})
		silent.expectQueue()
		c := s.login(s.b, &csp.Extensions{Features: csp.FeatureEcho})
		c.expectQueue()
		started := time.Now()
		for i := range 20 { // 2000 s: answering keeps the connection
			c.nc.SetReadDeadline(time.Time{})
			p, err := c.receive()
			if err != nil || p.Type != csp.EchoRequest {
				t.Fatalf("echo %d: got %v, %v", i, p.Type, err)
			}
			c.send(csp.EchoResponse, p.Data)
		}
		if took := time.Since(started); took != 2000*time.Second {
			t.Errorf("20 echo requests came in %v", took)
		}
		silent.expectEnd() // after 300 s, and nothing before
	})
}

func TestIdleTimeout(t *testing.T) {
	set := func(seconds csp.IdleTimeout) []csp.Payload {
		return []csp.Payload{{Type: csp.SetIdleTimeout, Data: seconds.Append(nil)}}
	}
	for _, test := range []struct {
		name string
		send []csp.Payload
		want time.Duration
	}{
		{"default", nil, 300 * time.Second},
		{"60 s", set(60), 60 * time.Second},
		{"below", set(29), 30 * time.Second},
		{"zero", set(0), 30 * time.Second},
		{"above", set(601), 600 * time.Second},
		{"largest", set(65535), 600 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, s *testServer) {
				c := s.login(s.a, nil)
				c.expectQueue()
				started := time.Now()
				c.nc.Write(c.frames(test.send...))
				c.nc.SetReadDeadline(time.Time{})
				if _, err := c.receive(); !errors.Is(err, io.EOF) {
					t.Errorf("got %v", err)
				}
				if took := time.Since(started); took != test.want {
					t.Errorf("closed after %v, want %v", took, test.want)
				}
			})
		})
	}
}

// Bytes that are no frame yet do not count as a sign of life, and each frame does.
func TestIdleTimeoutWantsWholeFrames(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		c := s.login(s.a, nil)
		c.expectQueue()
		for range 10 {
			time.Sleep(299 * time.Second)
			c.barrier()
		}
		started := time.Now()
		for _, b := range c.frames(csp.Payload{Type: csp.EchoRequest, Data: make([]byte, 100)}) {
			if _, err := c.nc.Write([]byte{b}); err != nil {
				break
			}
			time.Sleep(40 * time.Second)
		}
		c.expectEnd()
		if took := time.Since(started); took > 330*time.Second {
			t.Errorf("closed after %v", took)
		}
	})
}

func TestDeviceCookies(t *testing.T) {
	sent := func(b byte) *csp.Cookie { return &csp.Cookie{b} }
	one := csp.DeviceID(1)
	type login struct {
		device *csp.DeviceID
		cookie *csp.Cookie
		clear  bool
		want   bool // 0xd2 follows
	}
	for _, test := range []struct {
		name   string
		logins []login
	}{
		{"the same is no change", []login{{cookie: sent(1)}, {cookie: sent(1)}, {device: &one, cookie: sent(1)}}},
		{"another one follows each login until it is cleared", []login{
			{cookie: sent(1)}, {cookie: sent(2), want: true}, {cookie: sent(2), want: true, clear: true}, {cookie: sent(2)},
			{cookie: sent(1), want: true},
		}},
		{"a missing one counts as zeroes", []login{
			{cookie: sent(0)}, {}, {cookie: sent(1), want: true, clear: true}, {want: true, clear: true}, {}, {cookie: sent(0)},
		}},
		{"a missing one with a device id changes nothing", []login{
			{cookie: sent(1)}, {device: &one}, {cookie: sent(1)}, {cookie: sent(2), want: true}, {device: &one, want: true},
		}},
		{"a missing one with a device id is not the first", []login{{device: &one}, {cookie: sent(1)}}},
		{"the flag outlives a login back", []login{{cookie: sent(1)}, {cookie: sent(2), want: true}, {cookie: sent(1), want: true}}},
		{"clearing nothing", []login{{clear: true}, {cookie: sent(0)}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, s *testServer) {
				for i, l := range test.logins {
					c := s.login(s.a, &csp.Extensions{DeviceID: l.device, DeviceCookie: l.cookie})
					c.send(csp.EchoRequest, nil)
					got := false
					awaited := map[csp.PayloadType]bool{csp.EchoResponse: true, csp.QueueSendComplete: l.device == nil}
					for awaited[csp.EchoResponse] || awaited[csp.QueueSendComplete] {
						p, err := c.receive()
						if err != nil {
							t.Fatal(err)
						}
						got = got || p.Type == csp.DeviceCookieChange
						delete(awaited, p.Type)
					}
					if got != l.want {
						t.Errorf("login %d: 0xd2 %v, want %v", i, got, l.want)
					}
					if l.clear {
						c.send(csp.ClearDeviceCookieChange, nil)
						c.settle()
					}
					c.nc.Close()
					if i == len(test.logins)/2 {
						s.restart(listen.NewPipe()) // it is all on disk
					}
				}
			})
		})
	}
}

func TestPushTokensAndUnknownPayloadsAreIgnored(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		c := s.login(s.a, nil)
		c.expectQueue()
		for _, kind := range []csp.PayloadType{
			csp.SetPushToken, csp.SetHighPriorityPushToken, csp.DeletePushToken, csp.EchoResponse, 0x21, 0x77, 0xff,
			csp.IncomingMessage, csp.OutgoingMessageAck, csp.QueueSendComplete, csp.CloseError, csp.Alert,
		} {
			c.send(kind, []byte("anything"))
			c.barrier()
		}
	})
}

func TestCloseTellsEachConnection(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		c := s.login(s.a, nil)
		c.expectQueue()
		raw := s.dial()
		closed := make(chan error)
		server := s.Server
		s.Server = nil
		go func() { closed <- server.Close(context.Background()) }()
		expectEnd(t, raw, raw)
		c.expectClosed(true, "Server is stopping")
		if err := <-closed; err != nil || server.Connections() != 0 {
			t.Errorf("got %v, %d connections", err, server.Connections())
		}
		if _, err := s.listener.Dial(); err == nil {
			t.Error("the listener takes connections")
		}
	})
}

func TestCloseDoesNotWaitForAClientThatDoesNotRead(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		c := s.login(s.a, nil) // and never reads
		server := s.Server
		s.Server = nil
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		started := time.Now()
		if err := server.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(started) != 2*time.Second {
			t.Errorf("got %v after %v", err, time.Since(started))
		}
		c.nc.Close()
	})
}

func TestConnectionLimits(t *testing.T) {
	limits := func(c *chatserver.Config) { c.MaxConnections, c.MaxPerIdentity = 4, 2 }
	inBubble(t, limits, func(t *testing.T, s *testServer) {
		s.login(s.a, device(1))
		s.login(s.a, device(2))
		if _, err := s.tryLogin(s.a, device(3)); !errors.Is(err, io.EOF) {
			t.Errorf("third device: %v", err)
		}
		s.login(s.a, device(2)) // in the place of the older one
		synctest.Wait()
		s.login(s.b, nil)
		for s.Connections() < 4 {
			s.dial()
			synctest.Wait()
		}
		expectDialed := s.dial()
		expectEnd(t, expectDialed, expectDialed)
	})
}
