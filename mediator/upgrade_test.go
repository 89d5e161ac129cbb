package mediator_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"openmediator/d2m"
)

// answer is what the server says to an HTTP request.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends a request as it is. The connection is then left alone.
func (s *testServer) ask(request string) answer {
	s.t.Helper()
	w := s.dialTCP()
	w.writeString(request)
	method, _, _ := strings.Cut(request, " ")
	response, err := http.ReadResponse(w.r, &http.Request{Method: method})
	if err != nil {
		s.t.Fatal(err)
	}
	a := answer{status: response.StatusCode, header: response.Header}
	if a.status == http.StatusSwitchingProtocols {
		expectOn[d2m.ServerHello](w)
		return a
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	a.body = string(body)
	return a
}

func (a answer) expect(t *testing.T, status int) {
	t.Helper()
	if a.status != status {
		t.Errorf("answered with %d %q, want %d", a.status, a.body, status)
	}
	if a.header.Get("Location") != "" {
		t.Error("answer redirects")
	}
}

// plainRequest asks for no upgrade.
func plainRequest(method, target string) string {
	return method + " " + target + " HTTP/1.1\r\nHost: server\r\n\r\n"
}

func TestB1_InvalidPathsAreRefused(t *testing.T) {
	s := start(t)
	for _, v := range readVectors(t).InvalidPaths {
		for _, base := range []string{"/", "/mediator/", "/4f/", "//"} {
			t.Run(v.Why+" below "+base, func(t *testing.T) {
				a := s.ask(upgradeRequest("GET", base+v.Path))
				a.expect(t, http.StatusBadRequest)
				if a.header.Get("Upgrade") != "" {
					t.Error("refusal holds an Upgrade header")
				}
				if line := strings.TrimSuffix(a.body, "\n"); line == "" || strings.ContainsAny(line, "\n<>") {
					t.Errorf("body %q is not one plain sentence", a.body)
				}
				if len(v.Path) > 3 && strings.Contains(strings.ToLower(a.body), strings.ToLower(v.Path)) {
					t.Errorf("body %q repeats the path", a.body)
				}
				s.ask(plainRequest("GET", base+v.Path)).expect(t, http.StatusUpgradeRequired)
			})
		}
	}
	if groups := s.storedGroups(); len(groups) != 0 || s.Connections() != 0 {
		t.Errorf("%d groups and %d connections came of refused requests", len(groups), s.Connections())
	}
}

func TestB1_PathsAreNotCleaned(t *testing.T) {
	s := start(t)
	path := newIdentity(t).path()
	for _, target := range []string{
		path,
		"/mediator" + path,
		"/4f" + path,
		"/" + path,
		"/a//b///c" + path,
		"/.." + path,
		"/a/../b/." + path,
		path + "?query",
		path + "?a=/0a20&b=zz",
		"/x" + path + "?" + path,
		"/" + strings.ToUpper(path[1:]),
	} {
		s.ask(upgradeRequest("GET", target)).expect(t, http.StatusSwitchingProtocols)
	}
	for _, v := range readVectors(t).Paths {
		s.ask(upgradeRequest("GET", "/base//"+v.Path)).expect(t, http.StatusSwitchingProtocols)
	}
	for _, target := range []string{path + "/", path + "/?query", path + "/x", "/?" + path} {
		s.ask(upgradeRequest("GET", target)).expect(t, http.StatusBadRequest)
	}
}

func TestB1_WithoutUpgrade(t *testing.T) {
	s := start(t)
	for _, target := range []string{"/", "/x", "//", "/4f/zz", newIdentity(t).path(), "/?query"} {
		for _, method := range []string{"GET", "HEAD"} {
			a := s.ask(plainRequest(method, target))
			a.expect(t, http.StatusUpgradeRequired)
			if a.header.Get("Upgrade") != "websocket" {
				t.Errorf("%s %s: Upgrade is %q", method, target, a.header.Get("Upgrade"))
			}
		}
	}
}

// What asks for an upgrade in part asks for none: then the path does not matter.
func TestB1_HalfAnUpgradeIsNone(t *testing.T) {
	s := start(t)
	whole := upgradeRequest("GET", "PATH")
	for name, request := range map[string]string{
		"no connection header": strings.Replace(whole, "Connection: Upgrade\r\n", "", 1),
		"another connection":   strings.Replace(whole, "Connection: Upgrade", "Connection: keep-alive, upgrades", 1),
		"another upgrade":      strings.Replace(whole, "Upgrade: websocket", "Upgrade: websockets", 1),
		"HTTP/1.0":             strings.Replace(whole, "HTTP/1.1", "HTTP/1.0", 1),
		"HEAD":                 strings.Replace(whole, "GET", "HEAD", 1),
	} {
		t.Run(name, func(t *testing.T) {
			if request == whole {
				t.Fatal("request is a whole one")
			}
			for _, path := range []string{"/", "/x", newIdentity(t).path()} {
				s.ask(strings.Replace(request, "PATH", path, 1)).expect(t, http.StatusUpgradeRequired)
			}
		})
	}
}

func TestB1_OtherMethods(t *testing.T) {
	s := start(t)
	path := newIdentity(t).path()
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"} {
		for _, target := range []string{"/", "/x", path} {
			s.ask(plainRequest(method, target)).expect(t, http.StatusMethodNotAllowed)
			s.ask(upgradeRequest(method, target)).expect(t, http.StatusMethodNotAllowed)
		}
	}
	s.ask(plainRequest("OPTIONS", "*")).expect(t, http.StatusMethodNotAllowed)
	s.ask(plainRequest("CONNECT", "server:80")).expect(t, http.StatusMethodNotAllowed)
}

