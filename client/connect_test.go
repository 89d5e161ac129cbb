package client_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"openmediator/client"
	"openmediator/d2m"
)

func TestConnectReturnsWhenRegistered(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		result := goConnect(t.Context(), f.config())
		p := f.accept()
		p.challenge()
		if len(result) > 0 {
			t.Fatal("Connect returned before ServerInfo")
		}
		p.send(d2m.ServerInfo{})
		got := <-result
		if got.err != nil {
			t.Fatal(got.err)
		}
		if !got.device.Connected() || !got.device.Registered() || got.device.Err() != nil {
			t.Errorf("Connected %v, Registered %v, Err %v", got.device.Connected(), got.device.Registered(), got.device.Err())
		}
		go p.discard()
		got.device.Close()
	})
}

func TestConnectOutlivesItsContext(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		ctx, cancel := context.WithCancel(t.Context())
		result := goConnect(ctx, f.config())
		p := f.register()
		d := (<-result).device
		cancel()
		reflected := goReflect(t.Context(), d, "hello")
		p.send(d2m.ReflectAck{ID: receive[d2m.Reflect](p).ID})
		if got := <-reflected; got.err != nil {
			t.Error(got.err)
		}
		go p.discard()
		d.Close()
	})
}

func TestConnectGivesUpAtOnce(t *testing.T) {
	noNetwork := errors.New("no network")
	inBubble(t, func(t *testing.T, f *fakeServer) {
		config := f.config()
		config.Dialer.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, noNetwork }
		_, err := client.Connect(t.Context(), config)
		var unreachable *client.UnreachableError
		if !errors.As(err, &unreachable) || !errors.Is(err, noNetwork) {
			t.Errorf("no network: %v", err)
		}

		result := goConnect(t.Context(), f.config())
		p := f.accept()
		p.challenge()
		p.close(d2m.CloseDeviceLimit)
		var closed *client.CloseError
		if got := <-result; !errors.As(got.err, &closed) || closed.Code != d2m.CloseDeviceLimit {
			t.Errorf("device limit: %v", got.err)
		}

		result = goConnect(t.Context(), f.config())
		f.accept().socket.CloseNow()
		if got := <-result; !errors.As(got.err, &unreachable) {
			t.Errorf("abrupt end: %v", got.err)
		}
	})
}

// One app without a timeout stays "connected" for ever to a server that hangs.
func TestConnectTimeout(t *testing.T) {
	servers := map[string]func(f *fakeServer){
		"does not accept": func(*fakeServer) {},
		"no ServerHello":  func(f *fakeServer) { f.accept() },
		"no ServerInfo":   func(f *fakeServer) { f.accept().challenge() },
		"does not read":   func(f *fakeServer) { p := f.accept(); p.send(mustVerifier(f.t).Hello()) },
	}
	for name, serve := range servers {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fakeServer) {
				before := time.Now()
				result := goConnect(t.Context(), f.config())
				serve(f)
				var unreachable *client.UnreachableError
				if got := <-result; !errors.As(got.err, &unreachable) || !errors.Is(got.err, context.DeadlineExceeded) {
					t.Errorf("Connect: %v", got.err)
				}
				if took := time.Since(before); took != client.DefaultConnectTimeout {
					t.Errorf("Connect took %v", took)
				}
			})
		})
	}
}

func TestConnectTimeoutBeforeUpgrade(t *testing.T) {
	for _, answer := range []string{"", "HTTP/1.1 1", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"} {
		inBubble(t, func(t *testing.T, f *fakeServer) {
			near, far := net.Pipe()
			config := f.config()
			config.Dialer.DialContext = func(context.Context, string, string) (net.Conn, error) { return near, nil }
			before := time.Now()
			result := goConnect(t.Context(), config)
			far.Read(make([]byte, 10_000))
			go far.Write([]byte(answer))
			var unreachable *client.UnreachableError
			if got := <-result; !errors.As(got.err, &unreachable) || !errors.Is(got.err, context.DeadlineExceeded) {
				t.Errorf("Connect: %v", got.err)
			}
			if took := time.Since(before); took != client.DefaultConnectTimeout {
				t.Errorf("Connect took %v", took)
			}
			if _, err := far.Read(make([]byte, 1)); err == nil {
				t.Error("the connection is still there")
			}
		})
	}
}

