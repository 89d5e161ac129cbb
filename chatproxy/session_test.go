package chatproxy

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"openmediator/d2m"
)

// Every test ends all that it started (B44).
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testDevice is a device whose messages the test takes.
type testDevice struct {
	t *testing.T
	*Session
	woken   chan struct{} // holds an element while there may be something new
	overdue chan struct{} // the same for Overdue
	units   [][]byte      // taken
	end     *End
}

func (d *testDevice) Wake()    { signal(d.woken) }
func (d *testDevice) Overdue() { signal(d.overdue) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take takes what there is, without waiting.
func (d *testDevice) take() {
	d.t.Helper()
	for {
		data, ends, end := d.Take()
		if len(ends) == 0 {
			if d.end = end; end != nil && len(data) > 0 {
				d.t.Error("data without messages")
			}
			return
		}
		start := 0
		for _, to := range ends {
			kind, payload, err := d2m.Split(data[start:to])
			if err != nil || kind != d2m.TypeProxy {
				d.t.Fatalf("message is a %v: %v", kind, err)
			}
			d.units = append(d.units, bytes.Clone(payload))
			start = to
		}
		if end != nil {
			d.t.Fatal("the end comes with messages")
		}
	}
}

// read takes until the session has ended.
func (d *testDevice) read() {
	d.t.Helper()
	for d.end == nil {
		<-d.woken
		d.take()
	}
}

func (d *testDevice) expectEnd(code d2m.CloseCode) {
	d.t.Helper()
	d.read()
	if d.end.Code != code {
		d.t.Errorf("session ended with %d (%s, %v), want %d", d.end.Code, d.end.Reason, d.end.Cause, code)
	}
}

func (d *testDevice) expectUnits(want ...[]byte) {
	d.t.Helper()
	if len(d.units) != len(want) {
		d.t.Fatalf("%d units, want %d", len(d.units), len(want))
	}
	for i := range want {
		if !bytes.Equal(d.units[i], want[i]) {
			d.t.Errorf("unit %d has %d bytes and is not what was sent, which has %d", i, len(d.units[i]), len(want[i]))
		}
	}
}

// network is what sessions connect to: each connection is a pipe whose other end the test gets.
type network struct {
	conns     chan net.Conn
	addresses []string
	isolation []string
	delay     time.Duration
	refuse    error
}

func (n *network) dial(ctx context.Context, address, isolation string) (net.Conn, error) {
	n.addresses = append(n.addresses, address)
	n.isolation = append(n.isolation, isolation)
	select {
	case <-time.After(n.delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if n.refuse != nil {
		return nil, n.refuse
	}
	near, far := net.Pipe()
	n.conns <- far
	return near, nil
}

// bubble runs a test in fake time, with a network and a device that has started and sent nothing. To sleep in it takes no
// time: that is how these tests say for how long nothing happens, which is what the limits of B37 are about.
func bubble(t *testing.T, test func(t *testing.T, n *network, d *testDevice)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := &network{conns: make(chan net.Conn, 1)}
		p := New(Config{Upstreams: parseUpstreams(t, "chat.example:5222"), Dial: n.dial})
		d := open(t, p)
		d.Start()
		test(t, n, d)
		d.Leave()
		p.Close()
	})
}

func open(t *testing.T, p *Proxy) *testDevice {
	t.Helper()
	d := &testDevice{t: t, woken: make(chan struct{}, 1), overdue: make(chan struct{}, 1)}
	s, err := p.Open("4f", "isolated", d)
	if err != nil {
		t.Fatal(err)
	}
	d.Session = s
	return d
}

// connect makes the session connect and returns the chat server's end, from which one byte was read.
func (n *network) connect(t *testing.T, d *testDevice) net.Conn {
	t.Helper()
	d.Send([]byte{1})
	conn := <-n.conns
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func write(t *testing.T, conn net.Conn, data []byte) {
	t.Helper()
	if _, err := conn.Write(data); err != nil {
		t.Fatal(err)
	}
}

// serverHello, loginAck and frame are units of a chat server.
func serverHello() []byte { return bytes.Repeat([]byte{0xa1}, 80) }
func loginAck() []byte    { return bytes.Repeat([]byte{0xb2}, 32) }

func frame(size int) []byte {
	unit := binary.LittleEndian.AppendUint16(nil, uint16(size))
	for i := range size {
		unit = append(unit, byte(i*7+size))
	}
	return unit
}

func TestB35_ConnectsWithTheFirstByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{conns: make(chan net.Conn, 1)}
		p := New(Config{Upstreams: parseUpstreams(t, "4f=chat.example:5222"), Dial: n.dial})
		if _, err := p.Open("50", "", &testDevice{}); !errors.Is(err, ErrNoUpstream) {
			t.Errorf("a server group without a chat server: error is %v", err)
		}
		d := open(t, p)
		d.Send([]byte("held"))
		synctest.Wait()
		if len(n.addresses) != 0 {
			t.Fatal("connects before it is started")
		}
		d.Start()
		d.Send([]byte(" back"))
		conn := <-n.conns
		got := make([]byte, 9)
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != "held back" {
			t.Errorf("chat server got %q, %v", got, err)
		}
		if len(n.addresses) != 1 || n.addresses[0] != "chat.example:5222" || n.isolation[0] != "isolated" {
			t.Errorf("connected to %q, isolated as %q", n.addresses, n.isolation)
		}

		silent := open(t, p)
		silent.Start()
		synctest.Wait()
		if len(n.addresses) != 1 {
			t.Error("connects for a device that has sent nothing")
		}
		d.Leave()
		silent.Leave()
		p.Close()
	})
}

