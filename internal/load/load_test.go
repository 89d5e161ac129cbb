package load

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"openmediator/chatproxy"
	"openmediator/client"
	"openmediator/d2m"
	"openmediator/mediator"
	"openmediator/reflect/memstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startServer runs a mediator in this process, on a unix socket if name is a path. In the end no group
// may be left of a foreign one, and of one of its own no more messages than the last acks, which the end cuts off.
func startServer(t *testing.T, network, name string, config mediator.Config) *Server {
	t.Helper()
	l, err := net.Listen(network, name)
	if err != nil {
		t.Fatal(err)
	}
	store := memstore.New()
	m, err := mediator.New(store, config)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Store: "none", Seed: 7}
	served := make(chan error, 1)
	go func() { served <- m.Serve(l) }()
	t.Cleanup(func() {
		if err := m.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		<-served
		checkEmpty(t, store, s.Own != nil)
	})
	text := "ws://" + l.Addr().String()
	if network == "unix" {
		text = "unix:" + name
	}
	if s.Address, err = ParseAddress(text); err != nil {
		t.Fatal(err)
	}
	return s
}

func checkEmpty(t *testing.T, store *memstore.Store, groups bool) {
	t.Helper()
	var ids []d2m.GroupID
	if err := store.Groups(func(id d2m.GroupID, _ []byte) error {
		ids = append(ids, id)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(ids) > 0 && !groups {
		t.Errorf("%d groups are left", len(ids))
	}
	for _, id := range ids {
		snapshot, err := store.Claim(id)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(snapshot.Messages); n > 2*smallReflect.Window {
			t.Errorf("%d messages wait", n)
		}
	}
}

// own makes it a server of bench's own.
func (s *Server) own() *Server {
	s.Own = &Process{PID: os.Getpid(), Collect: func(context.Context) error { return nil }}
	return s
}

// fieldsOf returns the names of a result's fields as JSON, those of objects in it with a dot.
func fieldsOf(t *testing.T, result any) []string {
	t.Helper()
	data, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	var names []string
	for name, value := range fields {
		names = append(names, name)
		if inner, ok := value.(map[string]any); ok {
			for field := range maps.Keys(inner) {
				names = append(names, name+"."+field)
			}
		}
	}
	slices.Sort(names)
	return names
}

// checkFields holds a result's fields against what programs rely on: names may be added here, and none taken away.
func checkFields(t *testing.T, result any, want string) {
	t.Helper()
	names := strings.Fields(want)
	for _, latency := range strings.Fields(want) {
		if strings.HasSuffix(latency, "_latency") || latency == "timer_lateness" {
			for _, field := range []string{"count", "mean_us", "p50_us", "p90_us", "p99_us", "max_us"} {
				names = append(names, latency+"."+field)
			}
		}
	}
	slices.Sort(names)
	if got := fieldsOf(t, result); !slices.Equal(got, names) {
		t.Errorf("fields are\n%q, want\n%q", got, names)
	}
}

// measure repeats a measurement, longer each time, until something has happened within it: a machine may be busy.
func measure[R any](t *testing.T, run func(d time.Duration) (R, error), happened func(R) bool) R {
	t.Helper()
	for d := 40 * time.Millisecond; d < time.Minute; d *= 2 {
		result, err := run(d)
		if err != nil {
			t.Fatal(err)
		}
		if happened(result) {
			return result
		}
	}
	var none R
	t.Fatal("nothing has happened")
	return none
}

func (s *Server) measureReflect(t *testing.T, load Reflect) *ReflectResult {
	t.Helper()
	return measure(t, func(d time.Duration) (*ReflectResult, error) {
		load.Duration = d
		return s.Reflect(t.Context(), load)
	}, func(r *ReflectResult) bool { return r.Acked > 0 && r.Delivered > 0 && r.Ack.Count > 0 })
}

var smallReflect = Reflect{Groups: 3, Devices: 3, Window: 4, Size: 300, Duration: 60 * time.Millisecond, WarmUp: 20 * time.Millisecond}

func TestReflect(t *testing.T) {
	s := startServer(t, "tcp", "127.0.0.1:0", mediator.DefaultConfig()).own()
	load := smallReflect
	result := s.measureReflect(t, load)
	if result.Delivery.Count != 2*result.Ack.Count {
		t.Errorf("%+v", result)
	}
	checkFields(t, result, `measurement server store seed duration_s load_cpu_s server_cpu_s groups devices away window size think_s
		single_acks warm_up_s acked delivered overdue acked_per_s delivered_per_s ack_latency delivery_latency
		load_cpu_s_per_100000 server_cpu_s_per_100000 server_rss_bytes`)

	load.Think, load.SingleAcks = 5*time.Millisecond, true
	if result = s.measureReflect(t, load); result.TimerLateness == nil || result.TimerLateness.Count > result.Ack.Count {
		t.Errorf("with a think time: %+v", result)
	}
}

// TestReflectOnForeignServer: it leaves nothing there, and a second measurement with the same seed does not meet the first.
func TestReflectOnForeignServer(t *testing.T) {
	s := startServer(t, "unix", t.TempDir()+"/socket", mediator.DefaultConfig())
	load := smallReflect
	for load.Away = range 2 {
		result := s.measureReflect(t, load)
		if result.ServerCPU != nil || result.ServerRSS != nil || result.ServerCPUPer != nil {
			t.Errorf("%+v", result)
		}
	}
}

func TestReflectEndsWithItsContext(t *testing.T) {
	s := startServer(t, "tcp", "127.0.0.1:0", mediator.DefaultConfig())
	load := smallReflect
	load.Duration = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	s.Progress = func(text string) {
		if strings.HasPrefix(text, "measuring") {
			cancel()
		}
	}
	_, err := s.Reflect(ctx, load)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestLogin(t *testing.T) {
	s := startServer(t, "tcp", "127.0.0.1:0", mediator.DefaultConfig()).own()
	load := Login{Groups: 2, Devices: 2, Connections: 9}
	result := measure(t, func(d time.Duration) (*LoginResult, error) {
		load.Duration = d
		return s.Login(t.Context(), load)
	}, func(r *LoginResult) bool { return r.Logins > 0 })
	if result.Latency.Count != result.Logins || result.Connections != 4 {
		t.Errorf("%+v", result)
	}
	rate := 1.0
	result.LoginsPerServerCPU = &rate // there is none if the processor's clock has not ticked
	checkFields(t, result, `measurement server store seed duration_s load_cpu_s server_cpu_s groups devices connections
		logins logins_per_s logins_per_server_cpu_s login_latency`)
	if _, err := startServer(t, "tcp", "127.0.0.1:0", mediator.DefaultConfig()).Login(t.Context(), load); err != nil {
		t.Error(err)
	}
}

func TestProxy(t *testing.T) {
	for _, own := range []bool{true, false} {
		chat, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := chat.Addr().String()
		chat.Close() // to be opened for each measurement
		config := mediator.DefaultConfig()
		if config.Chat.Upstreams, err = chatproxy.ParseUpstreams([]string{address}, chatproxy.DefaultPattern); err != nil {
			t.Fatal(err)
		}
		config.Chat.Rate = 0
		s := startServer(t, "tcp", "127.0.0.1:0", config)
		if own {
			s.own()
		}
		result := measure(t, func(d time.Duration) (*ProxyResult, error) {
			chat, err := net.Listen("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			return s.Proxy(t.Context(), Proxy{Connections: 2, Duration: d, Chat: chat})
		}, func(r *ProxyResult) bool { return r.RoundTrips > 0 && r.Up > 0 && r.Down > 0 })
		if result.Latency.Count != result.RoundTrips {
			t.Errorf("%+v", result)
		}
		if own {
			checkFields(t, result, `measurement server store seed duration_s load_cpu_s server_cpu_s connections round_trip_size
				frame_size round_trips round_trips_per_s round_trip_latency up_bytes_per_s down_bytes_per_s
				up_server_cpu_s_per_gib down_server_cpu_s_per_gib server_cpu_s_per_100000`)
		}
	}
}

func TestProxyWithoutChatServer(t *testing.T) {
	chat, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := startServer(t, "tcp", "127.0.0.1:0", mediator.DefaultConfig())
	_, err = s.Proxy(t.Context(), Proxy{Connections: 1, Duration: time.Hour, Chat: chat})
	var closed *client.CloseError
	if !errors.As(err, &closed) || closed.Code != d2m.CloseChatServerUnreachable {
		t.Errorf("got %v", err)
	}
}

func TestIdle(t *testing.T) {
	s := startServer(t, "tcp", "127.0.0.1:0", mediator.DefaultConfig())
	load := Idle{Connections: 25, Devices: 2, Duration: 20 * time.Millisecond}
	if _, err := s.Idle(t.Context(), load); !errors.Is(err, ErrNoProcess) {
		t.Errorf("of a foreign server: %v", err)
	}
	result, err := s.own().Idle(t.Context(), load)
	if err != nil {
		t.Fatal(err)
	}
	if result.RSSBefore == 0 || result.RSS == 0 || result.Text() == "" {
		t.Errorf("%+v", result)
	}
	checkFields(t, result, `measurement server store seed duration_s load_cpu_s server_cpu_s connections devices
		server_rss_before_bytes server_rss_bytes server_bytes_per_connection connect_s`)
}
