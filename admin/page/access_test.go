package page_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/admin/page"
)

const dropBody = `{"group":"g1","device":"d1"}`

// link returns a code for a session.
func link(t *testing.T, p *page.Page) string {
	t.Helper()
	answer := request(p.Trusted(api, "http://127.0.0.1:1"), http.MethodPost, page.LinkPath, "", "Host", page.InternalHost)
	var l page.Link
	if err := json.Unmarshal(answer.Body.Bytes(), &l); err != nil || answer.Code != http.StatusOK {
		t.Fatalf("%d, %v", answer.Code, err)
	}
	code, ok := strings.CutPrefix(l.URL, "http://127.0.0.1:1/#once=")
	if !ok || !l.Expires.Equal(time.Now().Add(page.LinkLife)) {
		t.Fatalf("%+v", l)
	}
	return code
}

// signIn makes a session of a proof, a JSON object. It is empty if that is refused.
func signIn(t *testing.T, handler http.Handler, proof string) string {
	t.Helper()
	answer := request(handler, http.MethodPost, "/page/session", proof)
	var session struct{ Session string }
	if answer.Code == http.StatusOK {
		if err := json.Unmarshal(answer.Body.Bytes(), &session); err != nil || session.Session == "" {
			t.Fatalf("%v: %s", err, answer.Body)
		}
	} else if answer.Code != http.StatusForbidden {
		t.Fatalf("%s: answered with %d", proof, answer.Code)
	}
	return session.Session
}

// mayDrop says whether a session lets its holder drop a device.
func mayDrop(t *testing.T, handler http.Handler, session string) bool {
	t.Helper()
	answer := request(handler, http.MethodPost, "/page/drop", dropBody, "Authorization", "Bearer "+session)
	if answer.Code != http.StatusNoContent && answer.Code != http.StatusUnauthorized {
		t.Errorf("answered with %d: %s", answer.Code, answer.Body)
	}
	return answer.Code == http.StatusNoContent
}

func TestLinkIsGoodOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPage(t, newFake())
		handler := p.Guarded(api, token)
		code := link(t, p)
		session := signIn(t, handler, `{"once":"`+code+`"}`)
		if !mayDrop(t, handler, session) {
			t.Error("the session of a link is good for nothing")
		}
		for what, proof := range map[string]string{
			"used twice": `{"once":"` + code + `"}`, "wrong": `{"once":"ABC"}`, "empty": `{"once":""}`, "nothing": `{}`,
			"both wrong": `{"once":"ABC","token":"ABC"}`, "wrong with the token": `{"once":"ABC","token":"` + token + `"}`,
			"a part": `{"once":"` + link(t, p)[:25] + `"}`,
		} {
			if signIn(t, handler, proof) != "" {
				t.Errorf("%s: makes a session", what)
			}
		}
		late, inTime := link(t, p), link(t, p)
		time.Sleep(page.LinkLife - time.Second)
		if signIn(t, handler, `{"once":"`+inTime+`"}`) == "" {
			t.Error("a link is good for less than it should")
		}
		time.Sleep(time.Second)
		if signIn(t, handler, `{"once":"`+late+`"}`) != "" {
			t.Error("a link is good for longer than it should")
		}
		first := link(t, p)
		for range 16 {
			link(t, p)
		}
		if signIn(t, handler, `{"once":"`+first+`"}`) != "" {
			t.Error("more than 16 links are good at once")
		}
	})
}

func TestSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPage(t, newFake())
		handler := p.Guarded(api, token)
		session := signIn(t, handler, `{"token":"`+token+`"}`)
		if !mayDrop(t, handler, session) || !mayDrop(t, handler, token) {
			t.Error("neither session nor token is good")
		}
		if again := newPage(t, newFake()).Guarded(api, token); !mayDrop(t, again, session) {
			t.Error("a server that has started again does not take it")
		}
		other := p.Guarded(api, "ANOTHERTOKENANOTHERTOKEN22")
		for what, refused := range map[string]bool{
			"another token":     !mayDrop(t, other, session),
			"no token at all":   !mayDrop(t, other, ""),
			"empty":             !mayDrop(t, handler, ""),
			"a changed one":     !mayDrop(t, handler, flip(session)),
			"a shorter one":     !mayDrop(t, handler, session[:len(session)-2]),
			"the wrong token":   !mayDrop(t, handler, "x"+token),
			"signed by nothing": signIn(t, handler, `{"token":""}`) == "",
		} {
			if !refused {
				t.Errorf("%s is taken", what)
			}
		}
		time.Sleep(page.SessionLife - time.Second)
		if !mayDrop(t, handler, session) {
			t.Error("a session ends too early")
		}
		time.Sleep(time.Second)
		if mayDrop(t, handler, session) {
			t.Error("a session does not end")
		}
	})
}

// flip changes a character in the middle.
func flip(text string) string {
	b := []byte(text)
	if i := len(b) / 2; b[i] == 'A' {
		b[i] = 'B'
	} else {
		b[i] = 'A'
	}
	return string(b)
}

// Without a session nothing is told and nothing is done.
func TestStrangers(t *testing.T) {
	f := newFake()
	handler := newPage(t, f).Guarded(api, token)
	for _, authorization := range []string{"", "Bearer", "Bearer ", "Basic " + token, token, "Bearer " + token[1:], "Bearer " + strings.Repeat("A", 75)} {
		for _, asked := range []string{"GET /page/events", "POST /page/drop", "POST /page/drain"} {
			method, path, _ := strings.Cut(asked, " ")
			answer := request(handler, method, path, dropBody, "Authorization", authorization)
			if answer.Code != http.StatusUnauthorized || strings.Contains(answer.Body.String(), "g1") {
				t.Errorf("%s with %q: %d %s", asked, authorization, answer.Code, answer.Body)
			}
		}
	}
	if f.acts() != 0 {
		t.Errorf("%d things were done", f.acts())
	}
}

