package mediator_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"openmediator/internal/listen"
	"openmediator/mediator"
	"openmediator/reflect/memstore"
)

const trusted = "10.0.0.5" // a proxy

func parsePeers(t testing.TB, texts ...string) mediator.Peers {
	t.Helper()
	peers, err := mediator.ParsePeers(texts)
	if err != nil {
		t.Fatal(err)
	}
	return peers
}

// knock opens a connection, sends a beginning and an upgrade with header lines, and returns the status of the answer; 0 if the
// connection was closed without one. It stays open.
func (s *testServer) knock(id identity, begin string, lines ...string) (status int) {
	s.t.Helper()
	w := s.dialTCP()
	io.WriteString(w, begin+upgradeRequest("GET", id.path(), lines...))
	response, err := http.ReadResponse(w.r, nil)
	synctest.Wait()
	if err != nil {
		return 0
	}
	return response.StatusCode
}

const (
	welcome = http.StatusSwitchingProtocols
	tooMany = http.StatusTooManyRequests
)

// Who is believed names the client, whose limits count then; nobody else's header means anything.
func TestB44_WhomAProxyNames(t *testing.T) {
	type visit struct {
		peer  string
		lines []string
		want  int
	}
	xff := func(value string) []string { return []string{"X-Forwarded-For: " + value} }
	for name, test := range map[string]struct {
		front  mediator.Front
		visits []visit
	}{
		"clients of a proxy": {mediator.Front{Proxies: parsePeers(t, trusted)}, []visit{
			{trusted, xff(attacker), welcome}, {trusted, xff(attacker), tooMany}, {trusted, xff(honest), welcome},
			{attacker, nil, tooMany},
		}},
		"the client's own header": {mediator.Front{Proxies: parsePeers(t, trusted)}, []visit{
			{trusted, xff("192.0.2.1, " + attacker), welcome}, {trusted, xff("192.0.2.2, " + attacker), tooMany},
			{trusted, []string{"X-Forwarded-For: 192.0.2.3", "X-Forwarded-For: " + attacker}, tooMany},
			{trusted, []string{"Forwarded: for=192.0.2.4", "X-Forwarded-For: " + attacker}, tooMany},
		}},
		"a proxy behind a proxy": {mediator.Front{Proxies: parsePeers(t, "10.0.0.0/8")}, []visit{
			{trusted, xff(attacker + ", 10.9.9.9"), welcome}, {"10.1.1.1", xff(attacker + ",10.8.8.8"), tooMany},
		}},
		"nobody is believed": {mediator.Front{}, []visit{
			{attacker, xff("192.0.2.1"), welcome}, {attacker, xff("192.0.2.2"), tooMany}, {honest, xff(attacker), welcome},
		}},
		"somebody else": {mediator.Front{Proxies: parsePeers(t, trusted)}, []visit{
			{attacker, xff(honest), welcome}, {attacker, xff(honest), tooMany}, {honest, nil, welcome},
		}},
		"Forwarded": {mediator.Front{Proxies: parsePeers(t, trusted), Header: mediator.Forwarded}, []visit{
			{trusted, []string{`Forwarded: for="[2001:db8::1]:4711";proto=https`}, welcome},
			{trusted, []string{`Forwarded: for=192.0.2.1, for="[2001:db8::2]"`, "X-Forwarded-For: 192.0.2.1"}, tooMany},
			{trusted, []string{"Forwarded: for=" + honest}, welcome},
		}},
		"a proxy that names nobody": {mediator.Front{Proxies: parsePeers(t, trusted)}, []visit{
			{trusted, nil, welcome}, {trusted, nil, welcome}, {trusted, xff("unknown"), welcome}, {trusted, xff("10.0.0.5"), welcome},
		}},
		"a client on the proxy's machine": {mediator.Front{Proxies: parsePeers(t, "127.0.0.0/8", "::1")}, []visit{
			{"127.0.0.1", xff(attacker), welcome}, {"::1", xff(attacker), tooMany}, {"127.0.0.1", nil, welcome}, {"127.0.0.1", nil, welcome},
		}},
	} {
		t.Run("B44 "+name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := startLimited(t, func(c *mediator.Config) { c.MaxAddressUnauthenticated, c.Front = 1, test.front })
				id := newIdentity(t)
				for i, v := range test.visits {
					if got := s.from(v.peer).knock(id, "", v.lines...); got != v.want {
						t.Errorf("%d, %s %v: answered with %d, want %d", i+1, v.peer, v.lines, got, v.want)
					}
				}
			})
		})
	}
}

