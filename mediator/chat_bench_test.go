package mediator_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"openmediator/d2m"
)

// route is a way to a chat server, as a device sees it.
type route struct {
	name    string
	conn    net.Conn
	r       *bufio.Reader
	pack    func(unit []byte) []byte // as it is sent
	receive func(r *bufio.Reader, buffer []byte) (size int, err error)
	buffer  []byte
}

// expect receives a unit of a size.
func (r *route) expect(b *testing.B, size int) {
	b.Helper()
	if got, err := r.receive(r.r, r.buffer[:size]); err != nil || got != size {
		b.Fatalf("%s: unit of %d bytes, want %d (%v)", r.name, got, size, err)
	}
}

func (r *route) send(b *testing.B, packed []byte) {
	b.Helper()
	if _, err := r.conn.Write(packed); err != nil {
		b.Fatalf("%s: %v", r.name, err)
	}
}

// BenchmarkProxyRoundTrip measures 200 bytes to the chat server and back, in turn on each route (routesTo).
func BenchmarkProxyRoundTrip(b *testing.B) {
	const inRow = 50
	unit := chatFrame(198)
	compare(b, echo, inRow, "µs", func(r *route) {
		packed := r.pack(unit)
		for range inRow {
			r.send(b, packed)
			r.expect(b, len(unit))
		}
	})
}

// BenchmarkProxyDown measures frames of 8 KiB from the chat server, in the same way, BenchmarkProxyUp towards it.
func BenchmarkProxyDown(b *testing.B) {
	unit := chatFrame(8190)
	compare(b, func(c net.Conn) { sendFrames(c, unit, inRound) }, inRound, "MiB/s", func(r *route) {
		r.send(b, r.pack([]byte{1})) // asks for them
		for range inRound {
			r.expect(b, len(unit))
		}
	})
}

func BenchmarkProxyUp(b *testing.B) {
	unit := chatFrame(8190)
	compare(b, func(c net.Conn) { takeBytes(c, inRound*len(unit)) }, inRound, "MiB/s", func(r *route) {
		packed := r.pack(unit)
		for range inRound {
			r.send(b, packed)
		}
		r.expect(b, 2) // tells that all has arrived
	})
}

// inRound is how many frames of 8 KiB go in one round of a route.
const inRound = 2000

// compare lets the routes to a chat server, which does something after the handshake, have rounds of so many operations in
// turn, and reports the median of each route's rounds and, with processes of their own, each one's processor time.
func compare(b *testing.B, chat func(net.Conn), operations int, unit string, round func(*route)) {
	for _, own := range []bool{false, true} {
		name := "one-process"
		if own {
			name = "own-processes"
		}
		b.Run(name, func(b *testing.B) {
			routes, proxies := routesTo(b, chat, own)
			rounds := make([][]time.Duration, len(routes))
			for b.Loop() {
				for i, r := range routes {
					began := time.Now()
					round(r)
					rounds[i] = append(rounds[i], time.Since(began))
				}
			}
			spent := make(map[string]float64) // µs per operation
			for i, r := range routes {
				slices.Sort(rounds[i])
				median := rounds[i][len(rounds[i])/2]
				spent[r.name] = float64(median.Nanoseconds()) / 1e3 / float64(operations)
				figure := spent[r.name]
				if unit == "MiB/s" {
					figure = 8192 / 1.048576 / spent[r.name]
				}
				b.ReportMetric(figure, unit+"/"+r.name)
			}
			for _, other := range []string{"direct", "splice", "copy"} {
				ratio := spent["mediator"] / spent[other]
				if unit == "MiB/s" {
					ratio = 1 / ratio
				}
				b.ReportMetric(ratio, "mediator/"+other)
			}
			for name, p := range proxies {
				b.ReportMetric(p.stop(b)/float64(b.N*operations), "cpu-µs/"+name)
			}
			b.ReportMetric(0, "ns/op") // of all together: says nothing
		})
	}
}

// echo sends back what it gets.
func echo(c net.Conn) { copyFrom(c, c, false) }

// sendFrames sends frames whenever it is asked to.
func sendFrames(c net.Conn, unit []byte, frames int) {
	for asked := make([]byte, 1); ; {
		if _, err := io.ReadFull(c, asked); err != nil {
			return
		}
		for range frames {
			if _, err := c.Write(unit); err != nil {
				return
			}
		}
	}
}

