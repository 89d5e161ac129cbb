package client_test

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"openmediator/client"
	"openmediator/d2m"
)

// serveBytes upgrades one connection by hand, sends bytes on it and closes it.
func serveBytes(t *testing.T, send []byte) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := goDo(func() error {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		defer conn.Close()
		return upgrade(conn, send)
	})
	t.Cleanup(func() {
		l.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return "ws://" + l.Addr().String()
}

// upgrade makes a connection a WebSocket by hand, and sends bytes on it.
func upgrade(conn net.Conn, send []byte) error {
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return err
	}
	sum := sha1.Sum([]byte(request.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Accept: %s\r\n\r\n%s", base64.StdEncoding.EncodeToString(sum[:]), send)
	return err
}

// A message of which only the beginning has come is none, wherever the connection has ended.
func TestCutMessageIsNone(t *testing.T) {
	const final, binaryFrame = 0x80, 0x02
	message := d2m.Reflected{ID: 1, Envelope: make([]byte, 5000)}.Append(nil)
	head := binary.BigEndian.AppendUint16([]byte{final | binaryFrame, 126}, uint16(len(message)))
	whole := append(head, message...)
	first := append([]byte{binaryFrame, 126, 1, 0}, message[:256]...)
	cuts := [][]byte{first, append(first, final)}
	for _, size := range []int{0, 1, 20, 512, 1024, 2047, 2048, 2049, 4096, len(message) - 1} {
		cuts = append(cuts, whole[:len(head)+size])
	}
	for _, cut := range cuts {
		w, err := client.Dialer{}.Dial(t.Context(), serveBytes(t, cut))
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.Receive(t.Context())
		var lost *client.LostError
		if !errors.As(err, &lost) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes of %d gave a %T and the error %v", len(cut), len(whole), got, err)
		}
		w.CloseNow()
	}
}

// deafConn is a connection whose peer takes nothing more at some time, though all that it has sent is there.
type deafConn struct {
	net.Conn
	deaf   atomic.Bool
	failed chan struct{} // closed by the first write that fails
}

func (c *deafConn) Write(p []byte) (int, error) {
	if !c.deaf.Load() {
		return c.Conn.Write(p)
	}
	select {
	case <-c.failed:
	default:
		close(c.failed)
	}
	return 0, syscall.EPIPE
}

// A Close frame that has arrived is read though nothing can be sent any more, not even an answer to the ping before it.
func TestCloseIsReadBehindAPingThatCannotBeAnswered(t *testing.T) {
	const ping, close4113 = "\x89\x00", "\x88\x02\x10\x11"
	c := &deafConn{failed: make(chan struct{})}
	dialer := client.Dialer{DialContext: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		c.Conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return c, err
	}}
	w, err := dialer.Dial(t.Context(), serveBytes(t, []byte(ping+close4113)))
	if err != nil {
		t.Fatal(err)
	}
	defer w.CloseNow()
	c.deaf.Store(true)
	if err := w.Send(t.Context(), d2m.GetDevicesInfo{}); err != nil {
		t.Fatal(err)
	}
	<-c.failed
	_, err = w.Receive(t.Context())
	var closed *client.CloseError
	if !errors.As(err, &closed) || closed.Code != d2m.CloseDropped {
		t.Errorf("got %v", err)
	}
	var lost *client.LostError
	if err := w.Send(t.Context(), d2m.GetDevicesInfo{}); !errors.As(err, &lost) {
		t.Errorf("to send then: got %v", err)
	}
}

// A server that stops within a message which is refused already does not keep the
// connection.
func TestCloseWithinMessageThatStalls(t *testing.T) {
	const text100, binary100000 = "\x81\x64", "\x82\x7f\x00\x00\x00\x00\x00\x01\x86\xa0"
	for name, begun := range map[string][]byte{
		"text":      []byte(text100 + "text"),
		"too large": append([]byte(binary100000), make([]byte, d2m.MaxMessageSize+1)...),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, _ *fakeServer) {
				near, far := net.Pipe()
				served := goDo(func() error {
					err := upgrade(far, begun)
					io.Copy(io.Discard, far)
					return err
				})
				dialer := client.Dialer{DialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil }}
				w, err := dialer.Dial(t.Context(), "ws://server")
				if err != nil {
					t.Fatal(err)
				}
				_, err = w.Receive(t.Context())
				var protocol *client.ProtocolError
				if !errors.As(err, &protocol) {
					t.Errorf("Receive: %v", err)
				}
				before := time.Now()
				w.Close(d2m.CloseProtocolError, "")
				if took := time.Since(before); took > 10*time.Second {
					t.Errorf("Close took %v", took)
				}
				if err := <-served; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
