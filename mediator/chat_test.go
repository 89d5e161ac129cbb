package mediator_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/chatproxy"
	"openmediator/d2m"
	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/reflect/memstore"
)

// upstream is the network behind the chat proxy: each connection is a pipe whose other end the test gets.
type upstream struct {
	conns  chan net.Conn
	refuse error

	mu     sync.Mutex
	dialed []string // addresses, by the proxy; read when it does nothing
}

func newUpstream() *upstream { return &upstream{conns: make(chan net.Conn, 16)} }

func (u *upstream) dial(_ context.Context, address, _ string) (net.Conn, error) {
	u.mu.Lock()
	u.dialed = append(u.dialed, address)
	u.mu.Unlock()
	if u.refuse != nil {
		return nil, u.refuse
	}
	near, far := net.Pipe()
	u.conns <- far
	return near, nil
}

// startWithChat runs a server whose chat servers are on a network of pipes.
func startWithChat(t testing.TB, l listen.Listener, u *upstream) *testServer {
	t.Helper()
	config := mediator.DefaultConfig()
	config.Chat = chatproxy.Config{Upstreams: parseUpstreams(t, "4f=chat.example:5222"), Dial: u.dial}
	return startServer(t, l, memstore.New(), config)
}

func parseUpstreams(t testing.TB, texts ...string) *chatproxy.Upstreams {
	t.Helper()
	upstreams, err := chatproxy.ParseUpstreams(texts, chatproxy.DefaultPattern)
	if err != nil {
		t.Fatal(err)
	}
	return upstreams
}

func readExactly(t testing.TB, conn net.Conn, size int) []byte {
	t.Helper()
	data := make([]byte, size)
	if _, err := io.ReadFull(conn, data); err != nil {
		t.Fatal(err)
	}
	return data
}

// Units of a chat server.
func serverHello() []byte { return bytes.Repeat([]byte{0xa1}, 80) }
func loginAck() []byte    { return bytes.Repeat([]byte{0xb2}, 32) }

func chatFrame(size int) []byte {
	unit := binary.LittleEndian.AppendUint16(nil, uint16(size))
	for i := range size {
		unit = append(unit, byte(i*7+size))
	}
	return unit
}

// Apps send the chat server's client hello before they have seen ServerHello (d2m.md, 1).
func TestB4_HeldBackGoesUpstreamInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		u := newUpstream()
		s := startWithChat(t, listen.NewPipe(), u)
		d := s.dial(newIdentity(t))
		d.send(d2m.Proxy{Data: []byte("client ")})
		d.send(d2m.Proxy{Data: []byte("hello, ")})
		time.Sleep(10 * time.Second)
		if len(u.dialed) != 0 {
			t.Fatal("connected for a device that has not proved anything")
		}
		d.register(1, d2m.SlotNew)
		d.send(d2m.Proxy{Data: []byte("login")})
		if got := readExactly(t, <-u.conns, 19); string(got) != "client hello, login" {
			t.Errorf("chat server got %q", got)
		}
	})
}

func TestB4_NothingIsDialledForTheRefused(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		u := newUpstream()
		s := startWithChat(t, listen.NewPipe(), u)
		id := newIdentity(t)

		wrong := s.dial(id)
		wrong.send(d2m.Proxy{Data: []byte("x")})
		hello := wrong.hello(expect[d2m.ServerHello](wrong), 1, d2m.SlotNew)
		hello.Response[70] ^= 1
		wrong.send(hello)
		wrong.expectCloseAtOnce(d2m.CloseProtocolError)

		unknown := s.dial(id)
		unknown.send(d2m.Proxy{Data: []byte("x")})
		unknown.send(unknown.hello(expect[d2m.ServerHello](unknown), 1, d2m.SlotExisting))
		unknown.send(d2m.Proxy{Data: []byte("x")})
		unknown.expectCloseAtOnce(d2m.CloseSlotState)

		synctest.Wait()
		if len(u.dialed) != 0 {
			t.Errorf("connected %d times", len(u.dialed))
		}
	})
}