// Wherever TCP cuts the stream, the device gets the same units.
func TestB36_OneUnitPerMessage(t *testing.T) {
	units := [][]byte{serverHello(), loginAck(), frame(20), frame(0), frame(1), frame(600), frame(255), frame(24)}
	stream := bytes.Join(units, nil)
	for cut := range stream {
		bubble(t, func(t *testing.T, n *network, d *testDevice) {
			conn := n.connect(t, d)
			write(t, conn, stream[:cut])
			write(t, conn, stream[cut:])
			conn.Close()
			d.expectEnd(d2m.CloseChatServerClosed)
			d.expectUnits(units...)
		})
	}
}

func TestB36_OneUnitPerMessageByteByByte(t *testing.T) {
	units := [][]byte{serverHello(), loginAck(), frame(20), frame(0), frame(600)}
	bubble(t, func(t *testing.T, n *network, d *testDevice) {
		conn := n.connect(t, d)
		for _, b := range bytes.Join(units, nil) {
			write(t, conn, []byte{b})
		}
		conn.Close()
		d.expectEnd(d2m.CloseChatServerClosed)
		d.expectUnits(units...)
	})
}

func TestB36_LargestFrame(t *testing.T) {
	const largest = d2m.MaxProxyDataSize - 2
	units := [][]byte{serverHello(), loginAck(), frame(largest), frame(largest), frame(3), frame(largest), frame(100)}
	bubble(t, func(t *testing.T, n *network, d *testDevice) {
		conn := n.connect(t, d)
		go func() {
			conn.Write(bytes.Join(units, nil))
			conn.Close()
		}()
		d.expectEnd(d2m.CloseChatServerClosed)
		d.expectUnits(units...)
	})
	for _, size := range []int{largest + 1, 65_535} {
		bubble(t, func(t *testing.T, n *network, d *testDevice) {
			conn := n.connect(t, d)
			began := time.Now()
			write(t, conn, bytes.Join([][]byte{serverHello(), loginAck(), frame(5), frame(size)[:2]}, nil))
			d.expectEnd(d2m.CloseChatServerInternal)
			if waited := time.Since(began); waited != 0 {
				t.Errorf("waits %v for a frame that is too large", waited)
			}
			d.expectUnits(serverHello(), loginAck(), frame(5))
			expectClosed(t, conn)
		})
	}
}

func expectClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("connection to the chat server: %v", err)
	}
}

