package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"openmediator/d2m"
)

// relayServer is a demo's server whose connections go through a relay that can tamper with what the server says.
type relayServer struct {
	*processServer
	relay  *httptest.Server
	tamper tamper

	mu       sync.Mutex
	upstream string // http URL of the server
	devices  []d2m.DeviceID
	logins   map[d2m.DeviceID]int
	last     map[d2m.DeviceID]<-chan struct{} // closed when the device's last connection has ended on both sides
}

// session is whose connection it is: the first device that logs in has number 1, and so has its first login.
type session struct{ device, login int }

// tamper makes of a frame of the server those that the device gets. An error ends the connection instead.
type tamper func(of session, frame []byte) ([][]byte, error)

// untouched passes everything on.
func untouched(_ session, frame []byte) ([][]byte, error) { return [][]byte{frame}, nil }

func newRelayServer(t *testing.T, tamper tamper) *relayServer {
	t.Helper()
	server, err := newProcessServer()
	if err != nil {
		t.Fatal(err)
	}
	r := &relayServer{processServer: server, tamper: tamper, logins: make(map[d2m.DeviceID]int), last: make(map[d2m.DeviceID]<-chan struct{})}
	r.relay = httptest.NewServer(r)
	t.Cleanup(func() {
		server.close()
		r.relay.Close()
	})
	return r
}

func (r *relayServer) start(ctx context.Context) (url string, process int, err error) {
	url, process, err = r.processServer.start(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.upstream = "http" + strings.TrimPrefix(url, "ws")
	return "ws" + strings.TrimPrefix(r.relay.URL, "http"), process, err
}

// ServeHTTP relays one connection until either side ends it.
func (r *relayServer) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	upstream := r.upstream
	r.mu.Unlock()
	server, _, err := websocket.Dial(request.Context(), upstream+request.URL.Path, nil)
	if err != nil {
		http.Error(w, "the server is away", http.StatusBadGateway)
		return
	}
	defer server.CloseNow()
	device, err := websocket.Accept(w, request, nil)
	if err != nil {
		return
	}
	defer device.CloseNow()
	ended := make(chan struct{})
	defer close(ended)
	server.SetReadLimit(d2m.MaxMessageSize)
	device.SetReadLimit(d2m.MaxMessageSize)

	var mu sync.Mutex
	var of session // guarded by mu; known before the server answers the ClientHello
	var back sync.WaitGroup
	back.Go(func() {
		pump(device, server, func(frame []byte) ([][]byte, error) {
			if d2m.Type(frame[0]) == d2m.TypeClientHello {
				mu.Lock()
				defer mu.Unlock()
				var err error
				of, err = r.login(frame, ended)
				return [][]byte{frame}, err
			}
			return [][]byte{frame}, nil
		})
	})
	pump(server, device, func(frame []byte) ([][]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		return r.tamper(of, frame)
	})
	back.Wait()
}

// login counts a login, of a connection that closes ended at its end. It waits for the end of the device's connection
// before, so that the server has taken what came on that one, as it would have without a relay.
func (r *relayServer) login(frame []byte, ended <-chan struct{}) (session, error) {
	hello, err := d2m.ParseClientHello(frame[d2m.HeaderSize:])
	if err != nil {
		return session{}, err
	}
	if before := r.replaceLast(hello.DeviceID, ended); before != nil {
		<-before
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.logins[hello.DeviceID]++; r.logins[hello.DeviceID] == 1 {
		r.devices = append(r.devices, hello.DeviceID)
	}
	return session{1 + slices.Index(r.devices, hello.DeviceID), r.logins[hello.DeviceID]}, nil
}

func (r *relayServer) replaceLast(device d2m.DeviceID, ended <-chan struct{}) (before <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before = r.last[device]
	r.last[device] = ended
	return before
}

// pump passes frames on until the end, and passes the end on.
func pump(from, to *websocket.Conn, pass func(frame []byte) ([][]byte, error)) {
	defer from.CloseNow()
	defer to.CloseNow()
	for {
		kind, frame, err := from.Read(context.Background())
		if err != nil {
			if code := websocket.CloseStatus(err); code != -1 {
				to.Close(code, "passed on")
			}
			return
		}
		frames, err := pass(frame)
		if err != nil {
			return
		}
		for _, frame := range frames {
			if to.Write(context.Background(), kind, frame) != nil {
				return
			}
		}
	}
}
