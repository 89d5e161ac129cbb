package hostile

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/admin"
	"openmediator/admin/page"
	"openmediator/internal/listen"
)

// private is the operator's side of a target as it is on the network: the API and the page, behind a token that nobody here has.
type private struct{ target }

// nobodys are the figures of no server. The rest of what the page may do is not to be reached.
type nobodys struct{ t testing.TB }

func (nobodys) Vitals() page.Vitals                                    { return page.Vitals{State: page.Ready} }
func (n nobodys) Groups(context.Context, func(page.Group) error) error { return n.reached("groups") }
func (n nobodys) Drop(context.Context, string, string) (found bool, e error) {
	return false, n.reached("drop")
}
func (n nobodys) Drain() { n.reached("drain") }

func (n nobodys) reached(what string) error {
	n.t.Errorf("a stranger has reached %s", what)
	return nil
}

// newPrivate runs the private side of a mediator until the end of the test. Within a synctest bubble.
func newPrivate(t testing.TB) (*private, *honest) {
	t.Helper()
	m := newTarget(t, listen.NewPipe())
	shown := page.New(nobodys{t})
	handler := admin.Handler(admin.Options{
		Server: m.Server,
		Known:  func() (admin.Knowledge, error) { return admin.Knowledge{}, errors.New("a stranger has reached it") },
	})
	token := admin.Token("a token that is long enough")
	server, l := admin.NewServer(shown.Guarded(token.Require(handler), string(token))), listen.NewPipe()
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Close()
		<-served
		shown.Close()
		time.Sleep(time.Second) // net/http rests for half of one behind an answer
	})
	return &private{target{listener: l}}, newHonest(t, m, newIdentity(t))
}

// isWell fails unless who may ask is answered.
func (p *private) isWell(t testing.TB) {
	t.Helper()
	s := p.connect(t)
	if status, body, err := s.ask("GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"); status != http.StatusOK {
		t.Fatalf("GET /livez is answered with %d %q, %v", status, body, err)
	}
	s.Close()
}

// requestsOf are requests for all that there is, each with every method, in all ways in which a request can be wrong.
func requestsOf() (texts []string) {
	for _, path := range []string{
		"/", "/livez", "/readyz", "/metrics", "/groups", "/groups/" + strings.Repeat("ab", 32), "/privacy", "/backup", "/verify", "/compact",
		"/page/events", "/page/session", "/page/drop", "/page/drain", "/page/link", "/page/../groups", "//groups", "/page/%2e%2e/groups",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"} {
			texts = append(texts, lines(method+" "+path+" HTTP/1.1", "Host: 127.0.0.1", "Content-Length: 2", "Connection: close")+"{}",
				lines(method+" "+path+" HTTP/1.1", "Host: elsewhere.example", "Origin: http://elsewhere.example",
					"Authorization: Bearer a token that is long enougH", "Connection: close"))
		}
	}
	for _, r := range allRequests("/groups") {
		texts = append(texts, r.text)
	}
	return texts
}

// Whatever a stranger asks for, the answer tells nothing and does nothing, and the next one is answered.
func TestB44_PrivateRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, honest := newPrivate(t)
		for _, text := range requestsOf() {
			s := p.connect(t)
			s.SetDeadline(time.Now().Add(30 * time.Second))
			go s.Write([]byte(text))
			response, err := http.ReadResponse(s.r, &http.Request{Method: strings.SplitN(text, " ", 2)[0]})
			if err == nil {
				body, _ := io.ReadAll(io.LimitReader(response.Body, 1<<20))
				if response.StatusCode == switching || response.StatusCode == http.StatusInternalServerError ||
					strings.Contains(string(body), "has reached") || strings.Contains(string(body), `"groups":`) {
					t.Errorf("%.200q is answered with %d %.200q", text, response.StatusCode, body)
				}
			}
			s.Close()
		}
		p.isWell(t)
		honest.areWell()
	})
}

// However little of a request comes, and however slowly, the connection ends in time.
func TestB44_PrivateHalfRequests(t *testing.T) {
	const limit = 15 * time.Second
	whole := "POST /page/drop HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n"
	for name, send := range map[string]func(s *stream){
		"nothing":               func(*stream) {},
		"half a header":         func(s *stream) { s.Write([]byte(whole[:30])) },
		"all but the last byte": func(s *stream) { s.Write([]byte(whole[:len(whole)-1])) },
		"no body":               func(s *stream) { s.Write([]byte(whole)) },
		"a header, slowly":      func(s *stream) { s.Write([]byte(whole[:30])); trickle(s, "x", time.Second) },
		"headers without end":   func(s *stream) { s.Write([]byte(whole[:len(whole)-2])); trickle(s, "X: y\r\n", time.Second) },
		"a body, slowly":        func(s *stream) { s.Write([]byte(whole)); trickle(s, "x", time.Second) },
		"and another":           func(s *stream) { s.Write([]byte("GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET")) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, honest := newPrivate(t)
				s := p.connect(t)
				began := time.Now()
				var sending sync.WaitGroup
				sending.Go(func() { send(s) })
				io.Copy(io.Discard, s.r)
				if took := time.Since(began); took > limit {
					t.Errorf("the connection ended after %v", took)
				}
				sending.Wait()
				p.isWell(t)
				honest.areWell()
			})
		})
	}
}

// FuzzPrivate sends anything at all.
func FuzzPrivate(f *testing.F) {
	for i, text := range requestsOf() {
		if i%20 == 0 {
			f.Add([]byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		synctest.Test(t, func(t *testing.T) {
			p, honest := newPrivate(t)
			s := p.connect(t)
			go func() {
				s.Write(sent)
				time.Sleep(time.Second)
				s.Close()
			}()
			answer, _ := io.ReadAll(s.r)
			if strings.Contains(string(answer), "has reached") {
				t.Errorf("answered with %.200q", answer)
			}
			p.isWell(t)
			honest.areWell()
		})
	})
}