func TestB36_IncompleteUnitIsDropped(t *testing.T) {
	stream := bytes.Join([][]byte{serverHello(), loginAck(), frame(30)}, nil)
	for _, c := range []struct {
		size, units int
	}{{0, 0}, {79, 0}, {81, 1}, {111, 1}, {113, 2}, {143, 2}, {144, 3}} {
		bubble(t, func(t *testing.T, n *network, d *testDevice) {
			conn := n.connect(t, d)
			write(t, conn, stream[:c.size])
			conn.Close()
			d.expectEnd(d2m.CloseChatServerClosed)
			if len(d.units) != c.units {
				t.Errorf("%d bytes gave %d units, want %d", c.size, len(d.units), c.units)
			}
		})
	}
}

func TestB37_ChatServerCannotBeReached(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		bubble(t, func(t *testing.T, n *network, d *testDevice) {
			n.refuse = errors.New("refused")
			d.Send([]byte("x"))
			d.expectEnd(d2m.CloseChatServerUnreachable)
			d.Send(make([]byte, 1<<20)) // is discarded, and does not wait
			d.Send([]byte("x"))
			if len(n.addresses) != 1 {
				t.Errorf("connected %d times", len(n.addresses))
			}
		})
	})
	for name, c := range map[string]struct {
		delay   time.Duration
		reached bool
	}{"in time": {9 * time.Second, true}, "too late": {11 * time.Second, false}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *network, d *testDevice) {
				n.delay = c.delay
				began := time.Now()
				d.Send([]byte("x"))
				if c.reached {
					(<-n.conns).Close()
					d.expectEnd(d2m.CloseChatServerClosed)
					return
				}
				d.expectEnd(d2m.CloseChatServerUnreachable)
				if waited := time.Since(began); waited != 10*time.Second {
					t.Errorf("gave up after %v", waited)
				}
			})
		})
	}
}

func TestB37_UnitHasToBeComplete(t *testing.T) {
	bubble(t, func(t *testing.T, n *network, d *testDevice) {
		conn := n.connect(t, d)
		time.Sleep(2 * time.Hour) // silence has no limit
		write(t, conn, serverHello())
		time.Sleep(2 * time.Hour)
		began := time.Now()
		write(t, conn, loginAck()[:1])
		time.Sleep(50 * time.Second)
		write(t, conn, loginAck()[1:31]) // another byte gives no more time
		d.expectEnd(d2m.CloseChatServerInternal)
		if waited := time.Since(began); waited != 60*time.Second {
			t.Errorf("gave up after %v", waited)
		}
		expectClosed(t, conn)
	})
}

func TestB37_EachUnitHasItsOwnTime(t *testing.T) {
	bubble(t, func(t *testing.T, n *network, d *testDevice) {
		conn := n.connect(t, d)
		write(t, conn, serverHello()[:40])
		time.Sleep(50 * time.Second)
		write(t, conn, append(serverHello()[40:], loginAck()[:10]...))
		time.Sleep(50 * time.Second)
		write(t, conn, loginAck()[10:])
		time.Sleep(time.Hour)
		conn.Close()
		d.expectEnd(d2m.CloseChatServerClosed)
		d.expectUnits(serverHello(), loginAck())
	})
}

// The time of a unit does not run while the device is what it waits for.
func TestB37_SlowDeviceIsNotTheChatServersFault(t *testing.T) {
	bubble(t, func(t *testing.T, n *network, d *testDevice) {
		conn := n.connect(t, d)
		big := frame(60_000)
		go conn.Write(bytes.Join([][]byte{serverHello(), loginAck(), big, big, big}, nil))
		for range 5 {
			time.Sleep(10 * time.Minute)
			d.take()
		}
		conn.Close()
		d.expectEnd(d2m.CloseChatServerClosed)
		d.expectUnits(serverHello(), loginAck(), big, big, big)
	})
}

func TestB37_ChatServerTakesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, n *network, d *testDevice) {
		conn := n.connect(t, d)
		began := time.Now()
		go d.Send(make([]byte, 1000))
		for range 5 { // a little now and then is enough
			time.Sleep(50 * time.Second)
			if _, err := conn.Read(make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
		}
		d.expectEnd(d2m.CloseChatServerInternal)
		if waited := time.Since(began); waited < 310*time.Second || waited > 312*time.Second {
			t.Errorf("gave up after %v", waited)
		}
	})
}

