package main

import (
	"context"
	"net/http"
	"net/http/httptest"
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

	mu          sync.Mutex
	upstream    string // http URL of the server
	connections int    // that there have been; the first has number 1
}

// tamper makes of a frame of the server those that the device gets. An error ends the connection instead.
type tamper func(connection int, frame []byte) ([][]byte, error)

// untouched passes everything on.
func untouched(_ int, frame []byte) ([][]byte, error) { return [][]byte{frame}, nil }

func newRelayServer(t *testing.T, tamper tamper) *relayServer {
	t.Helper()
	server, err := newProcessServer()
	if err != nil {
		t.Fatal(err)
	}
	r := &relayServer{processServer: server, tamper: tamper}
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
	r.mu.Lock()
	r.connections++
	number := r.connections
	r.mu.Unlock()
	device, err := websocket.Accept(w, request, nil)
	if err != nil {
		return
	}
	defer device.CloseNow()
	server.SetReadLimit(d2m.MaxMessageSize)
	device.SetReadLimit(d2m.MaxMessageSize)

	var back sync.WaitGroup
	back.Go(func() { pump(device, server, number, untouched) })
	pump(server, device, number, r.tamper)
	back.Wait()
}

// pump passes frames on until the end, and passes the end on.
func pump(from, to *websocket.Conn, connection int, tamper tamper) {
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
		frames, err := tamper(connection, frame)
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
