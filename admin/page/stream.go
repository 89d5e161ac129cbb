package page

import (
	"bytes"
	"errors"
	"net/http"
	"time"
)

const (
	// MaxStreams is how many watch at once.
	MaxStreams = 8

	// StreamLife is after what time a stream ends. The page then asks for another one.
	StreamLife = time.Hour

	eventTimeout = 10 * time.Second // for the reader to take an event
)

var errStreams = errors.New("events: too many watch at once; close a page that is open elsewhere")

// enter counts a stream until leave. It reports false if there are too many, or the page has ended.
func (p *Page) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.watching >= MaxStreams || p.ctx.Err() != nil {
		return false
	}
	p.watching++
	select {
	case p.stir <- struct{}{}:
	default:
	}
	return true
}

func (p *Page) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watching--
}

// events sends what there is to see until the reader goes, takes nothing more, or has watched for long enough.
func (p *Page) events(w http.ResponseWriter, r *http.Request) {
	if !p.enter() {
		w.Header().Set("Retry-After", "10")
		refuse(w, http.StatusServiceUnavailable, errStreams)
		return
	}
	defer p.leave()
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // the request's own would end the stream
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	over := time.NewTimer(StreamLife)
	defer over.Stop()
	var last frame
	for {
		next, news := p.look()
		_ = control.SetWriteDeadline(time.Now().Add(eventTimeout))
		if next.write(w, &last) != nil || control.Flush() != nil {
			return
		}
		select {
		case <-news:
		case <-over.C:
			return
		case <-r.Context().Done():
			return
		case <-p.ctx.Done():
			return
		}
	}
}

// frame is what there is to see at a moment.
type frame struct{ vitals, groups []byte }

func (p *Page) look() (frame, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return frame{p.vitals, p.groups}, p.news
}

// write sends what is new since the last frame.
func (f frame) write(w http.ResponseWriter, last *frame) error {
	var b bytes.Buffer
	add := func(name string, data, before []byte) {
		if len(data) > 0 && (len(before) == 0 || &data[0] != &before[0]) {
			b.WriteString("event: " + name + "\ndata: ")
			b.Write(data)
			b.WriteString("\n\n")
		}
	}
	add("vitals", f.vitals, last.vitals)
	add("groups", f.groups, last.groups)
	*last = f
	_, err := w.Write(b.Bytes())
	return err
}
