package chatserver_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"openmediator/chatserver"
	"openmediator/csp"
	"openmediator/internal/listen"
)

// Every test ends all that it started.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// user is an identity with its key.
type user struct {
	id  csp.Identity
	key *ecdh.PrivateKey
}

func newKey(t testing.TB) *ecdh.PrivateKey {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func identity(t testing.TB, text string) csp.Identity {
	t.Helper()
	id, err := csp.ParseIdentity(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// testServer is a running server with two users.
type testServer struct {
	t testing.TB
	*chatserver.Server
	config   chatserver.Config
	listener listen.Listener
	log      *logBuffer
	a, b     user
}

// start runs a server until the end of the test. change, if not nil, changes its configuration.
func start(t testing.TB, l listen.Listener, change func(*chatserver.Config)) *testServer {
	t.Helper()
	s := &testServer{
		t: t, listener: l, log: new(logBuffer),
		a: user{identity(t, "AAAAAAAA"), newKey(t)}, b: user{identity(t, "BBBBBBBB"), newKey(t)},
	}
	s.config = chatserver.DefaultConfig()
	s.config.Key, s.config.DataDir = newKey(t), t.TempDir()
	s.config.Log = zerolog.New(s.log)
	s.config.Identities = chatserver.FixedIdentities{s.a.id: s.a.key.PublicKey(), s.b.id: s.b.key.PublicKey()}
	if change != nil {
		change(&s.config)
	}
	s.run()
	return s
}

// run starts the server of s.config.
func (s *testServer) run() {
	s.t.Helper()
	server, err := chatserver.New(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	s.Server = server
	served := make(chan error, 1)
	go func() { served <- server.Serve(s.listener) }()
	s.t.Cleanup(func() {
		s.close()
		if err := <-served; err != nil {
			s.t.Error(err)
		}
	})
}

// close ends the server, if that has not been done.
func (s *testServer) close() {
	s.t.Helper()
	if s.Server == nil {
		return
	}
	if err := s.Close(context.Background()); err != nil {
		s.t.Error(err)
	}
	s.Server = nil
}

// restart ends the server and starts it again on the same data.
func (s *testServer) restart(l listen.Listener) {
	s.t.Helper()
	s.close()
	s.listener = l
	s.run()
}

// inBubble runs a test in fake time, with a server over pipes.
func inBubble(t *testing.T, change func(*chatserver.Config), test func(t *testing.T, s *testServer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, start(t, listen.NewPipe(), change)) })
}

// overTCP is a server on loopback.
func overTCP(t testing.TB, change func(*chatserver.Config)) *testServer {
	t.Helper()
	return start(t, listen.TCP(t), change)
}

// logBuffer collects what a server logs.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