func TestB35_OneConnectionPerDevice(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		u := newUpstream()
		s := startWithChat(t, listen.NewPipe(), u)
		id := newIdentity(t)
		first, _ := s.login(id, 1, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](first.device)
		second, _ := s.login(id, 2, d2m.SlotNew)
		first.send(d2m.Proxy{})
		first.barrier()
		synctest.Wait()
		if len(u.dialed) != 0 {
			t.Fatal("connected without a byte to send")
		}
		first.send(d2m.Proxy{Data: []byte("a")})
		firstChat := <-u.conns
		readExactly(t, firstChat, 1)
		second.send(d2m.Proxy{Data: []byte("b")})
		secondChat := <-u.conns
		readExactly(t, secondChat, 1)
		first.send(d2m.Proxy{Data: []byte("c")})
		readExactly(t, firstChat, 1)
		if len(u.dialed) != 2 || u.dialed[0] != "chat.example:5222" {
			t.Errorf("connected to %q", u.dialed)
		}

		firstChat.Write(serverHello())
		if got := expect[d2m.Proxy](first.device); !bytes.Equal(got.Data, serverHello()) {
			t.Errorf("first device got %d bytes", len(got.Data))
		}
		secondChat.Write(append(serverHello(), loginAck()...))
		expect[d2m.Proxy](second.device)
		expect[d2m.Proxy](second.device)
		first.barrier() // nothing else came
		second.barrier()
	})
}

func TestB35_NoChatServerForTheServerGroup(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		u := newUpstream()
		s := startWithChat(t, listen.NewPipe(), u)
		id := newIdentity(t)
		id.serverGroup = "50"
		d, _ := s.login(id, 1, d2m.SlotNew)
		d.send(d2m.Proxy{Data: []byte("x")})
		d.expectClose(d2m.CloseChatServerUnreachable)
		if len(u.dialed) != 0 {
			t.Error("connected all the same")
		}
	})
}

// Through real sockets, wherever TCP is cut, the device gets the same units.
func TestB36_CutAtEveryByte(t *testing.T) {
	l := listen.TCP(t)
	config := mediator.DefaultConfig()
	config.Chat = chatproxy.Config{Upstreams: parseUpstreams(t, l.Addr().String())}
	s := startServer(t, listen.TCP(t), memstore.New(), config)
	defer l.Close()
	id := newIdentity(t)
	units := [][]byte{serverHello(), loginAck(), chatFrame(24), chatFrame(0), chatFrame(40)}
	stream := bytes.Join(units, nil)
	expected := d2m.SlotNew
	for cut := range stream {
		d, _ := s.login(id, 1, expected)
		expected = d2m.SlotExisting
		expect[d2m.RolePromotedToLeader](d.device)
		d.send(d2m.Proxy{Data: []byte("x")})
		chat, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		readExactly(t, chat, 1)
		chat.Write(stream[:cut])
		d.barrierAround(func(p d2m.Proxy) { units = checkUnit(t, units, p) })
		chat.Write(stream[cut:])
		chat.Close()
		for {
			m, code := d.receive()
			if p, ok := m.(d2m.Proxy); ok {
				units = checkUnit(t, units, p)
				continue
			}
			if code != d2m.CloseChatServerClosed {
				t.Fatalf("cut at %d: got %T (close code %d)", cut, m, code)
			}
			break
		}
		if len(units) != 0 {
			t.Fatalf("cut at %d: %d units are missing", cut, len(units))
		}
		units = [][]byte{serverHello(), loginAck(), chatFrame(24), chatFrame(0), chatFrame(40)}
	}
}

// barrierAround is barrier for a device that may get Proxy meanwhile.
func (d *device) barrierAround(got func(d2m.Proxy)) {
	d.t.Helper()
	d.send(d2m.GetDevicesInfo{})
	for {
		switch m, code := d.receive(); m := m.(type) {
		case d2m.Proxy:
			got(m)
		case d2m.DevicesInfo:
			return
		default:
			d.t.Fatalf("got %T (close code %d)", m, code)
		}
	}
}

func checkUnit(t *testing.T, want [][]byte, got d2m.Proxy) (rest [][]byte) {
	t.Helper()
	if len(want) == 0 || !bytes.Equal(got.Data, want[0]) {
		t.Fatalf("got a unit of %d bytes, %d are missing", len(got.Data), len(want))
	}
	return want[1:]
}

