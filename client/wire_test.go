package client_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"openmediator/client"
	"openmediator/d2m"
)

// dial makes a Wire and the server's end of it.
func dial(t *testing.T, f *fakeServer) (*client.Wire, *peer) {
	t.Helper()
	url, err := client.URL("ws://server", testKeys.GroupID(), "0")
	if err != nil {
		t.Fatal(err)
	}
	var w *client.Wire
	dialled := goDo(func() (err error) {
		w, err = f.config().Dialer.Dial(t.Context(), url)
		return err
	})
	p := f.accept()
	if err := <-dialled; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.CloseNow)
	return w, p
}

func TestWireLogin(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		w, p := dial(t, f)
		var info d2m.ServerInfo
		login := goDo(func() (err error) {
			info, err = w.Login(t.Context(), testKeys, d2m.ClientHello{DeviceID: 3, Expected: d2m.SlotExisting})
			return err
		})
		p.challenge()
		p.send(d2m.ServerInfo{MaxDeviceSlots: 4})
		if err := <-login; err != nil || info.MaxDeviceSlots != 4 || p.hello.DeviceID != 3 || p.hello.Expected != d2m.SlotExisting {
			t.Errorf("info %+v, hello %+v, %v", info, p.hello, err)
		}
	})
}

func TestWireReceivedMessagesOwnTheirBytes(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		w, p := dial(t, f)
		go p.send(d2m.Reflected{ID: 1, Envelope: []byte("first")}, d2m.Reflected{ID: 2, Envelope: []byte("other")})
		first, err1 := w.Receive(t.Context())
		_, err2 := w.Receive(t.Context())
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if got := first.(d2m.Reflected).Envelope; string(got) != "first" {
			t.Errorf("the first envelope has become %q", got)
		}
	})
}

func TestWireSendsAndReceivesTheLargest(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		w, p := dial(t, f)
		data := bytes.Repeat([]byte("x"), d2m.MaxProxyDataSize)
		if err := w.Send(t.Context(), d2m.Proxy{Data: data}); err != nil {
			t.Fatal(err)
		}
		if m := receive[d2m.Proxy](p); !bytes.Equal(m.Data, data) {
			t.Errorf("the server received %d bytes", len(m.Data))
		}
		go p.send(d2m.Proxy{Data: data})
		m, err := w.Receive(t.Context())
		if err != nil || !bytes.Equal(m.(d2m.Proxy).Data, data) {
			t.Errorf("Receive: %v", err)
		}
	})
}

func TestWireSendFrameSendsAnything(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		w, p := dial(t, f)
		if err := w.SendFrame(t.Context(), []byte{0x99}); err != nil {
			t.Fatal(err)
		}
		if kind, frame, err := p.socket.Read(t.Context()); kind != websocket.MessageBinary || !bytes.Equal(frame, []byte{0x99}) {
			t.Errorf("the server received %v %x, %v", kind, frame, err)
		}
	})
}

func TestWireRefusesMessagesOfDevices(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		w, p := dial(t, f)
		go p.send(d2m.GetDevicesInfo{}, d2m.ReflectionQueueDry{})
		var protocol *client.ProtocolError
		if m, err := w.Receive(t.Context()); !errors.As(err, &protocol) {
			t.Errorf("Receive: %v, %v", m, err)
		}
		if m, err := w.Receive(t.Context()); err != nil || m.Type() != d2m.TypeReflectionQueueDry {
			t.Errorf("Receive after the error: %v, %v", m, err)
		}
	})
}

func TestWireEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		w, p := dial(t, f)
		go p.close(d2m.CloseQueueLimit)
		var closed *client.CloseError
		if _, err := w.Receive(t.Context()); !errors.As(err, &closed) || closed.Code != d2m.CloseQueueLimit || closed.Reason != "reason" {
			t.Errorf("Receive: %v", err)
		}
		var lost *client.LostError
		if err := w.Send(t.Context(), d2m.GetDevicesInfo{}); !errors.As(err, &lost) {
			t.Errorf("Send after the end: %v", err)
		}
		if err := w.SendFrame(t.Context(), nil); !errors.As(err, &lost) {
			t.Errorf("SendFrame after the end: %v", err)
		}

		w, p = dial(t, f)
		p.socket.CloseNow()
		if _, err := w.Receive(t.Context()); !errors.As(err, &lost) {
			t.Errorf("Receive: %v", err)
		}

		w, _ = dial(t, f)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.Receive(ctx); !errors.As(err, &lost) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Receive: %v", err)
		}
	})
}

