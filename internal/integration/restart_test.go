//go:build integration

package integration

import (
	"context"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"openmediator/internal/serverprocess"
)

const (
	restartLimit    = 90 * time.Second // for one case
	restartInterval = 250 * time.Millisecond
	restartSettling = 2 * time.Second // of load before and after
)

// TestB41_RestartUnderLoad restarts the real server while devices reflect, and tells what they notice of it: nothing is lost
// and nothing comes twice. The figures of docs/operating.md are from here:
//
//	go test -tags integration -count 1 -run Restart -v ./internal/integration
func TestB41_RestartUnderLoad(t *testing.T) {
	binary, err := serverprocess.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		activated bool
		away      time.Duration
	}{
		{"own port", false, 0},
		{"own port, away for 6 s", false, 6 * time.Second},
		{"socket of systemd, away for 6 s", true, 6 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), restartLimit)
			defer cancel()
			b := newBerth(t, binary, c.activated)
			devices := launch(t, b.start(ctx, t), 50, 3)
			stop := devices.keepReflecting(ctx, t)
			<-time.After(restartSettling)
			took := b.restart(ctx, t, c.away)
			devices.await(ctx, t, (*sailor).isBack)
			<-time.After(restartSettling)
			stop()
			devices.await(ctx, t, func(s *sailor) bool { lost, _ := s.judge(); return lost == 0 })

			n := devices.notices()
			t.Logf("%d devices, %d messages acked; the server stopped within %v and was back after %v", n.devices, n.sent,
				took.stop.Round(time.Millisecond), took.back.Round(time.Millisecond))
			t.Logf("without connection %s; attempts in vain %d; slowest ack of a device %s", spread(n.without), n.refused, spread(n.acks))
			t.Logf("lost %d, twice %d; delivered again and known %d", n.lost, n.doubled, n.again)
			if n.lost != 0 || n.doubled != 0 || len(n.without) != n.devices {
				t.Errorf("%d lost, %d came twice; %d of %d devices lost their connection once", n.lost, n.doubled, len(n.without), n.devices)
			}
			if c.activated && n.refused != 0 {
				t.Errorf("%d attempts were in vain, though the socket was there all the time", n.refused)
			}
		})
	}
}

// TestB41_RestartOfAHerd restarts a server with many devices that come back after the same time, with and without the spread.
func TestB41_RestartOfAHerd(t *testing.T) {
	const groups, devices = 1000, 2
	binary, err := serverprocess.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	busiest := make(map[string]int)
	for _, drain := range []string{"0s", "4s"} {
		t.Run(drain, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), restartLimit)
			defer cancel()
			t.Setenv("MEDIATOR_DRAIN_TIME", drain)
			b := newBerth(t, binary, false)
			all := launch(t, b.start(ctx, t), groups, devices)
			took := b.restart(ctx, t, 0)
			all.await(ctx, t, (*sailor).isBack)
			n := all.notices()
			busiest[drain] = n.busiest(time.Second / 10)
			t.Logf("%d devices; the server stopped within %v and was back after %v", n.devices, took.stop.Round(time.Millisecond),
				took.back.Round(time.Millisecond))
			t.Logf("came: at most %d in a second, %d in a tenth; logins took %s; attempts in vain %d; without connection %s",
				n.busiest(time.Second), busiest[drain], spread(n.logins), n.refused, spread(n.without))
		})
	}
	if 2*busiest["4s"] > busiest["0s"] {
		t.Errorf("in the busiest tenth of a second %d devices came, and %d without the spread", busiest["4s"], busiest["0s"])
	}
}

// berth is where a server is started again and again.
type berth struct {
	binary, data, listen string

	socket *os.File // the listening one, if the server does not open it itself
	server *serverprocess.Process
}

func newBerth(t *testing.T, binary string, activated bool) *berth {
	t.Helper()
	b := &berth{binary: binary, data: t.TempDir(), listen: serverprocess.AnyPort}
	t.Cleanup(func() {
		if b.server != nil {
			b.server.Kill()
		}
	})
	if !activated {
		return b
	}
	l, err := net.Listen("tcp", serverprocess.AnyPort)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if b.socket, err = l.(*net.TCPListener).File(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.socket.Close() })
	return b
}

// start starts the server and returns its address, which is the same each time.
func (b *berth) start(ctx context.Context, t *testing.T) (address string) {
	t.Helper()
	var err error
	if b.socket != nil {
		b.server, err = serverprocess.StartActivated(b.socket, b.data, b.binary)
	} else {
		b.server, err = serverprocess.Start(b.listen, b.data, b.binary)
	}
	if err == nil {
		address, err = b.server.AwaitReady(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	b.listen = address[len("ws://"):]
	return address
}

// restarted is how long a restart took.
type restarted struct {
	stop time.Duration // from SIGTERM to the end of the process
	back time.Duration // from SIGTERM to the next one's listening
}

// restart restarts the server by SIGTERM, as "systemctl restart" does, but that it is away for a while.
func (b *berth) restart(ctx context.Context, t *testing.T, away time.Duration) (r restarted) {
	t.Helper()
	began := time.Now()
	if err := b.server.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	r.stop = time.Since(began)
	<-time.After(away)
	b.start(ctx, t)
	r.back = time.Since(began)
	return r
}

// keepReflecting has all devices reflect until stop, which returns when all that they have sent is acked.
func (f fleet) keepReflecting(ctx context.Context, t *testing.T) (stop func()) {
	enough := make(chan struct{})
	var working sync.WaitGroup
	for _, s := range f {
		working.Go(func() {
			if err := s.reflectAll(ctx, restartInterval, enough); err != nil {
				t.Error(err)
			}
		})
	}
	return func() {
		close(enough)
		working.Wait()
	}
}
