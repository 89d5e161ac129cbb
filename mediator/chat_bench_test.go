package mediator_test

import (
	"bufio"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"openmediator/chatproxy"
	"openmediator/d2m"
	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/reflect/memstore"
)

// route is a way to a chat server.
type route struct {
	name    string
	send    func(unit []byte) error
	receive func(size int) error // a unit of this size
	close   func()
}

// BenchmarkProxyRoundTrip measures 200 bytes to the chat server and back: straight, through a proxy that is two io.Copy, and
// through the mediator, in turn within one run.
func BenchmarkProxyRoundTrip(b *testing.B) {
	routes := routesTo(b, func(c net.Conn) { io.Copy(c, c) })
	unit := chatFrame(198)
	spent := make([]time.Duration, len(routes))
	for b.Loop() {
		for i, r := range routes {
			began := time.Now()
			if err := r.send(unit); err != nil {
				b.Fatal(err)
			}
			if err := r.receive(len(unit)); err != nil {
				b.Fatal(err)
			}
			spent[i] += time.Since(began)
		}
	}
	for i, r := range routes {
		b.ReportMetric(float64(spent[i].Microseconds())/float64(b.N), "µs/"+r.name)
	}
	b.ReportMetric(float64(spent[2])/float64(spent[0]), "mediator/direct")
	b.ReportMetric(float64(spent[2])/float64(spent[1]), "mediator/copy")
}

// BenchmarkProxyThroughput measures frames of 8 KiB in one direction, in the same way.
func BenchmarkProxyThroughput(b *testing.B) {
	const frames = 2000 // per round and route
	unit := chatFrame(8190)
	round := func(r route, down bool) {
		if down {
			if err := r.send([]byte{1}); err != nil { // asks for them
				b.Fatal(err)
			}
			for range frames {
				if err := r.receive(len(unit)); err != nil {
					b.Fatal(err)
				}
			}
			return
		}
		for range frames {
			if err := r.send(unit); err != nil {
				b.Fatal(err)
			}
		}
		if err := r.receive(2); err != nil { // tells that all has arrived
			b.Fatal(err)
		}
	}
	for _, down := range []bool{true, false} {
		name, serve := "up", func(c net.Conn) { takeBytes(c, frames*len(unit)) }
		if down {
			name, serve = "down", func(c net.Conn) { sendFrames(c, unit, frames) }
		}
		b.Run(name, func(b *testing.B) {
			routes := routesTo(b, serve)
			spent := make([]time.Duration, len(routes))
			for b.Loop() {
				for i, r := range routes {
					began := time.Now()
					round(r, down)
					spent[i] += time.Since(began)
				}
			}
			for i, r := range routes {
				bytes := float64(b.N * frames * len(unit))
				b.ReportMetric(bytes/spent[i].Seconds()/(1<<20), "MiB/s/"+r.name)
			}
			b.ReportMetric(float64(spent[0])/float64(spent[2]), "mediator/direct")
			b.ReportMetric(float64(spent[1])/float64(spent[2]), "mediator/copy")
		})
	}
}

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
	for {
		if _, err := io.CopyN(io.Discard, c, int64(bytes)); err != nil {
			return
		}
		if _, err := c.Write(chatFrame(0)); err != nil {
			return
		}
	}
}

// routesTo returns the ways to a chat server that does something after the handshake.
func routesTo(b *testing.B, serve func(net.Conn)) []route {
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
	copying := serveTCP(b, func(c net.Conn) {
		to, err := net.Dial("tcp", chat)
		if err != nil {
			b.Error(err)
			return
		}
		var back sync.WaitGroup
		back.Go(func() {
			io.Copy(c, to)
			c.Close()
		})
		io.Copy(to, c)
		to.Close()
		back.Wait()
	})
	routes := []route{straight(b, "direct", chat), straight(b, "copy", copying), mediated(b, chat)}
	for _, r := range routes {
		if err := r.send(make([]byte, 48)); err != nil {
			b.Fatal(err)
		}
		for _, size := range []int{80, 32} {
			if err := r.receive(size); err != nil {
				b.Fatal(err)
			}
		}
		b.Cleanup(r.close)
	}
	return routes
}

// serveTCP runs a TCP server until the end of the benchmark.
func serveTCP(b *testing.B, serve func(net.Conn)) (address string) {
	b.Helper()
	l := listen.TCP(b)
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	b.Cleanup(func() {
		l.Close()
		conns.Wait()
	})
	return l.Addr().String()
}

func straight(b *testing.B, name, address string) route {
	b.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	r, buffer := bufio.NewReaderSize(c, 16<<10), make([]byte, 1<<16)
	return route{name,
		func(unit []byte) error { _, err := c.Write(unit); return err },
		func(size int) error { _, err := io.ReadFull(r, buffer[:size]); return err },
		func() { c.Close() }}
}

func mediated(b *testing.B, chat string) route {
	b.Helper()
	config := mediator.DefaultConfig()
	config.Chat = chatproxy.Config{Upstreams: parseUpstreams(b, chat)} // without a limit
	s := startServer(b, listen.TCP(b), memstore.New(), config)
	w := s.loginWire(newIdentity(b), 1, d2m.SlotNew)
	w.r = bufio.NewReaderSize(w.Conn, 16<<10)
	var frame []byte
	return route{"mediator",
		func(unit []byte) error {
			frame = appendMessages(frame[:0], d2m.Proxy{Data: unit})
			_, err := w.Write(frame)
			return err
		},
		func(size int) error {
			for {
				first, payload, err := w.read()
				if err != nil || first == fin|opBinary && d2m.Type(payload[0]) == d2m.TypeProxy {
					if err == nil && len(payload) != d2m.HeaderSize+size {
						b.Errorf("unit has %d bytes, want %d", len(payload)-d2m.HeaderSize, size)
					}
					return err
				}
			}
		},
		func() { w.Close() }}
}