func mustVerifier(t *testing.T) *d2m.Verifier {
	t.Helper()
	verifier, err := d2m.NewVerifier(zeroes{})
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

func TestConnectContextEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer) {
		ctx, cancel := context.WithCancel(t.Context())
		result := goConnect(ctx, f.config())
		f.accept()
		cancel()
		if got := <-result; !errors.Is(got.err, context.Canceled) {
			t.Errorf("Connect: %v", got.err)
		}
	})
}

func TestConnectRefusedByHTTP(t *testing.T) {
	for _, status := range []int{http.StatusBadRequest, http.StatusFound, http.StatusServiceUnavailable} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "http://elsewhere.invalid/")
			http.Error(w, "no such path", status)
		}))
		_, err := client.Connect(t.Context(), client.Config{URL: "ws" + strings.TrimPrefix(server.URL, "http"), Keys: testKeys})
		server.Close()
		var unreachable *client.UnreachableError
		if !errors.As(err, &unreachable) || unreachable.Status != status || unreachable.Text != "no such path" {
			t.Errorf("status %d: %v", status, err)
		}
	}
}

func TestConnectRefusedByTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, err = client.Connect(t.Context(), client.Config{URL: "ws://" + l.Addr().String(), Keys: testKeys})
	var unreachable *client.UnreachableError
	if !errors.As(err, &unreachable) {
		t.Fatalf("Connect: %v", err)
	}
	// The group id is in the URL and need not be in every log.
	if group := testKeys.GroupID(); strings.Contains(err.Error(), d2m.ClientURLInfo{GroupID: group, ServerGroup: "0"}.Segment()) {
		t.Errorf("the error names the group: %v", err)
	}
}

func TestConfigThatDoesNotHoldTogether(t *testing.T) {
	good := client.Config{URL: "ws://localhost", Keys: testKeys}
	for name, spoil := range map[string]func(c *client.Config){
		"no keys":          func(c *client.Config) { c.Keys = nil },
		"no URL":           func(c *client.Config) { c.URL = "" },
		"http":             func(c *client.Config) { c.URL = "http://localhost" },
		"no host":          func(c *client.Config) { c.URL = "ws:///path" },
		"query":            func(c *client.Config) { c.URL = "ws://localhost/?a=b" },
		"fragment":         func(c *client.Config) { c.URL = "ws://localhost/#a" },
		"user":             func(c *client.Config) { c.URL = "ws://me@localhost/" },
		"not a URL":        func(c *client.Config) { c.URL = "ws://local host:x/" },
		"server group":     func(c *client.Config) { c.ServerGroup = "a-b" },
		"long group":       func(c *client.Config) { c.ServerGroup = strings.Repeat("a", 64) },
		"label not UTF-8":  func(c *client.Config) { c.Info.Label = "\xff" },
		"label too long":   func(c *client.Config) { c.Info.Label = strings.Repeat("x", d2m.MaxDeviceInfoSize) },
		"negative timeout": func(c *client.Config) { c.ConnectTimeout = -1 },
		"negative wait":    func(c *client.Config) { c.ReconnectMin = -1 },
		"waits swapped":    func(c *client.Config) { c.ReconnectMin, c.ReconnectMax = time.Hour, time.Minute },
	} {
		t.Run(name, func(t *testing.T) {
			config := good
			spoil(&config)
			if d, err := client.Start(config); err == nil {
				d.Close()
				t.Error("Start took it")
			}
			if _, err := client.Connect(t.Context(), config); err == nil {
				t.Error("Connect took it")
			}
		})
	}
}

func TestURL(t *testing.T) {
	group := testKeys.GroupID()
	segment := d2m.ClientURLInfo{GroupID: group, ServerGroup: "v2"}.Segment()
	for base, want := range map[string]string{
		"ws://localhost:8440":       "ws://localhost:8440/" + segment,
		"wss://example.com/":        "wss://example.com/" + segment,
		"wss://example.com/a//b":    "wss://example.com/a//b/" + segment,
		"ws://[::1]:80/mediator///": "ws://[::1]:80/mediator///" + segment,
	} {
		if got, err := client.URL(base, group, "v2"); got != want || err != nil {
			t.Errorf("URL(%q) = %q, %v", base, got, err)
		}
	}
}
