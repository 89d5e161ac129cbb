package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	// dataTimeout is how long a backup, a look through the store or a compaction may take: the time by which the store's own
	// compaction, which waits for them, begins early (B17).
	dataTimeout = time.Hour

	// writeTimeout is how long a piece of a backup may take to be taken.
	writeTimeout = time.Minute

	// errorTrailer is the trailer that says why a backup is not whole.
	errorTrailer = "Mediator-Error"
)

// Data is what the API does with what is stored.
type Data interface {
	// Backup writes a backup (package backup).
	Backup(ctx context.Context, to io.Writer, withoutKeys bool) error
	// Verify looks through all that is stored.
	Verify(ctx context.Context) (Verified, error)
	// Compact makes the store as small as it can be.
	Compact(ctx context.Context) (Compacted, error)
}

// Verified is the answer to GET /verify: what is stored.
type Verified struct {
	Groups   int   `json:"groups"`
	Devices  int   `json:"devices"`
	Messages int   `json:"messages"`
	Bytes    int64 `json:"bytes"`   // of the messages
	Damaged  int   `json:"damaged"` // states and messages that are not what was written
}

// Compacted is the answer to POST /compact.
type Compacted struct {
	Before int64 `json:"before"` // size of the file, bytes
	After  int64 `json:"after"`
	Waited int64 `json:"waited_ms"` // how long devices had to wait
	Took   int64 `json:"took_ms"`
}

var errNoData = errors.New("data: is for the control socket alone, of a server that keeps something on disk")

// dataRoutes adds the part of the API that is about what is stored.
func (a *api) dataRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /backup", a.long(a.backup))
	mux.HandleFunc("GET /verify", a.long(func(w http.ResponseWriter, r *http.Request) {
		answerWith(w, r, a.Data.Verify)
	}))
	mux.HandleFunc("POST /compact", a.long(func(w http.ResponseWriter, r *http.Request) {
		answerWith(w, r, a.Data.Compact)
	}))
}

// long lets a request take longer than others.
func (a *api) long(handle http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if a.Data == nil {
			refuse(w, http.StatusNotFound, errNoData)
			return
		}
		control := http.NewResponseController(w)
		end := time.Now().Add(dataTimeout)
		_ = control.SetWriteDeadline(end.Add(writeTimeout)) // a recorder has none
		ctx, cancel := context.WithDeadline(r.Context(), end)
		defer cancel()
		handle(w, r.WithContext(ctx))
	}
}

// tooLong says of an error whether the time was over.
func tooLong(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("data: was not done within %v, and was given up; stop the server, and do it without: there is no limit then", dataTimeout)
	}
	return err
}

func answerWith[T any](w http.ResponseWriter, r *http.Request, do func(context.Context) (T, error)) {
	answer, err := do(r.Context())
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, tooLong(err))
		return
	}
	reply(w, answer)
}

func (a *api) backup(w http.ResponseWriter, r *http.Request) {
	withoutKeys, err := strconv.ParseBool(r.FormValue("without-keys"))
	if err != nil {
		refuse(w, http.StatusBadRequest, fmt.Errorf("without-keys: %.20q is neither true nor false", r.FormValue("without-keys")))
		return
	}
	w.Header().Set("Trailer", errorTrailer)
	w.Header().Set("Content-Type", "application/x-tar")
	w.Header().Set("Cache-Control", "no-store")
	to := &promptWriter{w, http.NewResponseController(w)}
	if err := a.Data.Backup(r.Context(), to, withoutKeys); err != nil {
		w.Header().Set(errorTrailer, url.QueryEscape(tooLong(err).Error()))
	}
}

// promptWriter gives each piece its time.
type promptWriter struct {
	to      io.Writer
	control *http.ResponseController
}

func (w *promptWriter) Write(b []byte) (int, error) {
	_ = w.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // a recorder has none
	return w.to.Write(b)
}

// Backup writes a backup of the server's data. After an error what was written is none.
func (c *Client) Backup(ctx context.Context, to io.Writer, withoutKeys bool) error {
	response, err := c.do(ctx, http.MethodGet, "/backup?without-keys="+strconv.FormatBool(withoutKeys))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(to, response.Body); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if text, err := url.QueryUnescape(response.Trailer.Get(errorTrailer)); text != "" || err != nil {
		return &RefusedError{http.StatusServiceUnavailable, text}
	}
	return nil
}

// Verify has the server look through all that is stored.
func (c *Client) Verify(ctx context.Context) (answer Verified, err error) {
	return answer, c.call(ctx, http.MethodGet, "/verify", &answer)
}

// Compact has the server make its store as small as it can be.
func (c *Client) Compact(ctx context.Context) (answer Compacted, err error) {
	return answer, c.call(ctx, http.MethodPost, "/compact", &answer)
}
