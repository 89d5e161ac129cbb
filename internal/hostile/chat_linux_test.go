package hostile

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"openmediator/client"
	"openmediator/d2m"
	"openmediator/devicekeys"
	"openmediator/internal/serverprocess"
)

const (
	attackers = 100

	// maxGrowth is by how much the memory of the server may grow with them, compared with their being connected and quiet.
	maxGrowth = 32 << 20
)

// attack is what a chat server and its device do until their connections end or the context does. The chat server's part
// begins with the first byte, the device's after its login. Nothing is promised of how it ends.
type attack struct {
	name   string
	server func(ctx context.Context, c net.Conn)
	device func(ctx context.Context, w *client.Wire)
	early  bool // the device does not log in
}

var attacks = []attack{
	{name: "garbage", server: func(_ context.Context, c net.Conn) {
		garbage := make([]byte, 1<<16)
		rand.Read(garbage)
		writeOn(c, garbage)
	}, device: receiveOn},
	{name: "half a frame, and stops", server: func(ctx context.Context, c net.Conn) {
		c.Write(append(handshake(), frame(60_000)[:50_000]...))
		<-ctx.Done()
	}, device: receiveOn},
	{name: "a frame of 65,535 bytes", server: func(_ context.Context, c net.Conn) {
		writeOn(c, append(handshake(), frame(65_535)...))
	}, device: receiveOn},
	{name: "the end in the middle of the handshake", server: func(_ context.Context, c net.Conn) {
		c.Write(handshake()[:40])
	}, device: receiveOn},
	{name: "no answer", server: func(ctx context.Context, _ net.Conn) { <-ctx.Done() }, device: receiveOn},
	{name: "never reads", server: func(ctx context.Context, _ net.Conn) { <-ctx.Done() }, device: flood},
	{name: "floods a device that never reads", server: func(_ context.Context, c net.Conn) {
		c.Write(handshake())
		writeOn(c, frame(8190))
	}, device: func(ctx context.Context, _ *client.Wire) { <-ctx.Done() }},
	{name: "floods a device that floods", server: func(ctx context.Context, c net.Conn) {
		c.Write(handshake())
		writeOn(c, frame(60_000))
	}, device: flood},
	{name: "a gigabyte before the login", device: flood, early: true},
}

func handshake() []byte { return make([]byte, 80+32) }

func frame(size int) []byte {
	return append(binary.LittleEndian.AppendUint16(nil, uint16(size)), make([]byte, size)...)
}

// writeOn writes again and again until the connection ends.
func writeOn(c net.Conn, data []byte) {
	for {
		if _, err := c.Write(data); err != nil {
			return
		}
	}
}

func receiveOn(ctx context.Context, w *client.Wire) {
	for {
		if _, err := w.Receive(ctx); err != nil {
			return
		}
	}
}

func flood(ctx context.Context, w *client.Wire) {
	for data := make([]byte, 60_000); ; {
		if err := w.Send(ctx, d2m.Proxy{Data: data}); err != nil {
			return
		}
	}
}

// chatServers is what attacks connect to. The first byte says which attack it is.
func chatServers(ctx context.Context, t testing.TB) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer context.AfterFunc(ctx, func() { c.Close() })()
				defer c.Close()
				var which [1]byte
				if _, err := io.ReadFull(c, which[:]); err == nil {
					attacks[which[0]].server(ctx, c)
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	return l.Addr().String()
}

// group is an honest one: the first device reflects, the others receive and acknowledge.
type group struct {
	sender  *client.Wire
	arrived chan struct{} // an element for each message at each of the others
}

const receivers = 2

func newGroup(ctx context.Context, t testing.TB, server string) *group {
	t.Helper()
	keys := newKeys(t)
	g := &group{sender: login(ctx, t, server, keys, 0), arrived: make(chan struct{}, receivers)}
	for i := range receivers {
		w := login(ctx, t, server, keys, d2m.DeviceID(i+1))
		go func() {
			for {
				m, err := w.Receive(ctx)
				if err != nil {
					return
				}
				if r, ok := m.(d2m.Reflected); ok {
					g.arrived <- struct{}{}
					w.Send(ctx, d2m.ReflectedAck{ID: r.ID})
				}
			}
		}()
	}
	return g
}

