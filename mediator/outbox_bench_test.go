package mediator

import (
	"net"
	"testing"
)

// drain is a connection that takes everything and gives the same again and again.
type drain struct {
	net.Conn
	stream []byte
	at     int
}

func (d *drain) Write(p []byte) (int, error) { return len(p), nil }

func (d *drain) Read(p []byte) (int, error) {
	if d.at == len(d.stream) {
		d.at = 0
	}
	n := copy(p, d.stream[d.at:])
	d.at += n
	return n, nil
}

// BenchmarkOutbox measures what a message costs between the core and the socket, in bursts of 32.
func BenchmarkOutbox(b *testing.B) {
	const window, size = 32, 320
	b.Run("write", func(b *testing.B) {
		o := newOutbox(new(drain), func() {})
		data := make([]byte, window*size)
		var ends []int
		for i := range window {
			ends = append(ends, (i+1)*size)
		}
		b.ReportAllocs()
		for left := b.N; left > 0; left -= window {
			o.collect()
			if !o.sendFrames(data, ends) {
				b.Fatal("refused")
			}
			if err := o.flush(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		socket := new(drain)
		for range window {
			socket.stream = append(socket.stream, clientFrame(binaryFrame, make([]byte, size))...)
		}
		o := newOutbox(socket, func() {})
		c := &conn{out: o}
		plain := 0
		b.ReportAllocs()
		for range b.N {
			if m := o.nextMessage(1 << 16); m != nil {
				plain++
				putMessage(m)
				continue
			}
			var frame [6 + 4 + size]byte
			for got := 0; got < 8+size; { // the library's part: what stands across two pieces
				n, err := c.out.Read(frame[got:])
				if err != nil {
					b.Fatal(err)
				}
				got += n
			}
		}
		b.ReportMetric(float64(plain)/float64(b.N), "whole/op")
	})
}
