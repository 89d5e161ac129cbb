package load

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/client"
	"openmediator/d2m"
)

// serverFrame is a frame as a server sends it.
func serverFrame(first byte, payload []byte) []byte {
	header := appendHeader(nil, first, len(payload))
	header[1] &^= masked
	return append(header[:len(header)-4], payload...)
}

func serverMessage(m d2m.Message) []byte { return serverFrame(binaryMsg, m.Append(nil)) }

func TestFrames(t *testing.T) {
	for _, size := range []int{0, 1, 125, 126, 127, 65_535, d2m.MaxMessageSize} {
		frame := serverFrame(binaryMsg, bytes.Repeat([]byte{7}, size))
		for _, cut := range []int{0, 1, 2, 3, 9, len(frame) - 1} {
			if cut < len(frame) {
				if _, _, n, err := cutFrame(frame[:cut]); n != 0 || err != nil {
					t.Errorf("%d of the bytes of a frame with %d: size %d, error %v", cut, size, n, err)
				}
			}
		}
		first, payload, n, err := cutFrame(append(frame, 1, 2, 3))
		if first != binaryMsg || len(payload) != size || n != len(frame) || err != nil {
			t.Errorf("frame with %d bytes: first byte %#x, %d bytes, size %d, error %v", size, first, len(payload), n, err)
		}
	}
}

// connWith returns a connection over which a server has sent something.
func connWith(sent ...[]byte) *conn {
	in := bytes.Join(sent, nil)
	return &conn{in: in, end: len(in), device: new(device)}
}

// TestWhatServersMustNotSend: whatever is not as it should be is an error that says what.
func TestWhatServersMustNotSend(t *testing.T) {
	content := []byte("content")
	good := append(make([]byte, MinSize), content...)
	changed := append(bytes.Clone(good[:len(good)-1]), 'x')
	second := append([]byte{1}, good[1:]...)
	reflected := func(envelope []byte) []byte { return serverMessage(d2m.Reflected{Envelope: envelope}) }
	ack := func(id d2m.ReflectID) []byte { return serverMessage(d2m.ReflectAck{ID: id}) }
	for _, test := range []struct {
		name     string
		sent     []byte
		toSender bool
		want     string
	}{
		{"masked", []byte{binaryMsg, masked, 0, 0, 0, 0}, false, "frame is masked"},
		{"too long", serverFrame(binaryMsg, make([]byte, d2m.MaxMessageSize+1)), false, "frame has 65537 bytes"},
		{"too short", serverFrame(binaryMsg, make([]byte, 3)), false, "message has 3 bytes"},
		{"fragment", serverFrame(0x02, []byte("part")), false, "frame begins with 0x2"},
		{"text", serverFrame(fin|0x1, []byte("text")), false, "frame begins with 0x81"},
		{"closed", serverFrame(closing, []byte{0x10, 0x12, 'f', 'u', 'l', 'l'}), false, "4114"},
		{"closed without a code", serverFrame(closing, nil), false, "without a code"},
		{"lost", reflected(second), false, "got message 1 of its group, where 0 was next"},
		{"doubled", append(reflected(good), reflected(good)...), false, "got message 0 of its group, where 1 was next"},
		{"changed", reflected(changed), false, "message 0 has come with another content"},
		{"cut", reflected(good[:20]), false, "message has 20 bytes, and was sent with 23"},
		{"no reflected", serverFrame(binaryMsg, []byte{byte(d2m.TypeReflected), 0, 0, 0, 1}), false, "reflected has 1 bytes"},
		{"acked out of order", append(ack(0), ack(2)...), true, "message 2 was acked, where 1 of 2 messages were acked before"},
		{"acked twice", append(ack(0), ack(0)...), true, "message 0 was acked"},
		{"acked too much", bytes.Join([][]byte{ack(0), ack(1), ack(2)}, nil), true, "message 2 was acked, where 2 of 2"},
		{"no ack", serverFrame(binaryMsg, []byte{byte(d2m.TypeReflectAck), 0, 0, 0, 1}), true, "payload has 1 bytes, want 16"},
		{"came back", reflected(good), true, "what it sent itself"},
	} {
		r := &reflecting{Reflect: Reflect{Size: len(good), Window: 8}, fleet: (&Server{}).newFleet(t.Context())}
		var err error
		if test.toSender {
			s := r.newSender(connWith(test.sent), &r.tallies[0], content, 0)
			s.sent = 2
			err = s.receive()
		} else {
			err = (&receiver{reflecting: r, c: connWith(test.sent), tally: &r.tallies[0], content: content}).receive()
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
		r.fail(nil)
	}
}

func TestPingsAreAnswered(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	c := connWith(serverFrame(ping, []byte("alive?")), serverMessage(d2m.ReflectionQueueDry{}))
	c.Conn = near
	answered := make(chan []byte, 1)
	go func() {
		b := make([]byte, 100)
		n, _ := far.Read(b)
		answered <- b[:n]
	}()
	if frame, err := c.next(); err != nil || d2m.Type(frame[0]) != d2m.TypeReflectionQueueDry {
		t.Errorf("got %v, %v", frame, err)
	}
	if got, want := <-answered, appendFrame(nil, pong, []byte("alive?")); !bytes.Equal(got, want) {
		t.Errorf("answer is %q, want %q", got, want)
	}
	c = connWith(serverFrame(ping, nil), serverMessage(d2m.ReflectionQueueDry{}))
	c.leaving = true // a write would panic
	if frame, err := c.next(); frame == nil || err != nil {
		t.Errorf("behind its Close frame: got %v, %v", frame, err)
	}
}

// TestMissingMessages: a server that has acked, but not delivered, or not even acked, is found out.
func TestMissingMessages(t *testing.T) {
	for name, test := range map[string]struct {
		acked, arrived uint64
		unsent         int
		want           string
	}{
		"not delivered": {5, 9, 0, "of 10 messages for the 2 devices that receive, 9 have arrived"},
		"too many":      {5, 11, 0, "of 10 messages for the 2 devices that receive, 11 have arrived"},
		"not acked":     {5, 10, 1, "has acked 5 messages, and not all that were sent"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &reflecting{Reflect: Reflect{Devices: 3}, fleet: (&Server{}).newFleet(t.Context()), receivers: make([]*receiver, 2)}
			defer r.fail(nil)
			r.tallies[3].allAcked, r.tallies[4].allArrived = test.acked, test.arrived
			r.sending.Add(test.unsent)
			err := r.awaitArrival()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: got %v, want %q", name, err, test.want)
			}
			r.sending.Add(-test.unsent)
			synctest.Wait()
		})
	}
}