// reflect returns how long messages took until they were acknowledged and had arrived everywhere, sorted.
func (g *group) reflect(ctx context.Context, t testing.TB, messages int) []time.Duration {
	t.Helper()
	took := make([]time.Duration, messages)
	for i := range took {
		began := time.Now()
		if err := g.sender.Send(ctx, d2m.Reflect{Envelope: make([]byte, 300)}); err != nil {
			t.Fatal(err)
		}
		for acked := false; !acked; {
			m, err := g.sender.Receive(ctx)
			if err != nil {
				t.Fatal(err)
			}
			_, acked = m.(d2m.ReflectAck)
		}
		for range receivers {
			select {
			case <-g.arrived:
			case <-ctx.Done():
				t.Fatal("a message does not arrive")
			}
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took
}

func newKeys(t testing.TB) *devicekeys.Keys {
	t.Helper()
	var key [32]byte
	rand.Read(key[:])
	keys, err := devicekeys.FromGroupKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func dial(ctx context.Context, t testing.TB, server string, keys *devicekeys.Keys) *client.Wire {
	t.Helper()
	url, err := client.URL(server, keys.GroupID(), "0")
	if err != nil {
		t.Fatal(err)
	}
	w, err := client.Dialer{}.Dial(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.CloseNow)
	return w
}

func login(ctx context.Context, t testing.TB, server string, keys *devicekeys.Keys, id d2m.DeviceID) *client.Wire {
	t.Helper()
	w := dial(ctx, t, server, keys)
	if _, err := w.Login(ctx, keys, d2m.ClientHello{DeviceID: id, Expiration: d2m.Persistent}); err != nil {
		t.Fatal(err)
	}
	return w
}

// server is the real one, and what is known of its process.
type server struct {
	*serverprocess.Process
	address string
}

func startServer(ctx context.Context, t testing.TB, upstream string) *server {
	t.Helper()
	binary, err := serverprocess.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p, err := serverprocess.Start(serverprocess.AnyPort, t.TempDir(), "env", "MEDIATOR_UPSTREAM="+upstream, binary)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	address, err := p.AwaitReady(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return &server{p, address}
}

// memory returns a figure of /proc/PID/status, in bytes.
func (s *server) memory(t testing.TB, name string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")))
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

// forgetPeak makes VmHWM begin anew.
func (s *server) forgetPeak(t testing.TB) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.PID()), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}

// figures are what an attack cost.
type figures struct {
	idle, peak    int             // bytes of the process: attackers connected and quiet, and the most while they were not
	before, under []time.Duration // of an honest group's messages, sorted
}

// attackServer has an honest group reflect messages alone, and again while the attackers are at it.
func attackServer(t testing.TB, messages int) figures {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s := startServer(ctx, t, chatServers(ctx, t))
	honest := newGroup(ctx, t, s.address)
	devices := make([]*client.Wire, attackers)
	for i := range devices {
		if attacks[i%len(attacks)].early {
			devices[i] = dial(ctx, t, s.address, newKeys(t))
		} else {
			devices[i] = login(ctx, t, s.address, newKeys(t), 1)
		}
	}
	var f figures
	f.before = honest.reflect(ctx, t, messages)
	s.forgetPeak(t)
	f.idle = s.memory(t, "VmRSS")

	under, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	for i, w := range devices {
		a := i % len(attacks)
		if !attacks[a].early {
			if err := w.Send(ctx, d2m.Proxy{Data: []byte{byte(a)}}); err != nil {
				t.Fatal(err)
			}
		}
		running.Go(func() { attacks[a].device(under, w) })
	}
	f.under = honest.reflect(ctx, t, messages)
	f.peak = s.memory(t, "VmHWM")
	stop()
	running.Wait()
	s.Kill()
	return f
}

func percentile(sorted []time.Duration, p int) time.Duration { return sorted[(len(sorted)-1)*p/100] }

// Whatever 100 chat servers and their devices do, the server needs little memory for it, and goes on.
func TestB38_MemoryUnderAttack(t *testing.T) {
	f := attackServer(t, 300)
	if growth := f.peak - f.idle; growth > maxGrowth {
		t.Errorf("memory grew from %d to %d KiB, by more than %d", f.idle>>10, f.peak>>10, maxGrowth>>10)
	}
	t.Logf("%d KiB idle, %d at most; p99 %v before, %v under attack", f.idle>>10, f.peak>>10, percentile(f.before, 99),
		percentile(f.under, 99))
}

// BenchmarkReflectUnderAttack measures what an honest group notices.
func BenchmarkReflectUnderAttack(b *testing.B) {
	for b.Loop() {
		f := attackServer(b, 20000)
		b.ReportMetric(float64(f.peak-f.idle)/(1<<20), "MiB-growth")
		for _, p := range []int{50, 99} {
			before, under := percentile(f.before, p), percentile(f.under, p)
			b.ReportMetric(float64(before.Microseconds()), fmt.Sprintf("µs-p%d-alone", p))
			b.ReportMetric(float64(under.Microseconds()), fmt.Sprintf("µs-p%d", p))
			b.ReportMetric(float64(under)/float64(before), fmt.Sprintf("p%d-ratio", p))
		}
	}
}
