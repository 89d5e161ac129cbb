package client_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeServer lets a test play the server, message by message, over net.Pipe.
type fakeServer struct {
	t     *testing.T
	dials chan net.Conn // refused while nobody accepts
	ended chan struct{}
	once  sync.Once
	peers chan *peer
}

// newFakeServer must be called within a synctest bubble.
func newFakeServer(t *testing.T) *fakeServer {
	f := &fakeServer{t: t, dials: make(chan net.Conn), ended: make(chan struct{}), peers: make(chan *peer)}
	server := &http.Server{Handler: f}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(f) })
	t.Cleanup(func() {
		f.Close()
		server.Close()
		serving.Wait()
	})
	return f
}

func (f *fakeServer) Accept() (net.Conn, error) {
	select {
	case conn := <-f.dials:
		return conn, nil
	case <-f.ended:
		return nil, net.ErrClosed
	}
}

func (f *fakeServer) Close() error {
	f.once.Do(func() { close(f.ended) })
	return nil
}

func (f *fakeServer) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// DialContext is for a client.Dialer.
func (f *fakeServer) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case f.dials <- far:
		return near, nil
	case <-f.ended:
		return nil, errors.New("fake server: is closed")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := &peer{t: f.t, path: r.URL.Path, pings: make(chan struct{}, 1)}
	socket, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		OnPingReceived: func(context.Context, []byte) bool {
			select {
			case p.pings <- struct{}{}:
			default:
			}
			return !p.mute
		},
	})
	if err != nil {
		f.t.Errorf("upgrade: %v", err)
		return
	}
	socket.SetReadLimit(d2m.MaxMessageSize)
	p.socket = socket
	select {
	case f.peers <- p:
	case <-f.ended:
		socket.CloseNow()
	}
}

// peer is the server's end of one connection. The test's goroutine plays it.
type peer struct {
	t      *testing.T
	socket *websocket.Conn
	path   string
	pings  chan struct{}
	mute   bool // pings are not answered
	hello  d2m.ClientHello
}

// accept waits for the next connection.
func (f *fakeServer) accept() *peer {
	f.t.Helper()
	p := <-f.peers
	f.t.Cleanup(func() { p.socket.CloseNow() })
	return p
}

// register waits for the next connection and takes the device as it wants to be
// taken.
func (f *fakeServer) register() *peer {
	f.t.Helper()
	p := f.accept()
	p.challenge()
	p.send(d2m.ServerInfo{MaxDeviceSlots: 10, SlotState: p.hello.Expected})
	return p
}

// challenge does what comes before ServerInfo.
func (p *peer) challenge() {
	p.t.Helper()
	verifier, err := d2m.NewVerifier(rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	p.send(verifier.Hello())
	p.hello = receive[d2m.ClientHello](p)
	info, err := d2m.ParsePath(p.path)
	if err != nil {
		p.t.Fatal(err)
	}
	if !verifier.Check(info.GroupID, &p.hello.Response) {
		p.t.Fatal("challenge: wrong response")
	}
}

func (p *peer) send(messages ...d2m.Message) {
	p.t.Helper()
	for _, m := range messages {
		p.sendFrame(websocket.MessageBinary, m.Append(nil))
	}
}

func (p *peer) sendFrame(kind websocket.MessageType, frame []byte) {
	p.t.Helper()
	if err := p.socket.Write(context.Background(), kind, frame); err != nil {
		p.t.Errorf("send: %v", err) // perhaps from a goroutine of its own
	}
}

// receive expects the next message to be of a type.
func receive[M d2m.Message](p *peer) M {
	p.t.Helper()
	_, frame, err := p.socket.Read(context.Background())
	if err != nil {
		p.t.Fatalf("receive: %v", err)
	}
	message, err := d2m.Parse(frame)
	if err != nil {
		p.t.Fatal(err)
	}
	m, ok := message.(M)
	if !ok {
		p.t.Fatalf("received %v (%+v), want %v", message.Type(), message, m.Type())
	}
	return m
}

// receiveEnd expects the connection to end without another message, and returns the
// device's close code, -1 if there is none.
func (p *peer) receiveEnd() websocket.StatusCode {
	p.t.Helper()
	_, frame, err := p.socket.Read(context.Background())
	if err == nil {
		p.t.Fatalf("received %x, want the end", frame)
	}
	return websocket.CloseStatus(err)
}

// discard reads until the connection ends; a Close is answered.
func (p *peer) discard() {
	for {
		if _, _, err := p.socket.Read(context.Background()); err != nil {
			return
		}
	}
}

// close closes and expects the device to answer with the same code.
func (p *peer) close(code d2m.CloseCode) {
	p.t.Helper()
	if err := p.socket.Close(websocket.StatusCode(code), "reason"); err != nil {
		p.t.Errorf("close with %d: %v", code, err)
	}
}

// inBubble runs a test in fake time with a fake server. No test needs two days of
// it; but a device that reconnects keeps a bubble alive, so that one which waits in
// vain would do so for ever.
func inBubble(t *testing.T, test func(t *testing.T, f *fakeServer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		watchdog := time.AfterFunc(48*time.Hour, func() { panic(t.Name() + ": waits in vain") })
		defer watchdog.Stop()
		test(t, newFakeServer(t))
	})
}

var testKeys = mustKeys(1)

func mustKeys(seed byte) *devicekeys.Keys {
	keys, err := devicekeys.FromGroupKey([32]byte(bytes.Repeat([]byte{seed}, 32)))
	if err != nil {
		panic(err)
	}
	return keys
}

func (f *fakeServer) config() client.Config {
	return client.Config{
		URL:      "ws://server",
		Dialer:   client.Dialer{DialContext: f.DialContext},
		Keys:     testKeys,
		DeviceID: 7,
	}
}

// start starts a device that is closed with the test.
func start(t *testing.T, config client.Config) *client.Device {
	t.Helper()
	d, err := client.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// sealText seals an envelope of another device.
func sealText(t *testing.T, text string) []byte {
	t.Helper()
	plain, err := devicekeys.Envelope{Device: 8, Text: text}.Append(nil, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := testKeys.SealEnvelope(rand.Reader, plain)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func openText(t *testing.T, sealed []byte) string {
	t.Helper()
	plain, _, err := testKeys.OpenEnvelope(sealed)
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := devicekeys.ParseEnvelope(plain)
	if err != nil {
		t.Fatal(err)
	}
	return envelope.Text
}

func text(s string) devicekeys.Envelope { return devicekeys.Envelope{Text: s} }