func TestB37_CloseCodes(t *testing.T) {
	for name, c := range map[string]struct {
		refuse error
		play   func(t *testing.T, chat net.Conn)
		want   d2m.CloseCode
		units  int
	}{
		"cannot be reached": {refuse: errors.New("no"), want: d2m.CloseChatServerUnreachable},
		"closes at once":    {play: func(t *testing.T, chat net.Conn) { chat.Close() }, want: d2m.CloseChatServerClosed},
		"closes in the middle of a unit": {play: func(t *testing.T, chat net.Conn) {
			chat.Write(append(serverHello(), 1, 2, 3))
			chat.Close()
		}, want: d2m.CloseChatServerClosed, units: 1},
		"half a frame, and stops": {play: func(t *testing.T, chat net.Conn) {
			chat.Write(bytes.Join([][]byte{serverHello(), loginAck(), chatFrame(100)[:50]}, nil))
		}, want: d2m.CloseChatServerInternal, units: 2},
		"a frame of 65,535 bytes": {play: func(t *testing.T, chat net.Conn) {
			chat.Write(bytes.Join([][]byte{serverHello(), loginAck(), {0xff, 0xff}}, nil))
		}, want: d2m.CloseChatServerInternal, units: 2},
		"garbage": {play: func(t *testing.T, chat net.Conn) {
			for chat.SetDeadline(time.Now().Add(time.Hour)); ; {
				if _, err := chat.Write(bytes.Repeat([]byte{0xf7}, 1000)); err != nil {
					return
				}
			}
		}, want: d2m.CloseChatServerClosed, units: -1},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				u := newUpstream()
				u.refuse = c.refuse
				s := startWithChat(t, listen.NewPipe(), u)
				d, _ := s.login(newIdentity(t), 1, d2m.SlotNew)
				expect[d2m.RolePromotedToLeader](d.device)
				d.send(d2m.Proxy{Data: []byte("x")})
				if c.play != nil {
					chat := <-u.conns
					readExactly(t, chat, 1)
					if c.units < 0 { // the frames that it announces are all of one size that fits: until it closes they are units
						go c.play(t, chat)
						for range 5 {
							expect[d2m.Proxy](d.device)
						}
						chat.Close()
						d.expectClose(c.want)
						return
					}
					c.play(t, chat)
				}
				for range c.units {
					expect[d2m.Proxy](d.device)
				}
				d.expectCloseAtOnce(c.want)
			})
		})
	}
}

func TestB37_DeviceGoes(t *testing.T) {
	ends := map[string]func(d *registered){
		"in order":       func(d *registered) { d.leave() },
		"without a word": func(d *registered) { d.ws.CloseNow() },
		"by a violation": func(d *registered) { d.sendFrame([]byte{0xff, 0, 0, 0}) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				u := newUpstream()
				s := startWithChat(t, listen.NewPipe(), u)
				d, _ := s.login(newIdentity(t), 1, d2m.SlotNew)
				expect[d2m.RolePromotedToLeader](d.device)
				d.send(d2m.Proxy{Data: []byte("last words")})
				chat := <-u.conns
				d.barrier()
				go end(d)
				got, err := io.ReadAll(chat)
				if err != nil || string(got) != "last words" {
					t.Errorf("chat server got %q, %v", got, err)
				}
			})
		})
	}
}

