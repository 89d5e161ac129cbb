package page

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

const (
	// maxBody is of a request, bytes.
	maxBody = 4 << 10

	// dropTimeout is how long the store may take.
	dropTimeout = 30 * time.Second
)

//go:embed static
var static embed.FS

// index is the page itself. It says whether a session is needed.
var index = file("index.html")

// assets are the files that the page asks for.
var assets = []struct{ name, kind string }{
	{"page.css", "text/css; charset=utf-8"},
	{"page.js", "text/javascript; charset=utf-8"},
	{"show.js", "text/javascript; charset=utf-8"},
	{"format.js", "text/javascript; charset=utf-8"},
	{"icon.svg", "image/svg+xml"},
}

func file(name string) []byte {
	data, err := static.ReadFile("static/" + name)
	if err != nil {
		panic(err)
	}
	return data
}

// side is a page as one listener shows it.
type side struct {
	*Page
	trusted bool
	base    string // of links
	token   string
	key     []byte // of the sessions
}

// Trusted serves the page, and next beside it, on a socket that only the operator may open. Whoever forwards the socket to a
// port of their own machine can open the page there, as localhost. Links lead to base, http://HOST:PORT, where the page is
// served to the network; it is empty if it is not.
func (p *Page) Trusted(next http.Handler, base string) http.Handler {
	s := &side{Page: p, trusted: true, base: base}
	mux := s.routes(next, bytes.Replace(index, []byte(`data-access="session"`), []byte(`data-access="open"`), 1))
	mux.HandleFunc("POST "+LinkPath, s.own(s.link))
	return checkHost(checkOrigin(mux), InternalHost)
}

// Guarded serves the page, and next beside it, on an address of the network, for those who hold a session or the token. What is
// next's is next's to guard.
func (p *Page) Guarded(next http.Handler, token string) http.Handler {
	s := &side{Page: p, token: token, key: newSessionKey(token)}
	pages := s.routes(http.NotFoundHandler(), index)
	pages.HandleFunc("POST /page/session", s.own(s.session))
	own := checkHost(checkOrigin(pages))
	mux := http.NewServeMux()
	mux.Handle("/{$}", own)
	mux.Handle("/page/", own)
	mux.Handle("/", next)
	return mux
}

// routes are those of both sides.
func (s *side) routes(next http.Handler, index []byte) *http.ServeMux {
	mux := http.NewServeMux()
	serve := func(path, kind string, data []byte) {
		mux.HandleFunc("GET "+path, s.own(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write(data) // who does not take it has gone
		}))
	}
	serve("/{$}", "text/html; charset=utf-8", index)
	for _, a := range assets {
		serve("/page/"+a.name, a.kind, file(a.name))
	}
	mux.HandleFunc("GET /page/events", s.own(s.requireSession(s.events)))
	mux.HandleFunc("POST /page/drop", s.own(s.requireSession(s.drop)))
	mux.HandleFunc("POST /page/drain", s.own(s.requireSession(s.drain)))
	mux.Handle("/", next)
	return mux
}

// own is a handler of the page's own, with the headers and the limits of one.
func (s *side) own(handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		handler(w, r)
	}
}

// LinkPath is where links are made.
const LinkPath = "/page/link"

// Link is the answer to POST LinkPath.
type Link struct {
	URL     string    `json:"url"` // good once
	Expires time.Time `json:"expires"`
}

var errNoAddress = errors.New("admin-listen: the server has no address that a browser can open: set it, to 127.0.0.1:8441 for one, " +
	"and start the server again; or forward the control socket to a port of your own machine with ssh -L")

func (s *side) link(w http.ResponseWriter, _ *http.Request) {
	if s.base == "" {
		refuse(w, http.StatusConflict, errNoAddress)
		return
	}
	code, ends := s.links.make(time.Now())
	reply(w, Link{s.base + "/#once=" + code, ends.UTC()})
}

// sessionAnswer is the answer to POST /page/session.
type sessionAnswer struct {
	Session string    `json:"session"`
	Expires time.Time `json:"expires"`
}

func (s *side) session(w http.ResponseWriter, r *http.Request) {
	var asked struct{ Once, Token string }
	if !read(w, r, &asked) {
		return
	}
	switch {
	case asked.Once != "" && !s.links.use(time.Now(), asked.Once):
		refuse(w, http.StatusForbidden, errors.New("link: was used before, or is too old; \"mediator admin\" prints another one"))
		return
	case asked.Once == "" && !same(asked.Token, s.token):
		refuse(w, http.StatusForbidden, errors.New("token: is wrong; it is in the file admin-token in the data directory"))
		return
	}
	session, ends := newSession(s.key, time.Now())
	reply(w, sessionAnswer{session, ends.UTC()})
}

func (s *side) drop(w http.ResponseWriter, r *http.Request) {
	var asked struct{ Group, Device string }
	if !read(w, r, &asked) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), dropTimeout)
	defer cancel()
	found, err := s.source.Drop(ctx, asked.Group, asked.Device)
	switch {
	case err != nil:
		refuse(w, http.StatusServiceUnavailable, errors.New("device: it is not known whether it was dropped: "+err.Error()))
	case !found:
		refuse(w, http.StatusNotFound, errors.New("device: it is not there any more"))
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *side) drain(w http.ResponseWriter, r *http.Request) {
	var asked struct{}
	if !read(w, r, &asked) {
		return
	}
	s.source.Drain()
	w.WriteHeader(http.StatusAccepted)
}

// read takes the JSON object that a request has to have, and nothing else. If it is something else it answers that.
func read(w http.ResponseWriter, r *http.Request, asked any) bool {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(asked)
	if err == nil && decoder.More() {
		err = errors.New("more than one")
	}
	if r.Header.Get("Content-Type") != "application/json" || err != nil {
		refuse(w, http.StatusBadRequest, errors.New("request: its body is not the JSON object that is expected here"))
		return false
	}
	return true
}

func reply(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // who does not take the answer has gone
}

func refuse(w http.ResponseWriter, status int, err error) {
	secure(w.Header())
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Error string `json:"error"`
	}{err.Error()})
}
