package proxy

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
)

// DialWebSocket connects to a proxy that speaks WebSocket. Each Write is one frame.
func DialWebSocket(address string) (net.Conn, error) {
	raw, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(raw, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: binary\r\n\r\n", address)
	if err != nil {
		return nil, err
	}
	w := &webSocket{Conn: raw, r: bufio.NewReaderSize(raw, 32<<10)}
	response, err := http.ReadResponse(w.r, nil)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("proxy: answers the upgrade with %s", response.Status)
	}
	return w, nil
}

// webSocket is the client of a WebSocket, with a masking key of zero.
type webSocket struct {
	net.Conn
	r    *bufio.Reader
	left int // bytes of the current frame that were not read
	out  []byte
}

func (w *webSocket) Write(p []byte) (int, error) {
	const final, binaryFrame, masked = 0x80, 0x02, 0x80
	w.out = append(w.out[:0], final|binaryFrame)
	switch n := len(p); {
	case n < 126:
		w.out = append(w.out, masked|byte(n))
	case n < 1<<16:
		w.out = binary.BigEndian.AppendUint16(append(w.out, masked|126), uint16(n))
	default:
		w.out = binary.BigEndian.AppendUint64(append(w.out, masked|127), uint64(n))
	}
	w.out = append(w.out, 0, 0, 0, 0)
	w.out = append(w.out, p...)
	if _, err := w.Conn.Write(w.out); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (w *webSocket) Read(p []byte) (int, error) {
	for w.left == 0 {
		if err := w.head(); err != nil {
			return 0, err
		}
	}
	n, err := w.r.Read(p[:min(len(p), w.left)])
	w.left -= n
	return n, err
}

// head reads the head of a frame of the server.
func (w *webSocket) head() error {
	var b [8]byte
	if _, err := io.ReadFull(w.r, b[:2]); err != nil {
		return err
	}
	if opcode := b[0] & 0x0f; opcode > 2 {
		return fmt.Errorf("proxy: sends a frame with opcode %d, want data", opcode)
	}
	size := uint64(b[1])
	switch size {
	case 126:
		if _, err := io.ReadFull(w.r, b[:2]); err != nil {
			return err
		}
		size = uint64(binary.BigEndian.Uint16(b[:2]))
	case 127:
		if _, err := io.ReadFull(w.r, b[:8]); err != nil {
			return err
		}
		size = binary.BigEndian.Uint64(b[:8])
	}
	w.left = int(size)
	return nil
}