// The older connection's session is over for the device before the newer one is told anything, even if the chat server
// takes nothing.
func TestB9_TheOlderSessionIsLeft(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		u := newUpstream()
		s := startWithChat(t, listen.NewPipe(), u)
		id := newIdentity(t)
		older, _ := s.login(id, 1, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](older.device)
		older.send(d2m.Proxy{Data: []byte("x")})
		olderChat := <-u.conns
		readExactly(t, olderChat, 1)
		began := time.Now()
		older.send(d2m.Proxy{Data: make([]byte, 60_000)}) // waits in the server's reader
		synctest.Wait()

		newer, _ := s.login(id, 1, d2m.SlotExisting)
		expect[d2m.RolePromotedToLeader](newer.device)
		older.expectClose(d2m.CloseReplaced)
		newer.send(d2m.Proxy{Data: []byte("new")})
		if got := readExactly(t, <-u.conns, 3); string(got) != "new" {
			t.Errorf("chat server got %q", got)
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("the newer connection waited for %v", waited)
		}
		if _, err := olderChat.Write(serverHello()); err != nil {
			t.Error("what the chat server still says is not read")
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if _, err := olderChat.Write([]byte{1}); err == nil {
			t.Error("older session is still there after 5 s")
		}
		newer.barrierAround(func(p d2m.Proxy) { t.Errorf("the newer connection got %d bytes of the older session", len(p.Data)) })
	})
}

// A device whose chat server takes nothing is not read, and nobody else notices.
func TestB38_StuckChatServer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		u := newUpstream()
		s := startWithChat(t, listen.NewPipe(), u)
		id := newIdentity(t)
		other, _ := s.login(id, 2, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](other.device)
		stuck := s.dialWire(id)
		stuck.message(id.hello(t, expectOn[d2m.ServerHello](stuck), 1, d2m.SlotNew))
		expectOn[d2m.ServerInfo](stuck)
		expectOn[d2m.ReflectionQueueDry](stuck)
		stuck.message(d2m.Proxy{Data: []byte("x")})
		began := time.Now()
		sent, ended := 0, make(chan struct{})
		go func() {
			defer close(ended)
			for flood := appendMessages(nil, d2m.Proxy{Data: make([]byte, 8000)}); ; sent += len(flood) {
				if _, err := stuck.Write(flood); err != nil {
					return
				}
			}
		}()
		synctest.Wait()
		if sent > 200<<10 {
			t.Errorf("server took %d bytes", sent)
		}
		for i := range 100 {
			other.reflect(d2m.ReflectID(i), make([]byte, 1000))
			expectOn[d2m.Reflected](stuck)
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("100 messages took %v", waited)
		}
		stuck.expectClose(d2m.CloseChatServerInternal)
		if waited := time.Since(began); waited < 60*time.Second || waited > 62*time.Second {
			t.Errorf("the chat server was given %v", waited)
		}
		stuck.Close()
		<-ended
		(<-u.conns).Close()
	})
}

// The chat server's answers do not wait behind a long queue.
func TestB38_ChatOvertakesTheQueue(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		u := newUpstream()
		s := startWithChat(t, listen.NewPipe(), u)
		id := newIdentity(t)
		const stored = 2000
		s.fillQueue(id, 1, stored, 1000)
		d := s.dial(id).register(1, d2m.SlotExisting)
		d.send(d2m.Proxy{Data: []byte("x")})
		chat := <-u.conns
		readExactly(t, chat, 1)
		chat.Write(serverHello())
		synctest.Wait()
		before := 0
		for {
			m, code := d.receive()
			if _, ok := m.(d2m.Proxy); ok {
				break
			}
			if _, ok := m.(d2m.Reflected); !ok {
				t.Fatalf("got %T (close code %d)", m, code)
			}
			before++
		}
		if before > 200 {
			t.Errorf("%d messages of the queue went before the chat server's", before)
		}
		// And the queue goes on while the chat server talks.
		go func() {
			chat.Write(loginAck())
			for {
				if _, err := chat.Write(chatFrame(8000)); err != nil {
					return
				}
			}
		}()
		units := 0
		for reflected := before; reflected < stored; {
			synctest.Wait() // the chat server has said as much as it may
			switch m, code := d.receive(); m.(type) {
			case d2m.Proxy:
				units++
			case d2m.Reflected:
				reflected++
			default:
				t.Fatalf("got %T (close code %d)", m, code)
			}
		}
		if units < 20 || units > 2000 {
			t.Errorf("%d messages of the chat server came with %d of the queue", units, stored)
		}
		chat.Close()
	})
}

