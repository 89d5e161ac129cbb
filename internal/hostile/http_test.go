package hostile

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/d2m"
	"openmediator/internal/listen"
)

// request is something that comes instead of a proper upgrade, and the status that it is answered with; 0: the connection
// ends without an answer.
type request struct {
	name, text string
	status     int
}

const (
	switching  = http.StatusSwitchingProtocols
	badRequest = http.StatusBadRequest
	noUpgrade  = http.StatusUpgradeRequired
	notAllowed = http.StatusMethodNotAllowed
)

// lines are a request of the lines that are not empty.
func lines(lines ...string) (text string) {
	for _, line := range lines {
		if line != "" {
			text += line + "\r\n"
		}
	}
	return text + "\r\n"
}

// headers is an upgrade for a path with some of its header lines replaced, by name; "" leaves one out.
func headers(path string, replaced ...string) string {
	all := []string{
		"GET " + path + " HTTP/1.1", "Host: server", "Connection: Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
	}
	for _, line := range replaced {
		name, value, _ := strings.Cut(line, ":")
		for i := range all {
			if strings.HasPrefix(all[i], name+":") {
				all[i] = line
				if value == "" {
					all[i] = ""
				}
			}
		}
	}
	return lines(all...)
}

func hostRequests(path string) []request {
	return []request{
		{"no host", headers(path, "Host:"), badRequest},
		{"an empty host", headers(path, "Host: "), switching},
		{"two hosts", strings.Replace(headers(path), "Host: server", "Host: server\r\nHost: other", 1), badRequest},
		{"a host that is none", headers(path, "Host: a b"), badRequest},
		{"another host", headers(path, "Host: elsewhere.example:1"), switching},
	}
}

