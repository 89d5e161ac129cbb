package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"openmediator/d2m"
)

// closeTimeout is how long a server that does not read or answer keeps a Close waiting.
const closeTimeout = 10 * time.Second

// Dialer makes connections. The zero value is ready for use.
type Dialer struct {
	// DialContext makes the network connection. If nil, that is done by a
	// [net.Dialer], and by the proxy that the environment names for an https URL.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is for wss URLs. If nil, the defaults of [crypto/tls] hold.
	TLS *tls.Config
}

// Wire is a WebSocket connection that speaks frames and nothing else: no login, no
// acknowledgements, no reconnecting. [Device] stands on it; tests use it to send
// what no Device would.
//
// Pings are answered while Receive runs. Send and SendFrame may be called by
// several goroutines; Receive by one at a time. Whoever has dialled a Wire ends it
// by Close or CloseNow.
type Wire struct {
	// fixed
	socket  *websocket.Conn
	buffer  *sendBuffer
	sending chan struct{} // holds one element while somebody sends: a lock to wait for with a context

	received []byte // the receiver's
	encoded  []byte // of whoever sends
}

// Dial connects to a URL as [URL] makes it. The context ends the attempt, not the
// connection. Every error is an [UnreachableError].
func (d Dialer) Dial(ctx context.Context, address string) (*Wire, error) {
	return d.dial(ctx, address, nil)
}

// dial calls heard, if it is not nil, for each ping and pong.
func (d Dialer) dial(ctx context.Context, address string, heard func()) (*Wire, error) {
	var made buffers
	transport := d.transport(&made)
	options := &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport, CheckRedirect: refuseRedirect},
		OnPingReceived: func(context.Context, []byte) bool {
			if heard != nil {
				heard()
			}
			return true
		},
		OnPongReceived: func(context.Context, []byte) {
			if heard != nil {
				heard()
			}
		},
	}
	socket, response, err := websocket.Dial(ctx, address, options)
	if err != nil {
		made.abandon()
		transport.CloseIdleConnections()
		return nil, dialError(response, err)
	}
	// One more than a message may have, so that a larger one is answered with 4010
	// and not with the library's 1009.
	socket.SetReadLimit(d2m.MaxMessageSize + 1)
	return &Wire{socket: socket, buffer: made.last, sending: make(chan struct{}, 1)}, nil
}

// transport serves one connection, whose sendBuffer it puts into made.
func (d Dialer) transport(made *buffers) *http.Transport {
	transport := &http.Transport{TLSClientConfig: d.TLS}
	dial := d.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
		transport.Proxy = proxyForTLS
	}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return made.add(conn)
	}
	return transport
}

// buffers is what the HTTP transport has dialled; it does so in a goroutine of its
// own, which may come too late.
type buffers struct {
	mu        sync.Mutex
	last      *sendBuffer
	abandoned bool
}

func (b *buffers) add(conn net.Conn) (net.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.abandoned {
		conn.Close()
		return nil, net.ErrClosed
	}
	b.last = newSendBuffer(conn)
	return b.last, nil
}

func (b *buffers) abandon() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.abandoned = true
	if b.last != nil {
		b.last.abort()
		<-b.last.done
	}
}

// proxyForTLS leaves ws URLs alone: an HTTP proxy does not let an upgrade through.
func proxyForTLS(request *http.Request) (*url.URL, error) {
	if request.URL.Scheme != "https" {
		return nil, nil
	}
	return http.ProxyFromEnvironment(request)
}

// refuseRedirect keeps the group id with the server it was meant for.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func dialError(response *http.Response, err error) error {
	if response == nil || response.StatusCode == http.StatusSwitchingProtocols {
		return &UnreachableError{Err: cause(err)}
	}
	text, _ := io.ReadAll(response.Body)
	return &UnreachableError{Status: response.StatusCode, Text: strings.TrimSpace(string(text))}
}

// Send sends one message. If 64 KiB wait for the kernel already it waits until
// there is room again. A nil error means that the message is on its way, no more;
// after any other nothing of it is sent.
func (w *Wire) Send(ctx context.Context, message d2m.Message) error {
	if err := w.lockSending(ctx); err != nil {
		return err
	}
	defer w.unlockSending()
	w.encoded = message.Append(w.encoded[:0])
	return w.write(w.encoded)
}

// SendFrame sends any bytes as one binary message, like Send.
func (w *Wire) SendFrame(ctx context.Context, frame []byte) error {
	if err := w.lockSending(ctx); err != nil {
		return err
	}
	defer w.unlockSending()
	return w.write(frame)
}

