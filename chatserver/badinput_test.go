package chatserver_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/chatserver"
	"openmediator/csp"
)

// halfLogin connects, exchanges hellos and returns the login that is to be sent next.
func (s *testServer) halfLogin(u user, extensions *csp.Extensions) (nc net.Conn, in *bufio.Reader, login []byte) {
	s.t.Helper()
	nc = s.dial()
	in = bufio.NewReader(nc)
	h, err := csp.NewClientHandshake(rand.Reader, csp.Login{
		Identity: u.id, Key: u.key, ServerKey: s.config.Key.PublicKey(), Extensions: extensions,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	hello := h.Hello()
	if _, err := nc.Write(hello[:]); err != nil {
		s.t.Fatal(err)
	}
	var answer [csp.ServerHelloSize]byte
	if _, err := io.ReadFull(in, answer[:]); err != nil {
		s.t.Fatal(err)
	}
	if login, err = h.Login(answer[:]); err != nil {
		s.t.Fatal(err)
	}
	return nc, in, login
}

// What is wrong in the handshake ends the connection without a word, at once.
func TestWrongHandshakeEndsWithoutAWord(t *testing.T) {
	userA := func(s *testServer) user { return s.a }
	for _, test := range []struct {
		name       string
		user       func(*testServer) user
		extensions *csp.Extensions
		spoil      func([]byte) []byte
	}{
		{"wrong vouch", func(s *testServer) user { return user{s.a.id, s.b.key} }, nil, nil},
		{"wrong vouch with extensions", func(s *testServer) user { return user{s.a.id, s.b.key} }, device(1), nil},
		{"unknown identity", func(s *testServer) user { return user{identity(s.t, "NOBODY00"), s.a.key} }, nil, nil},
		{"broken login box", userA, nil, func(b []byte) []byte { b[3] ^= 1; return b }},
		{"broken extensions", userA, device(1), func(b []byte) []byte { b[len(b)-1] ^= 1; return b }},
		{"garbage", userA, nil, func(b []byte) []byte { return bytes.Repeat([]byte{0xff}, len(b)) }},
		{"extensions above the limit", userA, &csp.Extensions{ClientInfo: box(5000)},
			func(b []byte) []byte { return b[:csp.LoginSize] }},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, s *testServer) {
				nc, in, login := s.halfLogin(test.user(s), test.extensions)
				if test.spoil != nil {
					login = test.spoil(login)
				}
				started := time.Now()
				if _, err := nc.Write(login); err != nil {
					t.Fatal(err)
				}
				expectEnd(t, nc, in)
				if took := time.Since(started); took != 0 {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
	t.Run("hello with a key of low order", func(t *testing.T) {
		inBubble(t, nil, func(t *testing.T, s *testServer) {
			nc := s.dial()
			nc.Write(make([]byte, csp.ClientHelloSize))
			expectEnd(t, nc, nc)
		})
	})
}

// A client that stops within the handshake, at any byte, is gone after 20 s, and at once if it closes.
func TestHandshakeTimeout(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		nc, in, login := s.halfLogin(s.a, device(1))
		for _, cut := range []int{0, 1, 47} {
			nc := s.dial()
			nc.Write(make([]byte, cut))
			started := time.Now()
			nc.SetReadDeadline(time.Time{})
			io.ReadAll(nc)
			if took := time.Since(started); took != 20*time.Second {
				t.Errorf("hello cut at %d: closed after %v", cut, took)
			}
		}
		expectEnd(t, nc, in)
		for cut := range login {
			nc, _, login := s.halfLogin(s.a, device(1))
			nc.Write(login[:cut])
			nc.Close()
		}
		synctest.Wait()
		if n := s.Connections(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// A client that drips its hello does not get more time by that.
func TestHandshakeTimeoutIsForTheWhole(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		nc := s.dial()
		started := time.Now()
		for {
			if _, err := nc.Write([]byte{1}); err != nil {
				break
			}
			time.Sleep(5 * time.Second)
		}
		if took := time.Since(started); took > 25*time.Second {
			t.Errorf("closed after %v", took)
		}
	})
}

// What cannot be opened ends the connection without a word.
func TestBrokenFrameEndsWithoutAWord(t *testing.T) {
	for _, test := range []struct {
		name  string
		bytes func(c *client) []byte
	}{
		{"frame of 65,535", func(*client) []byte { return bytes.Repeat([]byte{0xff}, 2) }},
		{"box above the limit", func(*client) []byte { return []byte{0x01, 0x20} }}, // 8,193
		{"empty box", func(*client) []byte { return []byte{0, 0} }},
		{"box of a tag alone", func(*client) []byte { return append([]byte{16, 0}, make([]byte, 16)...) }},
		{"garbage", func(*client) []byte { return append([]byte{100, 0}, make([]byte, 100)...) }},
		{"flipped bit", func(c *client) []byte {
			frame := c.frames(csp.Payload{Type: csp.EchoRequest, Data: []byte("text")})
			frame[10] ^= 0x80
			return frame
		}},
		{"frame left out", func(c *client) []byte {
			c.frames(csp.Payload{Type: csp.EchoRequest})
			return c.frames(csp.Payload{Type: csp.EchoRequest})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, s *testServer) {
				c := s.login(s.a, nil)
				c.expectQueue()
				started := time.Now()
				if _, err := c.nc.Write(test.bytes(c)); err != nil {
					t.Fatal(err)
				}
				c.expectEnd()
				if took := time.Since(started); took != 0 {
					t.Errorf("it took %v", took)
				}
				s.login(s.a, nil).expectQueue()
			})
		})
	}
}

func TestFrameRepeatedEndsWithoutAWord(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		c := s.login(s.a, nil)
		c.expectQueue()
		frame := c.frames(csp.Payload{Type: csp.EchoRequest})
		c.nc.Write(frame)
		c.expect(csp.EchoResponse)
		c.nc.Write(frame)
		c.expectEnd()
	})
}