func TestWireClose(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		w, p := dial(t, f)
		closed := goDo(func() error { w.Close(4123, strings.Repeat("é", 100)); return nil })
		_, _, err := p.socket.Read(t.Context())
		var end websocket.CloseError
		if !errors.As(err, &end) || end.Code != 4123 || end.Reason != strings.Repeat("é", 61) {
			t.Errorf("the server read %v", err)
		}
		<-closed

		w, p = dial(t, f)
		before := time.Now()
		w.CloseNow()
		if code := p.receiveEnd(); code != -1 || time.Since(before) > 0 {
			t.Errorf("CloseNow sent %d and took %v", code, time.Since(before))
		}

		w, _ = dial(t, f)
		before = time.Now()
		w.Close(d2m.CloseNormal, "")
		if took := time.Since(before); took == 0 || took > 10*time.Second {
			t.Errorf("Close towards a server that does not read took %v", took)
		}
	})
}

// However many send at once, what waits stays below the limit that ends a
// connection.
func TestWireSendersWaitForRoom(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		const senders = 40
		w, p := dial(t, f)
		sent := make(chan error, senders)
		for range senders {
			go func() { sent <- w.Send(t.Context(), d2m.Proxy{Data: make([]byte, 60_000)}) }()
		}
		synctest.Wait()
		if len(sent) > 4 {
			t.Errorf("%d messages were taken though nobody reads", len(sent))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var lost *client.LostError
		if err := w.SendFrame(ctx, nil); !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &lost) {
			t.Errorf("SendFrame: %v", err)
		}
		for range senders {
			receive[d2m.Proxy](p)
			if err := <-sent; err != nil {
				t.Error(err)
			}
		}
	})
}

// Pings are answered into the buffer: a server that does not read for a while may
// still ping, and finds everything when it reads again.
func TestWireAnswersPingsOfServerThatDoesNotRead(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		w, p := dial(t, f)
		go w.Receive(context.Background())
		sent := make(chan int, 10)
		go func() {
			for i := range cap(sent) {
				if err := w.SendFrame(context.Background(), make([]byte, 30_000)); err != nil {
					t.Error(err)
				}
				sent <- i
			}
		}()
		for range 4 {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			p.socket.Ping(ctx) // its pong waits
			cancel()
		}
		if len(sent) == cap(sent) {
			t.Error("SendFrame does not wait for room")
		}
		for range cap(sent) {
			if _, frame, err := p.socket.Read(t.Context()); err != nil || len(frame) != 30_000 {
				t.Fatalf("the server read %d bytes, %v", len(frame), err)
			}
		}
		synctest.Wait()
	})
}

func TestWireOverTLS(t *testing.T) {
	f := &fakeServer{t: t, ended: make(chan struct{}), peers: make(chan *peer)}
	server := httptest.NewUnstartedServer(f)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake that fails below
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	config := client.Config{
		URL:    "wss" + strings.TrimPrefix(server.URL, "https"),
		Dialer: client.Dialer{TLS: &tls.Config{RootCAs: roots}},
		Keys:   testKeys,
	}
	d := start(t, config)
	p := f.register()
	result := goReflect(t.Context(), d, "hello")
	p.send(d2m.ReflectAck{ID: receive[d2m.Reflect](p).ID})
	if got := <-result; got.err != nil {
		t.Error(got.err)
	}
	ended := make(chan websocket.StatusCode, 1)
	go func() { ended <- p.receiveEnd() }()
	d.Close()
	if code := <-ended; code != websocket.StatusNormalClosure {
		t.Errorf("closed with %d", code)
	}

	config.Dialer.TLS = nil // the certificate is unknown
	_, err := client.Connect(t.Context(), config)
	var unreachable *client.UnreachableError
	if !errors.As(err, &unreachable) {
		t.Errorf("Connect: %v", err)
	}
}
