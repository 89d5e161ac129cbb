package mediator_test

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"openmediator/d2m"
)

// identity is what a device needs to belong to a group.
type identity struct {
	key         *ecdh.PrivateKey
	group       d2m.GroupID
	serverGroup string
	base        string // of the path, without a slash at the end
}

func newIdentity(t testing.TB) identity {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return identity{key: key, group: d2m.GroupID(key.PublicKey().Bytes()), serverGroup: "4f"}
}

func (id identity) path() string {
	return id.base + "/" + d2m.ClientURLInfo{GroupID: id.group, ServerGroup: id.serverGroup}.Segment()
}

// device is one WebSocket connection, spoken message by message.
type device struct {
	t  testing.TB
	id identity
	ws *websocket.Conn
}

// dial connects without saying anything.
func (s *testServer) dial(id identity) *device { return s.dialWith(id, nil) }

// dialWith connects a device that answers a ping only if pong, unless it is nil, says so.
func (s *testServer) dialWith(id identity, pong func() bool) *device {
	s.t.Helper()
	options := &websocket.DialOptions{HTTPClient: s.client()}
	if pong != nil {
		options.OnPingReceived = func(context.Context, []byte) bool { return pong() }
	}
	ws, _, err := websocket.Dial(context.Background(), "ws://server"+id.path(), options)
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

func (d *device) send(m d2m.Message) {
	d.t.Helper()
	d.sendFrame(m.Append(nil))
}

func (d *device) sendFrame(frame []byte) {
	d.t.Helper()
	if err := d.ws.Write(context.Background(), websocket.MessageBinary, frame); err != nil {
		d.t.Fatal(err)
	}
}

// next returns the next message, the code with which the server closed the connection, or another error.
func (d *device) next() (d2m.Message, d2m.CloseCode, error) {
	_, frame, err := d.ws.Read(context.Background())
	var closed websocket.CloseError
	if errors.As(err, &closed) {
		return nil, d2m.CloseCode(closed.Code), nil
	}
	if err != nil {
		return nil, 0, err
	}
	m, err := d2m.Parse(frame)
	return m, 0, err
}

// receive returns the next message, or the code with which the server closed the connection.
func (d *device) receive() (d2m.Message, d2m.CloseCode) {
	d.t.Helper()
	m, code, err := d.next()
	if err != nil {
		d.t.Fatalf("connection ended without a close code: %v", err)
	}
	return m, code
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

// await reads messages until one of the type comes.
func await[M d2m.Message](d *device) M {
	d.t.Helper()
	for {
		m, code := d.receive()
		if got, ok := m.(M); ok {
			return got
		}
		if m == nil {
			var want M
			d.t.Fatalf("closed with %d, want %T", code, want)
		}
	}
}

// expectClose reads up to the end, which has to be with this code.
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

// expectCloseAtOnce fails if anything comes before the end.
func (d *device) expectCloseAtOnce(want d2m.CloseCode) {
	d.t.Helper()
	if m, code := d.receive(); m != nil || code != want {
		d.t.Fatalf("got %T (close code %d), want close code %d", m, code, want)
	}
}

// hello answers a ServerHello.
func (d *device) hello(to d2m.ServerHello, device d2m.DeviceID, expected d2m.SlotState) d2m.ClientHello {
	d.t.Helper()
	return d.id.hello(d.t, to, device, expected)
}

func (id identity) hello(t testing.TB, to d2m.ServerHello, device d2m.DeviceID, expected d2m.SlotState) d2m.ClientHello {
	t.Helper()
	var nonce [24]byte
	rand.Read(nonce[:])
	response, err := d2m.Respond(id.key, to.ESK, to.Challenge, nonce)
	if err != nil {
		t.Fatal(err)
	}
	return d2m.ClientHello{Response: response, DeviceID: device, Expected: expected, Expiration: d2m.Persistent}
}

// register sends ClientHello and reads up to ServerInfo.
func (d *device) register(device d2m.DeviceID, expected d2m.SlotState) *registered {
	d.t.Helper()
	d.send(d.hello(expect[d2m.ServerHello](d), device, expected))
	return &registered{d, expect[d2m.ServerInfo](d)}
}

// login registers a device and reads up to ReflectionQueueDry; it returns the messages that were in the queue.
func (s *testServer) login(id identity, device d2m.DeviceID, expected d2m.SlotState) (*registered, []d2m.Reflected) {
	s.t.Helper()
	r := s.dial(id).register(device, expected)
	return r, r.readQueue()
}

// loginVolatile registers a device with a volatile slot and reads up to ReflectionQueueDry.
func (s *testServer) loginVolatile(id identity, device d2m.DeviceID) *registered {
	s.t.Helper()
	d := s.dial(id)
	hello := d.hello(expect[d2m.ServerHello](d), device, d2m.SlotNew)
	hello.Expiration = d2m.Volatile
	d.send(hello)
	r := &registered{d, expect[d2m.ServerInfo](d)}
	r.readQueue()
	return r
}

// refused says hello as this device and expects to be closed with this code.
func (s *testServer) refused(id identity, device d2m.DeviceID, expected d2m.SlotState, code d2m.CloseCode) {
	s.t.Helper()
	d := s.dial(id)
	d.send(d.hello(expect[d2m.ServerHello](d), device, expected))
	d.expectCloseAtOnce(code)
}

// registered is a device that has its slot.
type registered struct {
	*device
	info d2m.ServerInfo
}

// readQueue reads Reflected up to ReflectionQueueDry.
func (r *registered) readQueue() (queue []d2m.Reflected) {
	r.t.Helper()
	for {
		m, code := r.receive()
		switch m := m.(type) {
		case d2m.Reflected:
			queue = append(queue, m)
		case d2m.ReflectionQueueDry:
			return queue
		default:
			r.t.Fatalf("got %T (close code %d) before the queue was dry", m, code)
		}
	}
}

// reflect sends an envelope and waits for its ack. Nothing else may come.
func (d *device) reflect(id d2m.ReflectID, envelope []byte) d2m.ReflectAck {
	d.t.Helper()
	d.send(d2m.Reflect{ID: id, Envelope: envelope})
	ack := expect[d2m.ReflectAck](d)
	if ack.ID != id {
		d.t.Fatalf("ack for reflect id %d, want %d", ack.ID, id)
	}
	return ack
}

// leave closes the connection and waits until the server has answered.
func (d *device) leave() {
	d.t.Helper()
	if err := d.ws.Close(websocket.StatusNormalClosure, ""); err != nil {
		d.t.Fatal(err)
	}
}

// barrier returns when the server has handled all that was sent before, of a device that gets nothing else meanwhile.
func (d *device) barrier() {
	d.t.Helper()
	d.send(d2m.GetDevicesInfo{})
	expect[d2m.DevicesInfo](d)
}

// awaitAbsence asks until the server has noticed that a device has gone.
func (d *device) awaitAbsence(of d2m.DeviceID) {
	d.t.Helper()
	for {
		d.send(d2m.GetDevicesInfo{})
		for _, info := range expect[d2m.DevicesInfo](d).Devices {
			if info.ID == of && !info.Connected {
				return
			}
		}
	}
}

// inbox is what a device gets that reads all the time.
type inbox struct {
	mu       sync.Mutex
	messages []d2m.Message
	code     d2m.CloseCode
	over     bool
	at       time.Time     // of the end
	done     chan struct{} // closed at the end
}

func newInbox() *inbox { return &inbox{done: make(chan struct{})} }

// listen reads in the background until the connection ends.
func (d *device) listen() *inbox {
	in := newInbox()
	go func() {
		for {
			m, code, err := d.next()
			if m == nil || err != nil {
				in.end(code)
				return
			}
			in.add(m)
		}
	}()
	return in
}

func (in *inbox) add(m d2m.Message) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.messages = append(in.messages, m)
}

func (in *inbox) end(code d2m.CloseCode) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.code, in.over, in.at = code, true, time.Now()
	close(in.done)
}