// What has arrived together goes to the chat server in one piece, and waits for nothing that comes behind it.
func TestB35_WhatHasArrivedTogetherGoesTogether(t *testing.T) {
	proxy := func(data string) []byte { return appendMessages(nil, d2m.Proxy{Data: []byte(data)}) }
	half := proxy("never whole")[:9]
	for name, c := range map[string]struct {
		input []byte
		want  []string
	}{
		"alone":                     {bytes.Join([][]byte{proxy("one"), proxy("two"), proxy("three")}, nil), []string{"onetwothree"}},
		"before half a message":     {bytes.Join([][]byte{proxy("one"), proxy("two"), half}, nil), []string{"onetwo"}},
		"around a ping":             {bytes.Join([][]byte{proxy("one"), appendFrame(nil, fin|opPing, nil), proxy("two")}, nil), []string{"one", "two"}},
		"around another message":    {bytes.Join([][]byte{proxy("one"), appendMessages(nil, d2m.GetDevicesInfo{}), proxy("two")}, nil), []string{"one", "two"}},
		"before what is malformed":  {bytes.Join([][]byte{proxy("one"), appendFrame(nil, fin|opBinary, []byte{0xff, 0, 0, 0})}, nil), []string{"one"}},
		"before what is no message": {bytes.Join([][]byte{proxy("one"), appendFrame(nil, 0x70, nil)}, nil), []string{"one"}},
		"with an empty one":         {bytes.Join([][]byte{proxy("one"), proxy(""), proxy("two")}, nil), []string{"onetwo"}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				u := newUpstream()
				s := startWithChat(t, listen.NewPipe(), u)
				w := s.loginWire(newIdentity(t), 1, d2m.SlotNew)
				w.message(d2m.Proxy{Data: []byte("x")})
				chat := <-u.conns
				readExactly(t, chat, 1)
				synctest.Wait() // what comes while the first byte is written would go in one piece, too
				w.write(c.input)
				w.listen()
				buffer := make([]byte, 100)
				for _, want := range c.want {
					if n, err := chat.Read(buffer); err != nil || string(buffer[:n]) != want {
						t.Errorf("chat server reads %q, %v, want %q", buffer[:n], err, want)
					}
				}
				chat.Close()
			})
		})
	}
}

// A device that is slow gets all the same all that the chat server has sent, in order, through real sockets that fill up.
func TestB38_SlowDeviceGetsAll(t *testing.T) {
	l := listen.TCP(t)
	defer l.Close()
	config := mediator.DefaultConfig()
	config.Chat = chatproxy.Config{Upstreams: parseUpstreams(t, l.Addr().String())}
	s := startServer(t, listen.TCP(t), memstore.New(), config)
	w := s.loginWire(newIdentity(t), 1, d2m.SlotNew)
	w.Conn.(*net.TCPConn).SetReadBuffer(128 << 10)
	w.message(d2m.Proxy{Data: []byte("x")})
	chat, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	readExactly(t, chat, 1)
	const frames = 1000
	blocked, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		chat.Write(append(serverHello(), loginAck()...))
		for i := range frames {
			if i == 40 { // more than the server holds
				close(blocked)
			}
			chat.Write(chatFrame(5000 + i))
		}
		chat.Close()
	}()
	<-blocked
	for range 2 {
		expectProxy(w)
	}
	for i := range frames {
		if got := expectProxy(w); !bytes.Equal(got, chatFrame(5000+i)) {
			t.Fatalf("frame %d has %d bytes and is not what was sent", i, len(got))
		}
	}
	w.expectClose(d2m.CloseChatServerClosed)
	<-ended
}

// expectProxy reads up to the next Proxy.
func expectProxy(w *wire) []byte {
	w.t.Helper()
	for {
		switch m, code := w.next(); m := m.(type) {
		case d2m.Proxy:
			return m.Data
		case nil:
			w.t.Fatalf("connection ended with %d", code)
		}
	}
}