func TestB1_AnyOrigin(t *testing.T) {
	s := start(t)
	path := newIdentity(t).path()
	s.ask(upgradeRequest("GET", path)).expect(t, http.StatusSwitchingProtocols)
	for _, origin := range []string{"file://", "null", "app://x", "http://server", "https://elsewhere.example", "%", ""} {
		s.ask(upgradeRequest("GET", path, "Origin: "+origin)).expect(t, http.StatusSwitchingProtocols)
	}
}

func TestB1_NothingIsNegotiated(t *testing.T) {
	s := start(t)
	a := s.ask(upgradeRequest("GET", newIdentity(t).path(),
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
		"Sec-WebSocket-Protocol: chat, d2m"))
	a.expect(t, http.StatusSwitchingProtocols)
	if a.header.Get("Connection") != "Upgrade" || a.header.Get("Upgrade") != "websocket" {
		t.Errorf("answer holds %v", a.header)
	}
	for _, name := range []string{"Sec-Websocket-Extensions", "Sec-Websocket-Protocol", "Set-Cookie"} {
		if value, there := a.header[name]; there {
			t.Errorf("answer holds %s: %s", name, value)
		}
	}
}

func TestB1_NoAnswerTellsOfAGroup(t *testing.T) {
	s := start(t)
	there, elsewhere := newIdentity(t), newIdentity(t)
	s.login(there, 1, d2m.SlotNew)
	for _, method := range []string{"GET", "HEAD", "POST"} {
		for _, request := range []func(method, target string) string{
			plainRequest,
			func(method, target string) string { return upgradeRequest(method, target, "Sec-WebSocket-Version: 12") },
		} {
			a, b := s.ask(request(method, there.path())), s.ask(request(method, elsewhere.path()))
			a.header.Del("Date")
			b.header.Del("Date")
			var one, other strings.Builder
			a.header.Write(&one)
			b.header.Write(&other)
			if a.status != b.status || a.body != b.body || one.String() != other.String() {
				t.Errorf("%s: %+v for a group that exists, %+v for one that does not", method, a, b)
			}
		}
	}
}

func TestB1_BrokenUpgrades(t *testing.T) {
	s := start(t)
	path := newIdentity(t).path()
	for name, test := range map[string]struct {
		lines  string
		status int
	}{
		"no connection header": {"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", 426},
		"another upgrade":      {"Connection: Upgrade\r\nUpgrade: h2c\r\n", 426},
		"old version":          {"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", 400},
		"no key":               {"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n", 400},
		"short key":            {"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA\r\n", 400},
	} {
		t.Run(name, func(t *testing.T) {
			s.ask("GET "+path+" HTTP/1.1\r\nHost: server\r\n"+test.lines+"\r\n").expect(t, test.status)
		})
	}
	if s.Connections() != 0 {
		t.Errorf("%d connections are counted", s.Connections())
	}
}
