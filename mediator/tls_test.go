package mediator_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"openmediator/d2m"
	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/reflect/memstore"
)

// isOverTLS says whether the servers of a test speak TLS.
func isOverTLS(t testing.TB) bool { return strings.HasPrefix(t.Name(), "TestOverTLS") }

// TestOverTLS runs tests that look at sockets, limits and time once more, with TLS between device and server.
func TestOverTLS(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"B1 paths":                   TestB1_InvalidPathsAreRefused,
		"B1 other methods":           TestB1_OtherMethods,
		"B3 silent client":           TestB3_SilentClient,
		"B21 never reads":            TestB21_NeverReads,
		"B21 ping flood":             TestB21_PingFlood,
		"B41 shutdown":               TestB41_Shutdown,
		"B41 stuck device":           TestB41_StuckDevice,
		"B42 log":                    TestB42_LogNamesNobody,
		"B44 unauthenticated in all": TestB44_UnauthenticatedInAll,
		"B44 of one address":         TestB44_ConnectionsOfOneAddress,
		"B44 upgrades":               TestB44_UpgradesOfOneAddress,
		"B45 close is not taken":     TestB45_CloseFrameIsNotTaken,
		"B45 no reset":               TestB45_NoReset,
		"B45 device closes":          TestB45_DeviceCloses,
		"B45 with a queue":           TestB45_DeviceClosesWithAQueue,
		"B45 reads on":               TestB45_ClosingReadsOn,
		"B45 connections count":      TestB45_ClosingConnectionsCount,
		"B45 flood":                  TestB45_FloodAfterTheClose,
	} {
		t.Run(name, test)
	}
}

// dialBelow connects to a server that speaks TLS, and does not.
func (s *testServer) dialBelow() net.Conn {
	s.t.Helper()
	c, err := s.listener.(listen.Secure).Listener.Dial()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

func startSecure(t testing.TB, change func(*mediator.Config)) *testServer {
	t.Helper()
	config := mediator.DefaultConfig()
	change(&config)
	return startServer(t, listen.NewSecure(t, listen.NewPipe()), memstore.New(), config)
}

// clientHello is what a client says first.
func clientHello(t testing.TB) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer far.Close()
	go tls.Client(near, &tls.Config{ServerName: "server"}).Handshake()
	hello := make([]byte, 4096)
	n, err := far.Read(hello)
	if err != nil {
		t.Fatal(err)
	}
	return hello[:n]
}

// slowHandshakes are handshakes that do not end, and how long the server waits for them.
var slowHandshakes = map[string]struct {
	wait time.Duration
	do   func(c net.Conn, hello []byte)
}{
	"nothing is said": {10 * time.Second, func(net.Conn, []byte) {}},
	"a byte a second": {10 * time.Second, func(c net.Conn, hello []byte) {
		for i := range hello {
			if _, err := c.Write(hello[i : i+1]); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	}},
	"half of it":                 {10 * time.Second, func(c net.Conn, hello []byte) { c.Write(hello[:len(hello)/2]) }},
	"the answer is not read":     {30 * time.Second, func(c net.Conn, hello []byte) { c.Write(hello); time.Sleep(30 * time.Second) }},
	"the answer is not answered": {10 * time.Second, func(c net.Conn, hello []byte) { c.Write(hello) }},
}

// A handshake that does not end is waited for 10 s, however slowly it goes on, and no more of them from one address than it
// may have connections that do not log in; more are closed at once. One whose answer is not taken is over after 30 s.
func TestB44_SlowHandshakes(t *testing.T) {
	hello := clientHello(t)
	for name, slow := range slowHandshakes {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				const connections, most = 60, 50
				s := startSecure(t, func(c *mediator.Config) { c.MaxAddressUnauthenticated = most })
				ended := make(chan struct{}, connections)
				for range connections {
					c := s.from(attacker).dialBelow()
					go func() {
						slow.do(c, hello)
						io.Copy(io.Discard, c)
						ended <- struct{}{}
					}()
				}
				s.reflectsAtOnce(honest)
				time.Sleep(slow.wait - time.Second)
				if n := len(ended); n > connections-most {
					t.Errorf("%d have ended before their time, want %d at most", n, connections-most)
				}
				time.Sleep(3 * time.Second)
				if n := len(ended); n != connections {
					t.Errorf("%d of %d have ended", n, connections)
				}
				s.from(attacker).login(newIdentity(t), 1, d2m.SlotNew)
			})
		})
	}
}

// Handshakes count against the connections that are not logged in, from wherever they come.
func TestB44_HandshakesInAll(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startSecure(t, func(c *mediator.Config) { c.MaxUnauthenticated = 20 })
		s.dialSilently(20)
		c := s.dialBelow()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("one more: %v, want its end", err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		s.login(newIdentity(t), 1, d2m.SlotNew)
	})
}