// Half a frame and silence: the idle timeout. Half a frame and the end: at once.
func TestHalfAFrame(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		for cut := 1; cut < 30; cut++ {
			c := s.login(s.a, nil)
			c.expectQueue()
			c.nc.Write(c.frames(csp.Payload{Type: csp.EchoRequest, Data: []byte("12345678")})[:cut])
			c.nc.Close()
		}
		synctest.Wait()
		if n := s.Connections(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// What makes no sense inside a sound box is told.
func TestSenselessPayloadEndsWithACloseError(t *testing.T) {
	message := csp.Message{Sender: csp.Identity([]byte("AAAAAAAA")), Receiver: csp.Identity([]byte("BBBBBBBB"))}
	whole, err := message.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	long := bytes.Clone(whole)
	long[30], long[31] = 0xff, 0xff // metadata length
	for _, test := range []struct {
		name string
		kind csp.PayloadType
		data []byte
		want string
	}{
		{"empty message", csp.OutgoingMessage, nil, "message"},
		{"message cut short", csp.OutgoingMessage, whole[:len(whole)-1], "message"},
		{"metadata beyond the end", csp.OutgoingMessage, long, "metadata"},
		{"empty ack", csp.IncomingMessageAck, nil, "ack"},
		{"ack cut short", csp.IncomingMessageAck, make([]byte, 15), "ack"},
		{"long ack", csp.IncomingMessageAck, make([]byte, 17), "ack"},
		{"empty idle timeout", csp.SetIdleTimeout, nil, "idle timeout"},
		{"long idle timeout", csp.SetIdleTimeout, make([]byte, 3), "idle timeout"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, s *testServer) {
				c := s.login(s.a, nil)
				c.expectQueue()
				c.send(test.kind, test.data)
				c.expectClosed(false, test.want)
			})
		})
	}
}

func TestAckOfWhatIsNotThereChangesNothing(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		a, b := s.login(s.a, nil), s.login(s.b, device(1))
		a.expectQueue()
		m := a.text(s.b, 1, "text")
		a.acknowledge(m)                           // not the receiver's
		b.acknowledge(csp.Message{ID: 1})          // of nobody
		b.acknowledge(csp.Message{Sender: s.a.id}) // another id
		b.acknowledge(csp.Message{Sender: s.b.id}) // another sender
		b.unblock("text")
		b.acknowledge(m)
		b.acknowledge(m)
		b.settle()
		if n := s.Stored(); n != 0 {
			t.Errorf("%d messages are stored", n)
		}
	})
}

// A client that never reads while messages come for it costs a page and the kernel's buffers. After 60 s it is gone, and
// nothing is lost.
func TestClientThatNeverReadsIsGoneAfterTheStallTimeout(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		a := s.login(s.a, nil)
		a.expectQueue()
		for i := range 100 {
			a.text(s.b, csp.MessageID(i), box(8000))
		}
		started := time.Now()
		s.login(s.b, nil)
		for s.Connections() == 2 {
			time.Sleep(time.Second)
			a.barrier()
		}
		if took := time.Since(started); took < 60*time.Second || took > 62*time.Second {
			t.Errorf("gone after %v", took)
		}
		b := s.login(s.b, nil)
		for range 100 {
			b.expectMessage(box(8000))
		}
	})
}