// The header of version 2 that names attacker, for 10.0.0.1, with port 50,000.
const announcedV2 = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x07\x0a\x00\x00\x01\xc3\x50\x01\xbb"

func TestB44_ProxyProtocol(t *testing.T) {
	const v1 = "PROXY TCP4 " + attacker + " 10.0.0.1 50000 443\r\n"
	inBubble(t, func(t *testing.T) {
		s := startLimited(t, func(c *mediator.Config) {
			c.MaxAddressUnauthenticated = 1
			c.Front.ProxyProtocol = parsePeers(t, trusted)
		})
		id := newIdentity(t)
		for _, visit := range []struct {
			peer, begin string
			want        int
		}{
			{trusted, v1, welcome},
			{trusted, v1, tooMany},
			{trusted, announcedV2, tooMany},
			{trusted, strings.ReplaceAll(v1, attacker, honest), welcome},
			{trusted, "", http.StatusBadRequest}, // the client might have sent one
			{trusted, "PROXY TCP4 nonsense\r\n", http.StatusBadRequest},
			{trusted, "PROXY UNKNOWN\r\n", welcome}, // the proxy itself, looking whether somebody is there
			{trusted, "PROXY UNKNOWN\r\n", welcome},
			{attacker, "PROXY TCP4 192.0.2.9 10.0.0.1 50000 443\r\n", http.StatusBadRequest},
			{"192.0.2.8", "", welcome},
		} {
			if got := s.from(visit.peer).knock(id, visit.begin); got != visit.want {
				t.Errorf("%s, %q: answered with %d, want %d", visit.peer, visit.begin, got, visit.want)
			}
		}
	})
}

// Who begins a request through a proxy and does not go on counts as who he is: the others get in.
func TestB44_ProxyProtocolAndSlowRequests(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := startLimited(t, func(c *mediator.Config) {
			c.MaxAddressUnauthenticated = 5
			c.Front.ProxyProtocol = parsePeers(t, trusted)
		})
		open := 0
		for range 20 {
			w := s.from(trusted).dialTCP()
			io.WriteString(w, "PROXY TCP4 "+attacker+" 10.0.0.1 50000 443\r\nGET / HTTP/1.1\r\n")
			closed := make(chan struct{})
			go func() {
				io.Copy(io.Discard, w)
				close(closed)
			}()
			synctest.Wait()
			select {
			case <-closed:
			default:
				open++
			}
		}
		if open != 5 {
			t.Errorf("%d of 20 requests are waited for, want 5", open)
		}
		if got := s.from(trusted).knock(newIdentity(t), "PROXY TCP4 "+honest+" 10.0.0.1 50000 443\r\n"); got != welcome {
			t.Errorf("another client is answered with %d", got)
		}
	})
}

// A proxy that says nothing, or all but the end of its header, is waited for as long as a request.
func TestB44_ProxyProtocolTakesItsTime(t *testing.T) {
	for _, begin := range []string{"", "PROXY TCP4 ", announcedV2[:20]} {
		inBubble(t, func(t *testing.T) {
			s := startLimited(t, func(c *mediator.Config) { c.Front.ProxyProtocol = parsePeers(t, trusted) })
			w := s.from(trusted).dialTCP()
			io.WriteString(w, begin)
			began := time.Now()
			io.Copy(io.Discard, w)
			if took := time.Since(began); took > 11*time.Second {
				t.Errorf("%q: closed after %v", begin, took)
			}
		})
	}
}

func TestB44_ProxyProtocolBeforeTLS(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		config := mediator.DefaultConfig()
		config.MaxAddressUnauthenticated = 1
		config.Front.ProxyProtocol = parsePeers(t, trusted)
		s := startServer(t, listen.NewSecure(t, announcing{listen.NewPipe()}), memstore.New(), config)
		id := newIdentity(t)
		for _, want := range []int{welcome, tooMany} {
			if got := s.knock(id, ""); got != want {
				t.Errorf("answered with %d, want %d", got, want)
			}
		}
	})
}