// TestNoMediator: what answers is something else.
func TestNoMediator(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	address, err := ParseAddress("ws" + strings.TrimPrefix(s.URL, "http") + "/some/path")
	if err != nil {
		t.Fatal(err)
	}
	_, err = (&Server{Address: address}).Reflect(t.Context(), smallReflect)
	var refused *client.UnreachableError
	if !errors.As(err, &refused) || refused.Status != http.StatusNotFound || !strings.Contains(refused.Text, "404") {
		t.Errorf("got %v", err)
	}
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]Address{
		"ws://127.0.0.1:8440":         {network: "tcp", name: "127.0.0.1:8440", host: "127.0.0.1:8440", path: "/"},
		"ws://example.net":            {network: "tcp", name: "example.net:80", host: "example.net", path: "/"},
		"wss://example.net/some/path": {network: "tcp", name: "example.net:443", host: "example.net", path: "/some/path/", tls: true},
		"ws://[::1]:80/a/":            {network: "tcp", name: "[::1]:80", host: "[::1]:80", path: "/a/"},
		"unix:/run/socket":            {network: "unix", name: "/run/socket", host: "localhost", path: "/"},
	} {
		want.text = text
		if got, err := ParseAddress(text); err != nil || got != want || got.String() != text {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "127.0.0.1:8440", "http://127.0.0.1", "ws://", "ws://a@b", "ws://a?b", "ws://a#b", "unix:", "ws://\x00"} {
		if a, err := ParseAddress(text); err == nil {
			t.Errorf("%q is %+v", text, a)
		}
	}
}

func TestTooFewFiles(t *testing.T) {
	err := checkFiles(1 << 40)
	if err == nil || !strings.Contains(err.Error(), "ulimit -n") {
		t.Errorf("got %v", err)
	}
	if err := checkFiles(1); err != nil {
		t.Error(err)
	}
}

func TestWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 µs", 950: "0.95 µs", 43_210: "43.2 µs", 1_500_000: "1.5 ms", 999_400_000: "999 ms", 2 * time.Second: "2 s",
	} {
		if got := inWords(microseconds(d)); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

func TestNothingIsAllocatedPerMessage(t *testing.T) {
	const messages = 100
	content := []byte("content")
	r := &reflecting{Reflect: Reflect{Size: MinSize + len(content), Window: messages}, fleet: (&Server{}).newFleet(t.Context())}
	defer r.fail(nil)
	var acks, reflected []byte
	for i := range byte(messages) {
		acks = append(acks, serverMessage(d2m.ReflectAck{ID: d2m.ReflectID(i)})...)
		envelope := append(append([]byte{i}, make([]byte, MinSize-1)...), content...)
		reflected = append(reflected, serverMessage(d2m.Reflected{Envelope: envelope})...)
	}
	s := r.newSender(connWith(acks), &r.tallies[0], content, 0)
	receiver := &receiver{reflecting: r, c: connWith(reflected), tally: &r.tallies[0], content: content}
	allocated := testing.AllocsPerRun(10, func() {
		s.sent, s.acked, s.c.begin = 0, 0, 0
		receiver.number, receiver.acks, receiver.c.begin = 0, receiver.acks[:0], 0
		if s.take(0) != messages {
			t.Error("window is not filled")
		}
		if err := errors.Join(s.receive(), receiver.receive()); err != nil {
			t.Error(err)
		}
	})
	if allocated > 0 {
		t.Errorf("%v allocations for %d messages", allocated, messages)
	}
}
