package mediator_test

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/coder/websocket"

	"openmediator/d2m"
)

// identity is what a device needs to belong to a group.
type identity struct {
	key   *ecdh.PrivateKey
	group d2m.GroupID
}

func newIdentity(t testing.TB) identity {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return identity{key, d2m.GroupID(key.PublicKey().Bytes())}
}

func (id identity) path() string {
	return "/" + d2m.ClientURLInfo{GroupID: id.group, ServerGroup: "4f"}.Segment()
}

// device is one WebSocket connection, spoken frame by frame.
type device struct {
	t  testing.TB
	id identity
	ws *websocket.Conn
}

// dial connects without saying anything.
func (s *testServer) dial(id identity) *device {
	s.t.Helper()
	ws, _, err := websocket.Dial(context.Background(), "ws://server"+id.path(), &websocket.DialOptions{HTTPClient: s.client()})
	if err != nil {
		s.t.Fatal(err)
	}
	ws.SetReadLimit(d2m.MaxMessageSize)
	s.t.Cleanup(func() { ws.CloseNow() })
	return &device{t: s.t, id: id, ws: ws}
}

// client returns an HTTP client that reaches the server, whatever the host.
func (s *testServer) client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return s.listener.Dial() },
		DisableKeepAlives: true,
	}}
}

func (d *device) send(m d2m.Message) { d.sendFrame(m.Append(nil)) }

func (d *device) sendFrame(frame []byte) {
	d.t.Helper()
	if err := d.ws.Write(context.Background(), websocket.MessageBinary, frame); err != nil {
		d.t.Fatal(err)
	}
}

// receive returns the next message, or the code with which the server closed the connection.
func (d *device) receive() (d2m.Message, d2m.CloseCode) {
	d.t.Helper()
	_, frame, err := d.ws.Read(context.Background())
	var closed websocket.CloseError
	if errors.As(err, &closed) {
		return nil, d2m.CloseCode(closed.Code)
	}
	if err != nil {
		if errors.Is(err, io.EOF) {
			d.t.Fatal("connection ended without a close code")
		}
		d.t.Fatal(err)
	}
	m, err := d2m.Parse(frame)
	if err != nil {
		d.t.Fatal(err)
	}
	return m, 0
}

// expect reads the next message and fails if it is of another type.
func expect[M d2m.Message](d *device) M {
	d.t.Helper()
	m, code := d.receive()
	got, ok := m.(M)
	if !ok {
		var want M
		d.t.Fatalf("got %T (close code %d), want %T", m, code, want)
	}
	return got
}

func (d *device) expectClose(want d2m.CloseCode) {
	d.t.Helper()
	for {
		m, code := d.receive()
		if m == nil {
			if code != want {
				d.t.Fatalf("closed with %d, want %d", code, want)
			}
			return
		}
	}
}

// hello answers a ServerHello.
func (d *device) hello(to d2m.ServerHello, device d2m.DeviceID, expected d2m.SlotState) d2m.ClientHello {
	d.t.Helper()
	var nonce [24]byte
	rand.Read(nonce[:])
	response, err := d2m.Respond(d.id.key, to.ESK, to.Challenge, nonce)
	if err != nil {
		d.t.Fatal(err)
	}
	return d2m.ClientHello{Response: response, DeviceID: device, Expected: expected, Expiration: d2m.Persistent}
}

// login registers a device and reads up to ReflectionQueueDry; it returns the messages that were in the queue.
func (s *testServer) login(id identity, device d2m.DeviceID, expected d2m.SlotState) (*registered, []d2m.Reflected) {
	s.t.Helper()
	d := s.dial(id)
	d.send(d.hello(expect[d2m.ServerHello](d), device, expected))
	info := expect[d2m.ServerInfo](d)
	var queue []d2m.Reflected
	for {
		m, code := d.receive()
		switch m := m.(type) {
		case d2m.Reflected:
			queue = append(queue, m)
		case d2m.ReflectionQueueDry:
			return &registered{d, info}, queue
		default:
			s.t.Fatalf("got %T (close code %d) before the queue was dry", m, code)
		}
	}
}

// registered is a device that has its slot.
type registered struct {
	*device
	info d2m.ServerInfo
}