// What another page makes a browser send is refused, even where nobody is asked for a session.
func TestOtherPages(t *testing.T) {
	f := newFake()
	p := newPage(t, f)
	for what, handler := range map[string]http.Handler{"trusted": p.Trusted(api, ""), "guarded": p.Guarded(api, token)} {
		for _, headers := range [][]string{
			{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "http://evil.example"},
			{"Origin", "null"}, {"Origin", "http://127.0.0.1:9999"},
		} {
			headers = append(headers, "Authorization", "Bearer "+token)
			for _, path := range []string{"/page/drop", "/page/drain", "/page/session", "/page/link"} {
				if answer := request(handler, http.MethodPost, path, dropBody, headers...); answer.Code != http.StatusForbidden {
					t.Errorf("%s: %s with %v: %d", what, path, headers, answer.Code)
				}
			}
		}
		if f.acts() != 0 {
			t.Fatalf("%s: something was done", what)
		}
	}
	own := []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://127.0.0.1:8441"}
	if answer := request(p.Trusted(api, ""), http.MethodPost, "/page/drop", dropBody, own...); answer.Code != http.StatusNoContent {
		t.Errorf("its own page: %d", answer.Code)
	}
	if answer := request(p.Trusted(api, ""), http.MethodDelete, "/groups/x", "", "Origin", "http://evil.example"); answer.Code != http.StatusForbidden {
		t.Errorf("what lies beside the page: %d", answer.Code)
	}
}

// A name that somebody else decides about is refused: it may have been led here.
func TestHost(t *testing.T) {
	p := newPage(t, newFake())
	trusted, guarded := p.Trusted(api, ""), p.Guarded(api, token)
	for host, want := range map[string]int{
		"127.0.0.1:8441": 200, "127.0.0.1": 200, "[::1]:8441": 200, "localhost:1": 200, "LOCALHOST": 200, "10.1.2.3:8441": 200,
		"evil.example:8441": 421, "evil.example": 421, "localhost.evil.example": 421, "127.0.0.1.nip.io:8441": 421, "": 421,
		"mediator": 421, "localhost:1:2": 421, "127.0.0.1:8441@evil.example": 421,
	} {
		for _, path := range []string{"/", "/page/page.js"} {
			if answer := request(guarded, http.MethodGet, path, "", "Host", host); answer.Code != want {
				t.Errorf("%q: %s answered with %d, want %d", host, path, answer.Code, want)
			}
		}
		if host == page.InternalHost {
			want = 200
		}
		for _, path := range []string{"/", "/groups"} {
			if answer := request(trusted, http.MethodGet, path, "", "Host", host); answer.Code != want {
				t.Errorf("trusted: %q: %s answered with %d, want %d", host, path, answer.Code, want)
			}
		}
	}
	if answer := request(guarded, http.MethodGet, "/metrics", "", "Host", "mediator.example.net"); answer.Code != 200 {
		t.Errorf("what is not the page's: %d", answer.Code)
	}
}

// Requests that are not what is expected do nothing.
func TestRequestsThatAreWrong(t *testing.T) {
	f := newFake()
	handler := newPage(t, f).Trusted(api, "")
	for _, body := range []string{
		"", "null and more", "[]", "7", `"g1"`, "{", `{"group":7}`, `{"group":"g1","device":"d1","more":1}`, dropBody + dropBody,
		`{"group":"` + strings.Repeat("x", 8<<10) + `"}`,
	} {
		for _, path := range []string{"/page/drop", "/page/drain"} {
			if answer := request(handler, http.MethodPost, path, body); answer.Code != http.StatusBadRequest {
				t.Errorf("%s %.30s: %d", path, body, answer.Code)
			}
		}
	}
	if answer := request(handler, http.MethodPost, "/page/drop", dropBody, "Content-Type", "text/plain"); answer.Code != http.StatusBadRequest {
		t.Errorf("as text: %d", answer.Code)
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		for _, path := range []string{"/page/drop", "/page/drain", "/page/link"} {
			request(handler, method, path, dropBody)
		}
	}
	if f.acts() != 0 {
		t.Errorf("%d things were done", f.acts())
	}
	if answer := request(handler, http.MethodPost, page.LinkPath, ""); answer.Code != http.StatusConflict || !strings.Contains(answer.Body.String(), "admin-listen") {
		t.Errorf("a link to nowhere: %d %s", answer.Code, answer.Body)
	}
}

func TestActions(t *testing.T) {
	f := newFake()
	handler := newPage(t, f).Trusted(api, "")
	for body, want := range map[string]int{dropBody: http.StatusNoContent, `{"group":"g1","device":"d9"}`: http.StatusNotFound} {
		if answer := request(handler, http.MethodPost, "/page/drop", body); answer.Code != want {
			t.Errorf("%s: %d", body, answer.Code)
		}
	}
	if answer := request(handler, http.MethodPost, "/page/drain", "{}"); answer.Code != http.StatusAccepted || f.drains != 1 {
		t.Errorf("drain: %d, %d times", answer.Code, f.drains)
	}
	f.failure = http.ErrHandlerTimeout
	answer := request(handler, http.MethodPost, "/page/drop", dropBody)
	if answer.Code != http.StatusServiceUnavailable || !strings.Contains(answer.Body.String(), "not known whether") {
		t.Errorf("a store that fails: %d %s", answer.Code, answer.Body)
	}
}