// One that sends echoes and never reads the answers is not read from any more once 256 KiB wait for it.
func TestUnsentBytesAreBounded(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *testServer) {
		a := s.login(s.a, nil)
		a.expectQueue()
		b := s.login(s.b, nil) // reads nothing
		sent := 0
		started := time.Now()
		for {
			frame := b.frames(csp.Payload{Type: csp.EchoRequest, Data: make([]byte, 8000)})
			b.nc.SetWriteDeadline(time.Now().Add(10 * time.Second))
			n, err := b.nc.Write(frame)
			sent += n
			if err != nil {
				break
			}
		}
		if waited := time.Since(started); waited != 10*time.Second || sent < 256<<10 || sent > 400<<10 {
			t.Errorf("the server read %d bytes and then nothing for %v", sent, waited)
		}
		synctest.Wait()
		before := s.Unsent()
		for i := range 10 {
			m := a.message(s.b, csp.MessageID(i), box(8000))
			m.Flags = csp.FlagDoNotQueue
			a.deliver(m) // the receiver takes no messages now: dropped
		}
		synctest.Wait()
		if n := s.Unsent(); n != before || n > 300<<10 {
			t.Errorf("%d bytes wait, before %d", n, before)
		}
		time.Sleep(time.Minute)
		if n := s.Connections(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// Memory: connections that read nothing hold less than what waits for them.
func TestMemoryIsBoundedWhateverWaits(t *testing.T) {
	const messages, size = 80, 8000 // for each
	users := make([]user, 30)
	known := make(chatserver.FixedIdentities)
	for i := range users {
		users[i] = user{csp.Identity([]byte{'U', 'S', 'E', 'R', 'X', 'X', '0' + byte(i/10), '0' + byte(i%10)}), newKey(t)}
		known[users[i].id] = users[i].key.PublicKey()
	}
	inBubble(t, func(c *chatserver.Config) { c.Identities = known }, func(t *testing.T, s *testServer) {
		a := s.login(users[0], nil)
		a.expectQueue()
		for i, u := range users[1:] {
			for j := range messages {
				a.post(a.message(u, csp.MessageID(i*100+j), box(size)))
			}
			for j := range messages {
				a.expectAck(csp.Message{Receiver: u.id, ID: csp.MessageID(i*100 + j)})
			}
		}
		before := heapInUse()
		for _, u := range users[1:] {
			s.login(u, nil)
		}
		synctest.Wait()
		each := (int(heapInUse()) - int(before)) / (len(users) - 1)
		t.Logf("a connection holds %d bytes, of %d that wait", each, messages*size)
		if each > messages*size/2 {
			t.Errorf("a connection that reads nothing holds %d bytes, of %d that wait", each, messages*size)
		}
	})
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// The log holds neither who nor from where, whatever happens.
func TestLogHoldsNeitherIdentitiesNorAddresses(t *testing.T) {
	s := overTCP(t, nil)
	a := s.login(s.a, nil)
	a.expectQueue()
	a.text(s.b, 1, "the text")
	a.send(csp.OutgoingMessage, []byte("nonsense"))
	a.expectClosed(false, "message")
	nc, in, login := s.halfLogin(user{s.a.id, s.b.key}, nil)
	nc.Write(login)
	expectEnd(t, nc, in)
	nc, in, login = s.halfLogin(user{identity(t, "NOBODY00"), s.b.key}, nil)
	nc.Write(login)
	expectEnd(t, nc, in)
	raw := s.dial()
	raw.Write(make([]byte, 48))
	expectEnd(t, raw, raw)
	s.dial().(*net.TCPConn).SetLinger(0)
	s.FailStore(io.ErrShortWrite)
	b := s.sendLogin(s.b)
	expectEnd(t, b, b)
	s.FailStore(nil)
	a = s.login(s.a, nil)
	a.expectQueue()
	a.text(s.b, 2, "works")
	a.nc.Close()
	s.close()
	log := s.log.String()
	for _, secret := range []string{"AAAAAAAA", "BBBBBBBB", "NOBODY", "127.0.0.1", "the text"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q:\n%s", secret, log)
		}
	}
	for _, want := range []string{"connection ended", "storage failed", "storage works again", "end of stream"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not hold %q:\n%s", want, log)
		}
	}
}

// sendLogin sends a login and leaves the answer unread.
func (s *testServer) sendLogin(u user) net.Conn {
	nc, _, login := s.halfLogin(u, &csp.Extensions{DeviceCookie: &csp.Cookie{1}})
	nc.Write(login)
	return nc
}

func TestOnConnectIsToldEachAddress(t *testing.T) {
	addresses := make(chan string, 10)
	s := overTCP(t, func(c *chatserver.Config) { c.OnConnect = func(a net.Addr) { addresses <- a.String() } })
	for range 2 {
		nc := s.dial()
		if got := <-addresses; got != nc.LocalAddr().String() {
			t.Errorf("got %s, want %v", got, nc.LocalAddr())
		}
	}
}
