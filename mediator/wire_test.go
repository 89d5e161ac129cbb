package mediator_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"openmediator/d2m"
)

// Opcodes of RFC 6455.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa

	fin = 0x80 // in the first byte of a frame
)

// wire is a WebSocket connection spoken byte by byte: it answers nothing by itself and may break every rule.
type wire struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

// dialWire connects and upgrades by hand.
func (s *testServer) dialWire(id identity) *wire {
	s.t.Helper()
	w := s.dialTCP()
	w.writeString(upgradeRequest("GET", id.path()))
	response, err := http.ReadResponse(w.r, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		s.t.Fatalf("upgrade was answered with %s", response.Status)
	}
	return w
}

// dialTCP connects and says nothing.
func (s *testServer) dialTCP() *wire {
	s.t.Helper()
	c, err := s.listener.Dial()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return &wire{t: s.t, Conn: c, r: bufio.NewReaderSize(c, 4096)}
}

// upgradeRequest is a WebSocket upgrade with additional header lines.
func upgradeRequest(method, target string, lines ...string) string {
	request := method + " " + target + " HTTP/1.1\r\nHost: server\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	for _, line := range lines {
		request += line + "\r\n"
	}
	return request + "\r\n"
}

func (w *wire) writeString(s string) { w.write([]byte(s)) }

func (w *wire) write(b []byte) {
	w.t.Helper()
	if _, err := w.Write(b); err != nil {
		w.t.Fatal(err)
	}
}

// frame sends one masked frame; first is its first byte. The key is zero, so the payload goes as it is.
func (w *wire) frame(first byte, payload []byte) {
	w.t.Helper()
	w.write(appendFrame(nil, first, payload))
}

// message sends a D2M message.
func (w *wire) message(m d2m.Message) {
	w.t.Helper()
	w.frame(fin|opBinary, m.Append(nil))
}

// appendMessages appends D2M messages as frames.
func appendMessages(b []byte, messages ...d2m.Message) []byte {
	for _, m := range messages {
		b = appendFrame(b, fin|opBinary, m.Append(nil))
	}
	return b
}

// appendFrame appends a masked frame with a zero key.
func appendFrame(b []byte, first byte, payload []byte) []byte {
	const masked = 0x80
	b = append(b, first)
	switch n := len(payload); {
	case n < 126:
		b = append(b, masked|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, masked|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, masked|127), uint64(n))
	}
	b = append(b, 0, 0, 0, 0)
	return append(b, payload...)
}

// read returns the next frame of the server: its first byte and its payload.
func (w *wire) read() (first byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(w.r, head[:]); err != nil {
		return 0, nil, err
	}
	size := int(head[1])
	switch {
	case size > 127:
		return 0, nil, fmt.Errorf("frame of the server is masked")
	case size == 126:
		var long [2]byte
		if _, err := io.ReadFull(w.r, long[:]); err != nil {
			return 0, nil, err
		}
		size = int(binary.BigEndian.Uint16(long[:]))
	case size == 127:
		var long [8]byte
		if _, err := io.ReadFull(w.r, long[:]); err != nil {
			return 0, nil, err
		}
		size = int(binary.BigEndian.Uint64(long[:]))
	}
	payload = make([]byte, size)
	_, err = io.ReadFull(w.r, payload)
	return head[0], payload, err
}

// next returns the next D2M message or close code. Pings and pongs of the server are passed over.
func (w *wire) next() (d2m.Message, d2m.CloseCode) {
	w.t.Helper()
	for {
		first, payload, err := w.read()
		if err != nil {
			w.t.Fatalf("connection ended without a close code: %v", err)
		}
		switch first {
		case fin | opBinary:
			m, err := d2m.Parse(payload)
			if err != nil {
				w.t.Fatal(err)
			}
			return m, 0
		case fin | opClose:
			if len(payload) < 2 {
				return nil, 1005
			}
			return nil, d2m.CloseCode(binary.BigEndian.Uint16(payload))
		case fin | opPing, fin | opPong:
		default:
			w.t.Fatalf("frame of the server begins with %#x", first)
		}
	}
}

// expectOn reads the next message and fails if it is of another type.
func expectOn[M d2m.Message](w *wire) M {
	w.t.Helper()
	m, code := w.next()
	got, ok := m.(M)
	if !ok {
		var want M
		w.t.Fatalf("got %T (close code %d), want %T", m, code, want)
	}
	return got
}

// expectClose reads up to the server's Close frame, answers it, and fails unless TCP then ends without a reset (B45).
func (w *wire) expectClose(want d2m.CloseCode) {
	w.t.Helper()
	w.expectCloseFrame(want)
	w.frame(fin|opClose, binary.BigEndian.AppendUint16(nil, uint16(want)))
	w.expectEnd()
}

func (w *wire) expectCloseFrame(want d2m.CloseCode) {
	w.t.Helper()
	for {
		if m, code := w.next(); m == nil {
			if code != want {
				w.t.Fatalf("closed with %d, want %d", code, want)
			}
			return
		}
	}
}

// expectEnd fails unless the stream ends here, in order.
func (w *wire) expectEnd() {
	w.t.Helper()
	if b, err := w.r.ReadByte(); err != io.EOF {
		w.t.Fatalf("got byte %#x and error %v, want the end of the stream", b, err)
	}
}

// listen reads in the background until the connection ends. A Close frame is answered.
func (w *wire) listen() *inbox {
	in := newInbox()
	go func() {
		defer w.Close()
		code := d2m.CloseCode(0)
		for {
			first, payload, err := w.read()
			if err != nil {
				in.end(code)
				return
			}
			switch first {
			case fin | opClose:
				if len(payload) >= 2 {
					code = d2m.CloseCode(binary.BigEndian.Uint16(payload))
				}
				w.Write(appendFrame(nil, first, payload))
			case fin | opBinary:
				if m, err := d2m.Parse(payload); err == nil {
					in.add(m)
				}
			}
		}
	}()
	return in
}

// loginWire registers a device by hand and reads up to ReflectionQueueDry.
func (s *testServer) loginWire(id identity, device d2m.DeviceID, expected d2m.SlotState) *wire {
	s.t.Helper()
	w := s.dialWire(id)
	w.message(id.hello(s.t, expectOn[d2m.ServerHello](w), device, expected))
	expectOn[d2m.ServerInfo](w)
	for {
		switch m, code := w.next(); m.(type) {
		case d2m.Reflected:
		case d2m.ReflectionQueueDry:
			return w
		default:
			s.t.Fatalf("got %T (close code %d) before the queue was dry", m, code)
		}
	}
}