func upgradeRequests(path string) []request {
	return []request{
		{"no Upgrade", headers(path, "Upgrade:"), noUpgrade},
		{"another Upgrade", headers(path, "Upgrade: h2c"), noUpgrade},
		{"one of several Upgrades", headers(path, "Upgrade: h2c, WebSocket"), switching},
		{"two Upgrades", headers(path, "Upgrade: h2c\r\nUpgrade: websocket"), switching},
		{"nearly the Upgrade", headers(path, "Upgrade: websockets"), noUpgrade},
		{"no Connection", headers(path, "Connection:"), noUpgrade},
		{"another Connection", headers(path, "Connection: keep-alive"), noUpgrade},
		{"one of several Connections", headers(path, "Connection: keep-alive, upgrade"), switching},
		{"no version", headers(path, "Sec-WebSocket-Version:"), badRequest},
		{"an old version", headers(path, "Sec-WebSocket-Version: 8"), badRequest},
		{"a new version", headers(path, "Sec-WebSocket-Version: 14"), badRequest},
		{"two versions", headers(path, "Sec-WebSocket-Version: 13, 8"), badRequest},
		{"version 013", headers(path, "Sec-WebSocket-Version: 013"), badRequest},
		{"no key", headers(path, "Sec-WebSocket-Key:"), badRequest},
		{"two keys", headers(path, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="), badRequest},
		{"a short key", headers(path, "Sec-WebSocket-Key: AAAA"), badRequest},
		{"a long key", headers(path, "Sec-WebSocket-Key: "+strings.Repeat("A", 4000)), badRequest},
		{"a key that is no base64", headers(path, "Sec-WebSocket-Key: ??????????????????????=="), badRequest},
		{"everything twice", strings.Replace(headers(path), "\r\n\r\n", "\r\n"+headers(path)[len("GET "+path+" HTTP/1.1\r\n"):], 1), badRequest},
	}
}

func pathRequests(path string) []request {
	segment := path[1:]
	percent := func(s string) (all string) {
		for _, c := range []byte(s) {
			all += "%" + string("0123456789ABCDEF"[c>>4]) + string("0123456789ABCDEF"[c&15])
		}
		return all
	}
	return []request{
		{"an absolute URI", headers("http://server" + path), switching},
		{"an absolute URI of another host", headers("ws://elsewhere.example:1/base" + path), switching},
		{"an absolute URI without a path", headers("http://server"), badRequest},
		{"no slash", headers(segment), badRequest},
		{"the path percent-encoded", headers("/" + percent(segment)), switching},
		{"half an encoding", headers(path + "%3"), badRequest},
		{"no encoding", headers(path + "%zz"), badRequest},
		{"an encoded zero", headers(path + "%00"), badRequest},
		{"an encoded line", headers(path + "%0d%0aX:%20y"), badRequest},
		{"an encoded query", headers(path + "%3Fquery"), badRequest},
		{"an encoded fragment", headers(path + "%23x"), badRequest},
		{"a fragment", headers(path + "#x"), badRequest},
		{"an encoded slash before it", headers("/base%2F" + segment), switching},
		{"an encoded slash behind it", headers(path + "%2F"), badRequest},
		{"a backslash", headers("/base\\" + segment), badRequest},
		{"letters that are no ASCII", headers(path + "\xc3\xa4"), badRequest},
		{"a control character", headers(path + "\x7f"), badRequest},
		{"dots behind it", headers(path + "/."), badRequest},
		{"parameters", headers(path + ";a=b"), badRequest},
		{"a blank in it", headers(path + " x"), badRequest},
		{"a long base", headers("/" + strings.Repeat("a/", 4000) + segment), switching},
		{"a long segment", headers("/" + strings.Repeat("0a", 4000)), badRequest},
		{"a long query", headers(path + "?" + strings.Repeat("a", 8000)), switching},
		{"an asterisk", headers("*"), badRequest},
		{"nothing", "GET  HTTP/1.1\r\nHost: server\r\n\r\n", badRequest},
	}
}

func garbageRequests(path string) []request {
	return []request{
		{"zeroes", strings.Repeat("\x00", 300) + "\r\n\r\n", badRequest},
		{"a TLS client hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x55", 400) + "\r\n\r\n", badRequest},
		{"a WebSocket frame", string(wsFrame(fin|opBinary, counting(40))) + "\r\n\r\n", badRequest},
		{"empty lines", strings.Repeat("\r\n", 100), badRequest},
		{"words", "hello, is there anybody\r\n\r\n", badRequest},
		{"a header without a name", headers(path, "Host: server\r\n: value"), badRequest},
		{"a header without a colon", headers(path, "Host: server\r\nvalue"), badRequest},
		{"a header with a blank in its name", headers(path, "Host: server\r\nX Y: z"), badRequest},
		{"a header with a zero in it", headers(path, "Host: server\r\nX: \x00"), badRequest},
		{"a folded header", headers(path, "Host: server\r\nX: y\r\n folded"), switching},
		{"lines that end with LF alone", strings.ReplaceAll(headers(path), "\r\n", "\n"), switching},
		{"a huge header", headers(path, "Host: server\r\nX: "+strings.Repeat("x", 64<<10)), http.StatusRequestHeaderFieldsTooLarge},
		{"a huge request line", headers("/" + strings.Repeat("x", 64<<10)), http.StatusRequestHeaderFieldsTooLarge},
		{"a thousand headers", headers(path, "Host: server"+strings.Repeat("\r\nX: xxxxxxxxxxxxxxxxxx", 1000)), http.StatusRequestHeaderFieldsTooLarge},
		{"a hundred headers", headers(path, "Host: server"+strings.Repeat("\r\nX: xxxxxxxxxxxxxxxxxx", 100)), switching},
		{"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", notAllowed},
		{"HTTP/2", strings.Replace(headers(path), "HTTP/1.1", "HTTP/2.0", 1), http.StatusHTTPVersionNotSupported},
		{"HTTP/1.0", strings.Replace(headers(path), "HTTP/1.1", "HTTP/1.0", 1), noUpgrade},
		{"HTTP/1.0 without upgrade", "GET / HTTP/1.0\r\n\r\n", noUpgrade},
		{"HTTP/0.9", "GET " + path + "\r\n\r\n", badRequest},
		{"HTTP/9.9", strings.Replace(headers(path), "HTTP/1.1", "HTTP/9.9", 1), http.StatusHTTPVersionNotSupported},
		{"HTTP/x", strings.Replace(headers(path), "HTTP/1.1", "HTTP/x", 1), badRequest},
		{"another protocol", strings.Replace(headers(path), "HTTP/1.1", "RTSP/1.0", 1), badRequest},
		{"a method that is none", strings.Replace(headers(path), "GET", "G\x00T", 1), badRequest},
		{"a method in small letters", strings.Replace(headers(path), "GET", "get", 1), notAllowed},
		{"HEAD", strings.Replace(headers(path), "GET", "HEAD", 1), noUpgrade},
		{"CONNECT", strings.Replace(headers(path), "GET "+path, "CONNECT server:443", 1), notAllowed},
	}
}

func bodyRequests(path string) []request {
	body := func(header, body string) string { return headers(path, "Host: server\r\n"+header) + body }
	return []request{
		{"a length that is none", body("Content-Length: x", ""), badRequest},
		{"a negative length", body("Content-Length: -1", ""), badRequest},
		{"two lengths", body("Content-Length: 1\r\nContent-Length: 2", ""), badRequest},
		{"an unknown encoding", body("Transfer-Encoding: gzip", ""), http.StatusNotImplemented},
		{"a body that is posted in halves", strings.Replace(body("Content-Length: 1000000", "half"), "GET", "POST", 1), notAllowed},
		{"chunks that are none", strings.Replace(body("Transfer-Encoding: chunked", "zz\r\n"), "GET", "POST", 1), notAllowed},
		{"something else is expected", body("Expect: the unexpected", ""), http.StatusExpectationFailed},
	}
}

func allRequests(path string) (all []request) {
	for _, requests := range [](func(string) []request){hostRequests, upgradeRequests, pathRequests, garbageRequests, bodyRequests} {
		all = append(all, requests(path)...)
	}
	return all
}

// ask sends a request and returns the status of the answer and its body. After an upgrade it expects ServerHello.
func (s *stream) ask(text string) (status int, body string, err error) {
	go s.Write([]byte(text)) // the answer may come before all of it is read
	response, err := http.ReadResponse(s.r, &http.Request{Method: strings.SplitN(text, " ", 2)[0]})
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	if response.StatusCode == switching {
		s.expectHello()
		return switching, "", nil
	}
	b, err := io.ReadAll(response.Body)
	return response.StatusCode, string(b), err
}

func TestB1_Requests(t *testing.T) {
	m := newTarget(t, listen.TCP(t))
	id := newIdentity(t)
	honest := newHonest(t, m, id)
	path := id.path()
	for _, r := range allRequests(path) {
		t.Run(r.name, func(t *testing.T) {
			honest.t = t
			s := m.connect(t)
			status, body, err := s.ask(r.text)
			if status != r.status || err != nil && status != 0 {
				t.Errorf("answered with %d %q, %v; want %d", status, body, err, r.status)
			}
			if strings.Contains(strings.ToLower(body), path[1:]) {
				t.Errorf("answer repeats the path: %q", body)
			}
			if status != switching {
				s.endWriting()
				if _, err := s.r.ReadByte(); err == nil {
					t.Error("something comes behind the answer")
				}
			}
			honest.areWell()
		})
	}
}

// What a device sends right behind its request, before it knows the answer, is taken.
func TestB1_PipelinedBehindTheRequest(t *testing.T) {
	m := newTarget(t, listen.TCP(t))
	id := newIdentity(t)
	ping := wsFrame(fin|opPing, []byte("early"))
	held := wsFrame(fin|opBinary, d2m.Proxy{Data: counting(3000)}.Append(nil))
	for name, test := range map[string]struct {
		sent []byte
		want outcome
	}{
		"a ping":             {ping, outcome{pongs: []string{"early"}}},
		"half a ping":        {ping[:4], outcome{}},
		"more than a buffer": {append(append(held, held...), ping...), outcome{pongs: []string{"early"}}},
		"too much":           {append(append(append(held, held...), append(held, held...)...), append(held, held...)...), protocolError},
		"a Close":            {wsFrame(fin|opClose, closePayload(1001, "")), outcome{code: 1001}},
		"a violation":        {bytes.Repeat([]byte{0xff}, 14), violation},
		"another request":    {[]byte(id.request()), violation},
		"text":               {wsFrame(fin|opText, []byte("text")), protocolError},
	} {
		t.Run(name, func(t *testing.T) {
			s := m.connect(t)
			s.write(append([]byte(id.request()), test.sent...))
			s.expectUpgrade()
			if test.want.code == 0 && len(test.want.pongs) == 0 {
				s.write(ping[4:])
				test.want.pongs = []string{"early"}
			}
			got := s.observe(func(o outcome) bool { return test.want.code == 0 && len(o.pongs) > 0 })
			if !got.equal(test.want) {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

// However little of a request comes, and however slowly: the connection ends within its limit (B44), and it tells why if it can.
func TestB44_HalfRequests(t *testing.T) {
	const limit = 30 * time.Second
	path := newIdentity(t).path()
	whole := headers(path)
	for name, send := range map[string]func(s *stream){
		"nothing":                func(*stream) {},
		"a byte":                 func(s *stream) { s.Write([]byte("G")) },
		"a line":                 func(s *stream) { s.Write([]byte("GET / HTTP/1.1\r\n")) },
		"all but the last byte":  func(s *stream) { s.Write([]byte(whole[:len(whole)-1])) },
		"empty lines, slowly":    func(s *stream) { trickle(s, "\r\n", time.Second) },
		"a header without end":   func(s *stream) { s.Write([]byte(whole[:len(whole)-2] + "X: ")); trickle(s, "x", time.Second) },
		"headers without end":    func(s *stream) { s.Write([]byte(whole[:len(whole)-2])); trickle(s, "X: y\r\n", time.Second) },
		"a request line, slowly": func(s *stream) { trickle(s, "G", 9*time.Second) },
		"a body, slowly": func(s *stream) {
			s.Write([]byte(strings.Replace(headers(path, "Host: server\r\nContent-Length: 1000000"), "GET", "POST", 1)))
			trickle(s, "x", time.Second)
		},
	} {
		for _, reads := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := newTarget(t, listen.NewPipe())
					s := m.connect(t)
					s.SetDeadline(time.Now().Add(2 * limit))
					began := time.Now()
					var sending sync.WaitGroup
					sending.Go(func() { send(s) })
					if reads {
						io.Copy(io.Discard, s.r)
					} else {
						time.Sleep(limit)
					}
					if took := time.Since(began); took > limit {
						t.Errorf("the connection ended after %v", took)
					}
					sending.Wait()
					if _, err := s.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
						t.Errorf("the connection is still there after %v: %v", time.Since(began), err)
					}
					time.Sleep(time.Second) // net/http rests for half of one behind an answer
				})
			})
		}
	}
}

// trickle sends something again and again until the connection ends.
func trickle(s *stream, what string, every time.Duration) {
	for {
		if _, err := s.Write([]byte(what)); err != nil {
			return
		}
		time.Sleep(every)
	}
}