func (s *testServer) dialSilently(n int) {
	s.t.Helper()
	for range n {
		s.dialBelow()
	}
	synctest.Wait()
}

// notTLS are beginnings of what is no handshake.
func notTLS(t testing.TB) map[string][]byte {
	hello := clientHello(t)
	change := func(at int, b byte) []byte {
		changed := slices.Clone(hello)
		changed[at] ^= b
		return changed
	}
	return map[string][]byte{
		"zeroes":                make([]byte, 100),
		"text":                  []byte("EHLO somebody\r\nEHLO somebody else\r\n"),
		"SSH":                   []byte("SSH-2.0-OpenSSH_10.0\r\n"),
		"SSL 2":                 append([]byte{0x80, 0x2e, 1, 3, 1}, make([]byte, 64)...),
		"an alert":              {0x15, 3, 1, 0, 2, 2, 40},
		"application data":      append([]byte{0x17, 3, 3, 0, 64}, make([]byte, 64)...),
		"an empty record":       {0x16, 3, 1, 0, 0, 0x16, 3, 1, 0, 0},
		"a record too long":     append([]byte{0x16, 3, 1, 0xff, 0xff}, make([]byte, 1000)...),
		"a message too long":    append([]byte{0x16, 3, 1, 0x20, 0, 1, 0xff, 0xff, 0xff}, make([]byte, 0x2000)...),
		"another message first": change(5, 0x0f),
		"a broken ClientHello":  change(43, 0xff),
		"twice ClientHello":     append(slices.Clone(hello), hello...),
	}
}

// What is no TLS is told so, if it can be, and closed at once. The log does not say from where it came.
func TestGarbageInsteadOfTLS(t *testing.T) {
	for name, garbage := range notTLS(t) {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var log logBuffer
				s := startSecure(t, func(c *mediator.Config) { c.Log = zerolog.New(&log) })
				began := time.Now()
				c := s.from(attacker).dialBelow()
				go c.Write(garbage)
				io.Copy(io.Discard, c)
				if took := time.Since(began); took > 10*time.Second || took > time.Second && name != "an empty record" {
					t.Errorf("ended after %v", took)
				}
				synctest.Wait()
				if text := string(log.bytes()); !strings.Contains(text, "an HTTP connection failed") || strings.Contains(text, attacker) {
					t.Errorf("the log says %s", text)
				}
			})
		})
	}
}

// Whoever forgets the s of wss is told.
func TestPlainRequestToTLS(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startSecure(t, func(*mediator.Config) {})
		c := s.dialBelow()
		go c.Write([]byte(upgradeRequest("GET", newIdentity(t).path())))
		answer, err := io.ReadAll(c)
		if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.0 400 ")) || !bytes.Contains(answer, []byte("HTTPS")) {
			t.Errorf("got %q, %v", answer, err)
		}
	})
}

// FuzzHandshake says whatever there is to a server that speaks TLS. It ends the connection in time, and serves others.
func FuzzHandshake(f *testing.F) {
	for _, garbage := range notTLS(f) {
		f.Add(garbage)
	}
	hello := clientHello(f)
	f.Add(hello)
	f.Add(hello[:len(hello)/2])
	f.Add([]byte(upgradeRequest("GET", newIdentity(f).path())))
	f.Fuzz(func(t *testing.T, data []byte) {
		inBubble(t, func(t *testing.T) {
			s := startSecure(t, func(*mediator.Config) {})
			began := time.Now()
			c := s.from(attacker).dialBelow()
			go c.Write(data)
			io.Copy(io.Discard, c)
			if took := time.Since(began); took > 11*time.Second {
				t.Errorf("ended after %v", took)
			}
			s.reflectsAtOnce(honest)
		})
	})
}

// A server with TLS speaks HTTP/1.1 and no other.
func TestOnlyHTTP1OverTLS(t *testing.T) {
	s := startServer(t, listen.NewSecure(t, listen.TCP(t)), memstore.New(), mediator.DefaultConfig())
	c := tls.Client(s.dialBelow(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if _, err := io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); err != nil {
		return // refused in the handshake
	}
	if answer, _ := io.ReadAll(c); !bytes.HasPrefix(answer, []byte("HTTP/1.1 405 ")) {
		t.Errorf("answered with %q", answer)
	}
	if c.ConnectionState().NegotiatedProtocol != "" {
		t.Errorf("%q was agreed on", c.ConnectionState().NegotiatedProtocol)
	}
	s.ask(upgradeRequest("GET", newIdentity(t).path())).expect(t, http.StatusSwitchingProtocols)
}