// take returns what has come since the last call.
func (in *inbox) take() []d2m.Message {
	in.mu.Lock()
	defer in.mu.Unlock()
	messages := in.messages
	in.messages = nil
	return messages
}

// ended says whether the connection has ended, how and when. The code is 0 if the server gave none.
func (in *inbox) ended() (over bool, code d2m.CloseCode, at time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.over, in.code, in.at
}

// tryDial connects if the server lets it.
func (s *testServer) tryDial(id identity) (*device, error) {
	ws, _, err := websocket.Dial(context.Background(), "ws://server"+id.path(), &websocket.DialOptions{HTTPClient: s.client()})
	if err != nil {
		return nil, err
	}
	return &device{t: s.t, id: id, ws: ws}, nil
}

// tryLogin logs in and leaves at once. It returns the code if the server closes the connection, or 0.
func (d *device) tryLogin(device d2m.DeviceID, expected d2m.SlotState) d2m.CloseCode {
	defer d.ws.CloseNow()
	for {
		m, code, err := d.next()
		if err != nil || m == nil {
			return code
		}
		switch m := m.(type) {
		case d2m.ServerHello:
			hello := d.hello(m, device, expected)
			if d.ws.Write(context.Background(), websocket.MessageBinary, hello.Append(nil)) != nil {
				return 0
			}
		case d2m.ReflectionQueueDry:
			return 0
		}
	}
}