// What came before the chat server closed is delivered, however slowly the device takes it.
func TestB37_DeliveredBeforeTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T, n *network, d *testDevice) {
		conn := n.connect(t, d)
		write(t, conn, append(serverHello(), loginAck()...))
		conn.Close()
		time.Sleep(59 * time.Second)
		select {
		case <-d.overdue:
			t.Error("device is overdue after 59 s")
		default:
		}
		d.expectEnd(d2m.CloseChatServerClosed)
		d.expectUnits(serverHello(), loginAck())
		time.Sleep(time.Minute)
		select {
		case <-d.overdue:
			t.Error("device is overdue that has taken all")
		default:
		}
	})
	bubble(t, func(t *testing.T, n *network, d *testDevice) {
		conn := n.connect(t, d)
		write(t, conn, serverHello())
		began := time.Now()
		conn.Close()
		<-d.overdue
		if waited := time.Since(began); waited != 60*time.Second {
			t.Errorf("device is overdue after %v", waited)
		}
	})
}

func TestB37_DeviceLeaves(t *testing.T) {
	t.Run("what it has sent arrives", func(t *testing.T) {
		bubble(t, func(t *testing.T, n *network, d *testDevice) {
			conn := n.connect(t, d)
			go d.Send([]byte("last words"))
			synctest.Wait()
			d.Leave()
			time.Sleep(4 * time.Second)
			began := time.Now()
			got, err := io.ReadAll(conn)
			if err != nil || string(got) != "last words" {
				t.Errorf("chat server got %q, %v", got, err)
			}
			if waited := time.Since(began); waited != 0 {
				t.Errorf("chat server is told of the end %v later", waited)
			}
		})
	})
	t.Run("while connecting", func(t *testing.T) {
		bubble(t, func(t *testing.T, n *network, d *testDevice) {
			n.delay = 4 * time.Second
			d.Send([]byte("last words"))
			synctest.Wait()
			d.Leave()
			d.Send([]byte("and more"))
			got, err := io.ReadAll(<-n.conns)
			if err != nil || string(got) != "last words" {
				t.Errorf("chat server got %q, %v", got, err)
			}
		})
	})
	t.Run("the chat server takes nothing", func(t *testing.T) {
		bubble(t, func(t *testing.T, n *network, d *testDevice) {
			conn := n.connect(t, d)
			go d.Send(make([]byte, 10_000))
			synctest.Wait()
			began := time.Now()
			d.Leave()
			d.proxy.tasks.Wait()
			if waited := time.Since(began); waited != 5*time.Second {
				t.Errorf("chat server was given %v", waited)
			}
			expectClosed(t, conn)
		})
	})
	t.Run("it cannot be reached", func(t *testing.T) {
		bubble(t, func(t *testing.T, n *network, d *testDevice) {
			n.delay = time.Hour
			d.Send([]byte("x"))
			synctest.Wait()
			began := time.Now()
			d.Leave()
			d.proxy.tasks.Wait()
			if waited := time.Since(began); waited != 5*time.Second {
				t.Errorf("chat server was given %v", waited)
			}
		})
	})
	t.Run("before it has started", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := &network{conns: make(chan net.Conn, 1)}
			p := New(Config{Upstreams: parseUpstreams(t, "chat.example:5222"), Dial: n.dial})
			d := open(t, p)
			d.Send([]byte("x"))
			d.Leave()
			d.Send([]byte("y"))
			d.Start()
			p.Close()
			if len(n.addresses) != 0 {
				t.Error("connected all the same")
			}
		})
	})
	t.Run("a Send that waits ends", func(t *testing.T) {
		bubble(t, func(t *testing.T, n *network, d *testDevice) {
			n.connect(t, d)
			sent := make(chan struct{})
			go func() {
				for range 4 {
					d.Send(make([]byte, 60_000))
				}
				close(sent)
			}()
			synctest.Wait()
			d.Leave()
			<-sent
		})
	})
	t.Run("a unit that waits is dropped", func(t *testing.T) {
		bubble(t, func(t *testing.T, n *network, d *testDevice) {
			conn := n.connect(t, d)
			go func() {
				conn.Write(bytes.Join([][]byte{serverHello(), loginAck(), frame(60_000), frame(60_000), frame(60_000)}, nil))
				conn.Close()
			}()
			synctest.Wait()
			d.Leave()
			d.proxy.tasks.Wait()
		})
	})
}