// takeBytes answers with an empty frame when so many bytes have arrived, again and again.
func takeBytes(c net.Conn, bytes int) {
	for buffer := make([]byte, 64<<10); ; {
		for left := bytes; left > 0; {
			n, err := c.Read(buffer[:min(left, len(buffer))])
			if err != nil {
				return
			}
			left -= n
		}
		if _, err := c.Write(chatFrame(0)); err != nil {
			return
		}
	}
}

// routesTo returns the routes to a chat server that does something after the handshake: straight, through each of the
// proxies, and through the mediator. The proxies run in this process or in processes of their own.
func routesTo(b *testing.B, serve func(net.Conn), own bool) ([]*route, map[string]*proxyProcess) {
	b.Helper()
	chat := serveTCP(b, func(c net.Conn) {
		if _, err := io.CopyN(io.Discard, c, 48); err != nil {
			return
		}
		if _, err := c.Write(append(serverHello(), loginAck()...)); err != nil {
			return
		}
		serve(c)
	})
	routes := []*route{straight(b, "direct", chat)}
	processes := make(map[string]*proxyProcess)
	for _, name := range []string{"splice", "copy", "mediator"} {
		var address string
		if own {
			processes[name] = startProxy(b, name, chat)
			address = processes[name].address
		} else {
			address = serveProxy(b, name, chat)
		}
		if name == "mediator" {
			routes = append(routes, mediated(b, address))
		} else {
			routes = append(routes, straight(b, name, address))
		}
	}
	for _, r := range routes {
		r.send(b, r.pack(make([]byte, 48)))
		r.expect(b, len(serverHello()))
		r.expect(b, len(loginAck()))
	}
	return routes, processes
}

func newRoute(b *testing.B, name string, c net.Conn) *route {
	b.Helper()
	b.Cleanup(func() { c.Close() })
	return &route{name: name, conn: c, r: bufio.NewReaderSize(c, 16<<10), buffer: make([]byte, 1<<16)}
}

// straight is a route on which bytes go as they are.
func straight(b *testing.B, name, address string) *route {
	b.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	r := newRoute(b, name, c)
	r.pack = func(unit []byte) []byte { return unit }
	r.receive = func(r *bufio.Reader, buffer []byte) (int, error) { return io.ReadFull(r, buffer) }
	return r
}

// mediated is the route of a device that has registered with the mediator at an address.
func mediated(b *testing.B, address string) *route {
	b.Helper()
	s := &testServer{t: b, listener: remote{address}}
	r := newRoute(b, "mediator", s.loginWire(newIdentity(b), 1, d2m.SlotNew).Conn)
	r.pack = func(unit []byte) []byte { return appendMessages(nil, d2m.Proxy{Data: unit}) }
	r.receive = receiveProxy
	return r
}

// remote is a listener somewhere else.
type remote struct{ address string }

func (r remote) Dial() (net.Conn, error)   { return net.Dial("tcp", r.address) }
func (r remote) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (r remote) Close() error              { return nil }
func (r remote) Addr() net.Addr            { return nil }

// receiveProxy reads frames up to one with a Proxy of at most the buffer's size, allocating nothing.
func receiveProxy(r *bufio.Reader, buffer []byte) (size int, err error) {
	for {
		head, err := r.Peek(2)
		if err != nil {
			return 0, err
		}
		first, size := head[0], int(head[1])
		r.Discard(2)
		if size == 126 {
			if head, err = r.Peek(2); err != nil {
				return 0, err
			}
			size = int(binary.BigEndian.Uint16(head))
			r.Discard(2)
		}
		if first != fin|opBinary || size < d2m.HeaderSize {
			r.Discard(size)
			continue
		}
		if head, err = r.Peek(d2m.HeaderSize); err != nil {
			return 0, err
		}
		kind := d2m.Type(head[0])
		r.Discard(d2m.HeaderSize)
		if size -= d2m.HeaderSize; kind != d2m.TypeProxy || size > len(buffer) {
			r.Discard(size)
			continue
		}
		return io.ReadFull(r, buffer[:size])
	}
}