// The log says once an hour that somebody behaves like a proxy, and nothing of who.
func TestFrontThatIsNotTrustedIsSeen(t *testing.T) {
	for name, visit := range map[string]func(*testServer, identity){
		"header":         func(s *testServer, id identity) { s.knock(id, "", "X-Forwarded-For: 192.0.2.1") },
		"PROXY protocol": func(s *testServer, id identity) { s.knock(id, "PROXY TCP4 192.0.2.1 10.0.0.1 1 2\r\n") },
		"version 2":      func(s *testServer, id identity) { s.knock(id, announcedV2) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var log logBuffer
				s := startLimited(t, func(c *mediator.Config) { c.Log = zerolog.New(&log) })
				id := newIdentity(t)
				s.from(honest).knock(id, "")
				time.Sleep(2 * time.Minute)
				if n := len(log.lines("proxy seems")); n != 0 {
					t.Errorf("%d lines without a proxy", n)
				}
				for range 90 {
					visit(s.from(trusted), id)
					time.Sleep(time.Minute)
				}
				lines := log.lines("proxy seems")
				if len(lines) != 2 || strings.Contains(strings.Join(lines, ""), "192.0.2") || strings.Contains(strings.Join(lines, ""), trusted) {
					t.Errorf("in 90 minutes: %q", lines)
				}
			})
		})
	}
}

func TestPeers(t *testing.T) {
	peers := parsePeers(t, "10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::ffff:198.51.100.1", "unix")
	for peer, want := range map[string]bool{
		"10.1.2.3:4": true, "11.0.0.1:4": false, "192.0.2.7:4": true, "192.0.2.8:4": false, "[::ffff:10.0.0.1]:4": true,
		"[2001:db8::1]:4": true, "[2001:db9::1]:4": false, "198.51.100.1:4": true, "@": true, "": true, "/run/x": true, "pipe": false,
	} {
		if got := peers.Contains(peer); got != want {
			t.Errorf("%q: %v", peer, got)
		}
	}
	none := parsePeers(t)
	if none.Contains("") || none.Contains("127.0.0.1:1") {
		t.Error("an empty set contains somebody")
	}
	for text, want := range map[string]string{
		"":             `"" is neither an IP address such as 10.0.0.5, nor a prefix such as 10.0.0.0/8, nor the word unix`,
		"proxy.local":  `"proxy.local" is neither an IP address such as 10.0.0.5, nor a prefix such as 10.0.0.0/8, nor the word unix`,
		"10.0.0.5/8":   `"10.0.0.5/8" has bits behind its prefix: is 10.0.0.0/8 meant?`,
		"0.0.0.0/0":    `"0.0.0.0/0" is everybody: then anybody could name any address`,
		"10.0.0.0/33":  `"10.0.0.0/33" is neither an IP address such as 10.0.0.5, nor a prefix such as 10.0.0.0/8, nor the word unix`,
		"10.0.0.5:443": `"10.0.0.5:443" is neither an IP address such as 10.0.0.5, nor a prefix such as 10.0.0.0/8, nor the word unix`,
	} {
		if _, err := mediator.ParsePeers([]string{text}); err == nil || err.Error() != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzFront has a proxy that is believed say anything at all.
func FuzzFront(f *testing.F) {
	f.Add([]byte(announcedV2), "for=1.2.3.4")
	f.Add([]byte("PROXY TCP6 ::1 ::1 1 2\r\n"), ", ,;for=\"[::1]:x\";;")
	f.Fuzz(func(t *testing.T, begin []byte, header string) {
		if strings.ContainsAny(header, "\r\n\x00") {
			return
		}
		inBubble(t, func(t *testing.T) {
			s := startLimited(t, func(c *mediator.Config) {
				c.Front = mediator.Front{Proxies: parsePeers(t, attacker), Header: mediator.Forwarded, ProxyProtocol: parsePeers(t, trusted)}
			})
			w := s.from(trusted).dialTCP()
			go io.Copy(io.Discard, w)
			w.Write(begin)
			w.Close()
			if got := s.from(attacker).knock(newIdentity(t), "", "Forwarded: "+header); got != welcome && got != http.StatusBadRequest {
				t.Errorf("answered with %d", got)
			}
			s.reflectsAtOnce(honest)
		})
	})
}

// announcing is a listener behind a proxy that names attacker.
type announcing struct{ *listen.Pipe }

// Dial connects from the proxy.
func (l announcing) Dial() (net.Conn, error) {
	conn, err := l.DialFrom(&net.TCPAddr{IP: net.ParseIP(trusted), Port: 1})
	if err == nil {
		_, err = io.WriteString(conn, announcedV2)
	}
	return conn, err
}
