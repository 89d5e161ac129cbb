package page_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"openmediator/admin/page"
	"openmediator/d2m"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "TOKENTOKENTOKENTOKENTOKEN2"

// fake is a server with some figures.
type fake struct {
	mu      sync.Mutex
	vitals  page.Vitals
	groups  []page.Group
	failure error
	looks   int // at the groups
	dropped []string
	drains  int
}

func (f *fake) Vitals() page.Vitals {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.vitals
}

func (f *fake) Groups(_ context.Context, each func(page.Group) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks++
	for _, g := range f.groups {
		if err := each(g); err != nil {
			return err
		}
	}
	return f.failure
}

func (f *fake) Drop(_ context.Context, group, device string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dropped = append(f.dropped, group+" "+device)
	return device == "d1", f.failure
}

func (f *fake) Drain() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drains++
}

// set changes the figures.
func (f *fake) set(change func(*fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// looked is how often somebody has looked at the groups.
func (f *fake) looked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.looks
}

// acts is how often anything was done.
func (f *fake) acts() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.dropped) + f.drains
}

func newFake() *fake {
	oldest := time.Now().Add(-time.Hour)
	return &fake{
		vitals: page.Vitals{State: page.Ready, Checks: []page.Check{}, Version: "v1", Closes: map[d2m.CloseCode]uint64{}},
		groups: []page.Group{{Name: "g1", Messages: 2, Oldest: &oldest, Devices: []page.Device{{Name: "d1", Connected: true}, {Name: "d2"}}}},
	}
}

// newPage returns a page that ends with the test.
func newPage(t *testing.T, f *fake) *page.Page {
	t.Helper()
	p := page.New(f)
	t.Cleanup(p.Close)
	return p
}

// api is what lies beside the page.
var api = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "api", r.URL.Path) })

// request asks a handler something. More are headers, by name and value; Host is one of them.
func request(handler http.Handler, method, path, body string, more ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "127.0.0.1:8441"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(more); i += 2 {
		if more[i] == "Host" {
			r.Host = more[i+1]
			continue
		}
		r.Header.Set(more[i], more[i+1])
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

// stream is an answer that is being written.
type stream struct {
	cancel context.CancelFunc
	ended  chan struct{}
	read   *io.PipeReader
	lines  *bufio.Reader // of read
}

// pipeWriter is a http.ResponseWriter whose reader may be slow.
type pipeWriter struct {
	to     *io.PipeWriter
	header http.Header
	limit  time.Time
	status chan int
}

var errSlow = errors.New("write: deadline exceeded")

func (w *pipeWriter) Header() http.Header    { return w.header }
func (w *pipeWriter) WriteHeader(status int) { w.status <- status }
func (w *pipeWriter) Flush()                 {}

func (w *pipeWriter) SetReadDeadline(time.Time) error { return nil }

func (w *pipeWriter) SetWriteDeadline(t time.Time) error {
	w.limit = t
	return nil
}

// Write waits for the reader as long as the deadline allows.
func (w *pipeWriter) Write(b []byte) (int, error) {
	timer := time.AfterFunc(time.Until(w.limit), func() { w.to.CloseWithError(errSlow) })
	defer timer.Stop()
	return w.to.Write(b)
}

// watch asks for events and returns the stream, and its status.
func watch(t *testing.T, handler http.Handler, more ...string) (*stream, int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/page/events", nil)
	r.Host = "localhost"
	for i := 0; i < len(more); i += 2 {
		r.Header.Set(more[i], more[i+1])
	}
	s := &stream{cancel: cancel, ended: make(chan struct{}), read: reader, lines: bufio.NewReader(reader)}
	w := &pipeWriter{to: writer, header: make(http.Header), status: make(chan int, 1)}
	go func() {
		defer close(s.ended)
		handler.ServeHTTP(w, r)
		writer.Close()
	}()
	t.Cleanup(s.leave)
	return s, <-w.status
}

// leave ends the stream from the reader's side.
func (s *stream) leave() {
	s.cancel()
	s.read.Close()
	<-s.ended
}

// next reads an event.
func (s *stream) next() string {
	var event strings.Builder
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			return "end"
		}
		event.WriteString(line)
		if line == "\n" {
			return event.String()
		}
	}
}