// lockSending waits for others who send, and for room.
func (w *Wire) lockSending(ctx context.Context) error {
	select {
	case w.sending <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("message: was not sent: %w", ctx.Err())
	}
	err := w.buffer.waitRoom(ctx)
	if err == nil {
		return nil
	}
	w.unlockSending()
	if ctx.Err() != nil {
		return fmt.Errorf("message: was not sent: %w", ctx.Err())
	}
	return &LostError{Err: cause(err)}
}

func (w *Wire) unlockSending() { <-w.sending }

// write needs no deadline, for the buffer takes it at once.
func (w *Wire) write(frame []byte) error {
	if err := w.socket.Write(context.Background(), websocket.MessageBinary, frame); err != nil {
		return &LostError{Err: cause(err)}
	}
	return nil
}

// Receive waits for the next message, which owns its bytes. A context that ends
// meanwhile ends the connection.
//
// Errors: [CloseError] when the server closed the connection (its Close has been
// answered then), [ProtocolError] for what is no D2M message of a server,
// [LostError] for any other end. After a ProtocolError the connection is still
// there; close it with [d2m.CloseProtocolError].
func (w *Wire) Receive(ctx context.Context) (d2m.Message, error) {
	frame, err := w.read(ctx)
	if err != nil {
		return nil, err
	}
	return parse(bytes.Clone(frame))
}

// receive is Receive, but the bytes of a Reflected are valid until the next call.
func (w *Wire) receive(ctx context.Context) (d2m.Message, error) {
	frame, err := w.read(ctx)
	if err != nil {
		return nil, err
	}
	return parse(frame)
}

func parse(frame []byte) (d2m.Message, error) {
	message, err := d2m.Parse(frame)
	if err != nil {
		return nil, &ProtocolError{Err: err}
	}
	if !message.Type().FromServer() {
		return nil, violation("%v: is a message of devices", message.Type())
	}
	return message, nil
}

// read returns the next frame, valid until the next call.
func (w *Wire) read(ctx context.Context) ([]byte, error) {
	kind, reader, err := w.socket.Reader(ctx)
	if err != nil {
		return nil, readError(err)
	}
	if kind != websocket.MessageBinary {
		return nil, violation("message: is text")
	}
	w.received = w.received[:0]
	for {
		if len(w.received) > d2m.MaxMessageSize {
			return nil, violation("message: has more than %d bytes", d2m.MaxMessageSize)
		}
		if len(w.received) == cap(w.received) {
			w.received = grow(w.received)
		}
		n, err := reader.Read(w.received[len(w.received):cap(w.received)])
		w.received = w.received[:len(w.received)+n]
		if err == io.EOF {
			return w.received, nil
		}
		if err != nil {
			return nil, readError(err)
		}
	}
}

// grow doubles the capacity, up to one byte more than a message may have.
func grow(buffer []byte) []byte {
	size := min(max(2*cap(buffer), 2048), d2m.MaxMessageSize+1)
	return append(make([]byte, 0, size), buffer...)
}

func readError(err error) error {
	var closed websocket.CloseError
	if errors.As(err, &closed) {
		return &CloseError{Code: d2m.CloseCode(closed.Code), Reason: closed.Reason}
	}
	return &LostError{Err: cause(err)}
}

// Close sends a Close frame behind all that was sent before, waits for the server's,
// reading and discarding what comes before it, and ends the connection, after 10 s
// at most. A reason is cut at 123 bytes.
func (w *Wire) Close(code d2m.CloseCode, reason string) {
	// The library waits without limit for the rest of a message that has begun.
	timer := time.AfterFunc(closeTimeout, w.buffer.abort)
	defer timer.Stop()
	w.socket.Close(websocket.StatusCode(code), cutReason(reason))
	<-w.buffer.done
}

// CloseNow ends the connection at once, without a Close frame and without what
// still waits to be sent.
func (w *Wire) CloseNow() {
	w.buffer.abort()
	w.socket.CloseNow()
	<-w.buffer.done
}

// closeAfter ends the connection in the way that is due after an error.
func (w *Wire) closeAfter(err error) {
	var protocol *ProtocolError
	var closed *CloseError
	var lost *LostError
	switch {
	case errors.As(err, &protocol):
		w.Close(d2m.CloseProtocolError, protocol.Err.Error())
	case errors.As(err, &closed):
		w.socket.CloseNow()
		<-w.buffer.done // the answer to the server's Close is on its way
	case errors.As(err, &lost):
		w.CloseNow()
	default:
		w.Close(d2m.CloseNormal, "")
	}
}

// ping waits for the pong.
func (w *Wire) ping(ctx context.Context) error { return w.socket.Ping(ctx) }

func cutReason(reason string) string {
	if len(reason) <= d2m.MaxCloseReasonSize {
		return reason
	}
	end := d2m.MaxCloseReasonSize
	for end > 0 && !utf8.RuneStart(reason[end]) {
		end--
	}
	return reason[:end]
}