// A real socket that is closed with something unread resets the connection, and eats what was sent last.
func TestB37_LeavingEndsTCPInOrder(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := New(Config{Upstreams: parseUpstreams(t, l.Addr().String())})
	defer p.Close()
	d := open(t, p)
	d.Start()
	d.Send([]byte("x"))
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	write(t, conn, append(serverHello(), frame(1000)...))
	<-d.woken
	d.Send([]byte("last words"))
	d.Leave()
	write(t, conn, frame(1000))
	got, err := io.ReadAll(conn)
	if err != nil || string(got) != "xlast words" {
		t.Errorf("chat server got %q, %v", got, err)
	}
}

func TestB38_WhatWaitsIsBounded(t *testing.T) {
	t.Run("for the device", func(t *testing.T) {
		bubble(t, func(t *testing.T, n *network, d *testDevice) {
			conn := n.connect(t, d)
			var written int
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				stream := append(serverHello(), loginAck()...)
				for range 100 {
					stream = append(stream, frame(8000)...)
				}
				for len(stream) > 0 {
					n, err := conn.Write(stream[:min(100, len(stream))])
					written += n
					if err != nil {
						return
					}
					stream = stream[n:]
				}
			}()
			synctest.Wait()
			if written > 2*maxWaiting || written < maxWaiting {
				t.Errorf("%d bytes wait for a device that takes nothing", written)
			}
			d.Take() // tells that nothing of it is with the kernel yet
			d.Release()
			synctest.Wait()
			if written > 2*maxWaiting {
				t.Errorf("%d bytes wait for a device that sends them", written)
			}
			conn.Close()
			<-ended
		})
	})
	t.Run("for the chat server", func(t *testing.T) {
		bubble(t, func(t *testing.T, n *network, d *testDevice) {
			conn := n.connect(t, d)
			var sent int
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for range 1000 {
					d.Send(make([]byte, 1000))
					sent += 1000
				}
			}()
			synctest.Wait()
			if sent > maxWaiting {
				t.Errorf("%d bytes wait for a chat server that takes nothing", sent)
			}
			if _, err := io.CopyN(io.Discard, conn, 1000*1000); err != nil {
				t.Fatal(err)
			}
			<-ended
		})
	})
	t.Run("while connecting", func(t *testing.T) {
		bubble(t, func(t *testing.T, n *network, d *testDevice) {
			n.delay = 9 * time.Second
			var sent atomic.Int64
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for range 100 {
					d.Send(make([]byte, 1000))
					sent.Add(1000)
				}
			}()
			time.Sleep(8 * time.Second)
			synctest.Wait()
			if sent := sent.Load(); sent > maxEarly+1000 {
				t.Errorf("%d bytes wait for a chat server that is not connected", sent)
			}
			if got, err := io.CopyN(io.Discard, <-n.conns, 100*1000); err != nil {
				t.Errorf("%d bytes: %v", got, err)
			}
			<-ended
		})
	})
}

// The chat server gets the bytes of the device, all of them, and none more.
func TestB39_BytesGoUnchanged(t *testing.T) {
	bubble(t, func(t *testing.T, n *network, d *testDevice) {
		var want []byte
		for size := range 400 {
			want = append(want, frame(size)...)
		}
		go func() {
			for rest := want; len(rest) > 0; {
				size := min(len(rest), 1+len(rest)%977)
				d.Send(rest[:size])
				rest = rest[size:]
			}
			d.Leave()
		}()
		got, err := io.ReadAll(<-n.conns)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("chat server got %d bytes, %v, want %d", len(got), err, len(want))
		}
	})
}

func TestCloseCutsSessionsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{conns: make(chan net.Conn, 1)}
		p := New(Config{Upstreams: parseUpstreams(t, "chat.example:5222"), Dial: n.dial})
		d := open(t, p)
		d.Start()
		conn := n.connect(t, d)
		p.Close()
		expectClosed(t, conn)
		d.read()
		p.Wait(t.Context())
	})
}