// A device that floods, or never takes what the chat server sends, makes the server hold no more than a little.
func TestB38_DeviceTakesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		u := newUpstream()
		s := startWithChat(t, listen.NewPipe(), u)
		d, _ := s.login(newIdentity(t), 1, d2m.SlotNew)
		expect[d2m.RolePromotedToLeader](d.device)
		d.send(d2m.Proxy{Data: []byte("x")})
		chat := <-u.conns
		readExactly(t, chat, 1)
		written, ended := 0, make(chan struct{})
		go func() {
			defer close(ended)
			chat.Write(append(serverHello(), loginAck()...))
			for {
				n, err := chat.Write(chatFrame(8000))
				written += n
				if err != nil {
					return
				}
			}
		}()
		synctest.Wait()
		if written > 200<<10 {
			t.Errorf("server took %d bytes for a device that takes none", written)
		}
		chat.Close()
		<-ended
	})
}

// After the end of the chat server's connection the device is told, though it does not read.
func TestB37_DeviceDoesNotTakeTheEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		u := newUpstream()
		s := startWithChat(t, listen.NewPipe(), u)
		id := newIdentity(t)
		w := s.dialWire(id)
		w.message(id.hello(t, expectOn[d2m.ServerHello](w), 1, d2m.SlotNew))
		expectOn[d2m.ServerInfo](w)
		w.message(d2m.Proxy{Data: []byte("x")})
		chat := <-u.conns
		readExactly(t, chat, 1)
		chat.Write(append(serverHello(), loginAck()...))
		began := time.Now()
		chat.Close()
		// It sends all the time, so it is alive (B21); it takes nothing.
		for {
			w.SetWriteDeadline(time.Now().Add(time.Second))
			if _, err := w.Write(appendFrame(nil, fin|opPing, nil)); err != nil {
				break
			}
			time.Sleep(10 * time.Second)
		}
		if waited := time.Since(began); waited < 60*time.Second || waited > 90*time.Second {
			t.Errorf("connection ended after %v", waited)
		}
	})
}

// devicesAddress and mediatorAddress are of this machine, and tell devices from the mediator.
const (
	devicesAddress  = "127.0.1.7"
	mediatorAddress = "127.0.2.1"
)

// What the chat server sees of a device: the mediator's address, the device's bytes, and nothing else.
func TestB39_WhatTheChatServerSees(t *testing.T) {
	sent := bytes.Join([][]byte{chatFrame(48), chatFrame(144), chatFrame(3000)}, nil)
	if err := visible(t, mediatorAddress, sent, sent); err != nil {
		t.Error(err)
	}
	if visible(t, mediatorAddress, sent, append(bytes.Clone(sent), 0)) == nil {
		t.Error("a byte that is missing is not noticed")
	}
	if visible(t, mediatorAddress, append(bytes.Clone(sent), 0), sent) == nil {
		t.Error("a byte that is added is not noticed")
	}
	if visible(t, "", sent, sent) == nil {
		t.Error("without the mediator's own address, which one the chat server sees is not noticed")
	}
}

// visible has a device send bytes and says whether the chat server has seen something else than want.
func visible(t *testing.T, local string, send, want []byte) error {
	t.Helper()
	l := listen.TCP(t)
	defer l.Close()
	config := mediator.DefaultConfig()
	config.Chat.Upstreams = parseUpstreams(t, l.Addr().String())
	if local != "" {
		config.Chat.Local = parseIP(t, local)
	}
	s := startServer(t, fromAddress{listen.TCP(t), devicesAddress}, memstore.New(), config)
	d, _ := s.login(newIdentity(t), 1, d2m.SlotNew)
	d.send(d2m.Proxy{Data: send[:10]})
	d.send(d2m.Proxy{Data: send[10:]})
	chat, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer chat.Close()
	d.leave()
	got, err := io.ReadAll(chat)
	if err != nil {
		t.Fatal(err)
	}
	if from := chat.RemoteAddr().(*net.TCPAddr).IP.String(); from != mediatorAddress {
		return errors.New("chat server sees " + from)
	}
	if !bytes.Equal(got, want) {
		return errors.New("chat server sees other bytes than the device sent")
	}
	return nil
}

func parseIP(t *testing.T, text string) netip.Addr {
	t.Helper()
	addr, err := netip.ParseAddr(text)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// fromAddress is a listener that tests connect to from an address of this machine.
type fromAddress struct {
	listen.Loopback
	address string
}

func (l fromAddress) Dial() (net.Conn, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(l.address)}}
	return dialer.Dial("tcp", l.Addr().String())
}
