package mediator

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
)

// pieces is a connection on which bytes arrive in pieces of random size.
type pieces struct {
	net.Conn
	rest   []byte
	random *rand.Rand
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest[:min(len(p.rest), 1+p.random.IntN(2000))])
	p.rest = p.rest[n:]
	return n, nil
}

// clientFrame is a frame as a client sends it: masked.
func clientFrame(first byte, payload []byte) []byte {
	b := appendFrameHeader(nil, len(payload))
	b[0], b[1] = first, b[1]|maskBit
	key := []byte{1, 2, 3, 4}
	b = append(b, key...)
	return appendUnmasked(b, payload, key)
}

// Messages come out whole and in order, whoever takes them, and the library never gets anything of the next frame.
func TestArrivals(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 12 {
		var stream []byte
		var frames, payloads [][]byte
		for range 1 + random.IntN(60) {
			payload := make([]byte, []int{0, 1, 12, 125, 126, 312, 4000, 65535, 65536, 70000}[random.IntN(10)])
			for i := range payload {
				payload[i] = byte(random.Uint32())
			}
			first := []byte{binaryFrame, binaryFrame, binaryFrame, 0x02, 0x80, 0x89, 0x81}[random.IntN(7)]
			payloads, frames = append(payloads, payload), append(frames, clientFrame(first, payload))
			stream = append(stream, frames[len(frames)-1]...)
		}
		o := newOutbox(&pieces{rest: stream, random: random}, func() {})
		for i, frame := range frames {
			m := o.nextMessage(65536)
			if m == nil {
				if got := readFrame(t, o, len(frame), random); !bytes.Equal(got, frame) {
					t.Fatalf("frame %d of %d bytes: the library got %d others", i, len(frame), len(got))
				}
				continue
			}
			if !bytes.Equal(m.data, payloads[i]) || frame[0] != binaryFrame || len(m.data) > 65536 {
				t.Fatalf("frame %d begins with %#x and has %d bytes: got a message of %d", i, frame[0], len(frame), len(m.data))
			}
			putMessage(m)
		}
		for range 2 {
			if m := o.nextMessage(65536); m != nil {
				t.Fatalf("got a message of %d bytes behind the last one", len(m.data))
			}
			if _, err := o.Read(make([]byte, 16)); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("the end was told as %v", err)
			}
		}
	}
}

// readFrame reads as the library does: with a buffer of 16 bytes, or directly to the payload.
func readFrame(t *testing.T, o *outbox, size int, random *rand.Rand) []byte {
	var got []byte
	buffer := make([]byte, 80_000)
	for len(got) < size {
		if len(got) > 0 && o.nextMessage(65536) != nil {
			t.Fatal("got a message out of the middle of a frame")
		}
		p := buffer[:[]int{16, len(buffer)}[random.IntN(2)]]
		n, err := o.Read(p)
		if err != nil || n == 0 {
			t.Fatalf("read %d bytes, %v", n, err)
		}
		got = append(got, p[:n]...)
	}
	return got
}

// A pong is told, and the message behind it is the next one, however they arrive.
func TestArrivalsPassOverPongs(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pong, message := clientFrame(pongFrame, nil), clientFrame(binaryFrame, []byte("message"))
	for pongs := range 300 {
		told := 0
		o := newOutbox(&pieces{rest: append(bytes.Repeat(pong, pongs), message...), random: random}, func() {})
		o.pong = func() { told++ }
		m := o.nextMessage(100)
		for m == nil && told < pongs { // one that arrives in two pieces is the library's
			if got := readFrame(t, o, len(pong), random); !bytes.Equal(got, pong) {
				t.Fatalf("%d pongs: the library got %x after %d", pongs, got, told)
			}
			told++
			m = o.nextMessage(100)
		}
		if told != pongs || m == nil && !bytes.Equal(readFrame(t, o, len(message), random), message) {
			t.Errorf("%d pongs: %d were told", pongs, told)
		}
		if m != nil && string(m.data) != "message" {
			t.Errorf("%d pongs: got the message %q", pongs, m.data)
		}
	}
}

// What is no plain message is the library's to judge.
func TestArrivalsLeaveTheRestToTheLibrary(t *testing.T) {
	plain := clientFrame(binaryFrame, []byte("frame"))
	unmasked := append(appendFrameHeader(nil, 9), "123456789"...)
	for name, b := range map[string][]byte{
		"text":                          clientFrame(0x81, []byte("text")),
		"ping":                          clientFrame(0x89, nil),
		"close":                         clientFrame(closeFrame, nil),
		"pong with a payload":           clientFrame(pongFrame, []byte{0}),
		"all of a pong but one byte":    clientFrame(pongFrame, nil)[:emptyPongSize-1],
		"unmasked pong":                 {pongFrame, 0, 0, 0, 0, 0},
		"fragment of a pong":            clientFrame(pongFrame&^0x80, nil),
		"first of fragments":            clientFrame(0x02, []byte("first")),
		"reserved bit":                  clientFrame(0x40|binaryFrame, []byte("frame")),
		"unmasked":                      unmasked,
		"too long":                      clientFrame(binaryFrame, make([]byte, 101)),
		"first byte of a header":        plain[:1],
		"all of a header but one byte":  plain[:5],
		"header alone":                  plain[:6],
		"all but one byte":              plain[:len(plain)-1],
		"length with the highest bit":   {binaryFrame, maskBit | 127, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0},
		"length with all bits":          {binaryFrame, maskBit | 127, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 1, 1},
		"long length, cut":              {binaryFrame, maskBit | 127, 0, 0, 0},
		"nothing but the end of stream": nil,
	} {
		o := newOutbox(new(recorder), func() {})
		o.pong = func() { t.Errorf("%s: taken as a pong", name) }
		o.Conn.(*recorder).Buffer.Write(b)
		if m := o.nextMessage(100); m != nil {
			t.Errorf("%s: taken as the message %q", name, m.data)
		}
		if b == nil {
			continue
		}
		if n, err := o.Read(make([]byte, 16)); n == 0 || err != nil {
			t.Errorf("%s: the library got %d bytes, %v", name, n, err)
		}
	}
}
