package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"openmediator/access"
	"openmediator/admin/page"
	"openmediator/backup"
	"openmediator/d2m"
	"openmediator/mediator"
	"openmediator/metrics"
	"openmediator/reflect"
	"openmediator/reflect/boltstore"
)

// controlled is a server with a store on disk, as its control socket shows it.
type controlled struct {
	t       testing.TB
	above   string // the directory that the data directory alone is in
	store   *boltstore.Store
	server  *mediator.Server
	page    *page.Page
	census  *metrics.Census
	handler http.Handler
	changed bool // a group is gone
}

// controlledGroups is how many groups its store has.
const controlledGroups = 2

func newControlled(t testing.TB) *controlled {
	t.Helper()
	above, err := os.MkdirTemp("", "controlled") // it outlives the test
	if err != nil {
		t.Fatal(err)
	}
	c := &controlled{t: t, above: above}
	data := filepath.Join(c.above, "data")
	for _, name := range []string{"tls/key.pem", "invitations/0123456789abcdef"} {
		path := filepath.Join(data, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("secret"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if c.store, err = boltstore.Open(data, boltstore.Options{}); err != nil {
		t.Fatal(err)
	}
	for n := range byte(controlledGroups) {
		group := d2m.GroupID{0xab, n}
		snapshot, err := c.store.Claim(group)
		if err != nil {
			t.Fatal(err)
		}
		state := reflect.State{LastTimestamp: 7, Bound: 1024, Slots: []reflect.SlotState{{Device: 1, Expiration: d2m.Persistent, Confirmed: true, First: 1, Next: 1}}}
		batch := &reflect.Batch{Group: group, Epoch: snapshot.Epoch, State: state.Append(nil)}
		if err := errors.Join(c.store.Commit([]*reflect.Batch{batch})...); err != nil {
			t.Fatal(err)
		}
		c.store.Release(group, snapshot.Epoch)
	}
	config := mediator.DefaultConfig()
	if c.server, err = mediator.New(c.store, config); err != nil {
		t.Fatal(err)
	}
	who, err := access.New(access.Options{Mode: access.Invite, Invitations: invitationsIn(data)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := loadedFrom(t, "")
	if err != nil {
		t.Fatal(err)
	}
	current := new(atomic.Pointer[settings])
	current.Store(s)
	o := &operation{data, current, c.server, who, c.store, nil}
	c.census, c.page = metrics.NewCensus(c.server.Survey), page.New(&shown{o, time.Now()})
	c.handler = c.page.Trusted(o.trusted(o.parts(c.census)), "http://127.0.0.1:1")
	return c
}

func (c *controlled) close() {
	c.page.Close()
	c.census.Close()
	if err := errors.Join(c.server.Shutdown(context.Background()), c.store.Close(), os.RemoveAll(c.above)); err != nil {
		panic(err)
	}
}

// groups returns how many groups are stored.
func (c *controlled) groups() (count int) {
	c.t.Helper()
	if err := c.store.Groups(func(d2m.GroupID, []byte) error { count++; return nil }); err != nil {
		c.t.Error(err)
	}
	return count
}

// answer is a recorder for one that may not end by itself: whoever reads goes when it has begun to come.
type answer struct {
	*httptest.ResponseRecorder
	asked *http.Request
	leave context.CancelFunc
}

func (a *answer) FlushError() error {
	a.leave()
	return nil
}

// ask has a request answered.
func (c *controlled) ask(method, target, host, kind string, body io.Reader) *answer {
	request, err := http.NewRequest(method, "http://"+page.InternalHost, body)
	if err != nil {
		return nil
	}
	if request.URL, err = request.URL.Parse(target); err != nil {
		return nil
	}
	request.Host = host
	request.Header.Set("Content-Type", kind)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a := &answer{httptest.NewRecorder(), request, cancel}
	c.handler.ServeHTTP(a, request.WithContext(ctx))
	return a
}

// controlStatuses are what the socket answers with; of errors of the server, 503 alone.
var controlStatuses = []int{
	http.StatusOK, http.StatusAccepted, http.StatusNoContent,
	http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusPermanentRedirect,
	http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusMisdirectedRequest,
	http.StatusServiceUnavailable,
}

// FuzzControl asks the control socket anything at all. No request ends the server, is answered in a way that is not documented,
// is read beyond its limit, takes a group that it does not name, or makes a file; a backup is sound, and has keys only if
// they were asked for.
func FuzzControl(f *testing.F) {
	id := strings.Repeat("00", 30)
	for _, seed := range []struct{ method, target, body string }{
		{"GET", "/backup?without-keys=false", ""}, {"GET", "/backup?without-keys=true", ""}, {"GET", "/backup?without-keys=/etc/passwd", ""},
		{"HEAD", "/backup?without-keys=0&dest=..%2f..%2fx", ""}, {"GET", "/backup/../backup?without-keys=T", ""},
		{"GET", "/verify", ""}, {"GET", "/verify?path=../..", ""}, {"POST", "/compact", "without-keys=true"}, {"POST", "/compact?to=/tmp/x", ""},
		{"GET", "/groups?idle=1&ids=true", ""}, {"DELETE", "/groups/ab00" + id, ""}, {"DELETE", "/groups/ab0" + id, ""}, {"DELETE", "/groups/..%2f..", ""},
		{"GET", "/privacy", ""}, {"GET", "/metrics", ""}, {"GET", "/readyz", ""}, {"GET", "/livez", ""},
		{"GET", "/", ""}, {"GET", "/page/page.js", ""}, {"GET", "/page/%2e%2e/%2e%2e/etc/passwd", ""}, {"GET", "/page/events", ""}, {"POST", "/page/link", ""},
		{"POST", "/page/drop", `{"group":"g","device":"d"}`}, {"POST", "/page/drop", `{"group":7}`}, {"POST", "/page/drain", `{}`},
		{"OPTIONS", "*", ""}, {"CONNECT", "//", ""},
	} {
		f.Add(seed.method, seed.target, page.InternalHost, "application/json", []byte(seed.body))
	}
	f.Add("GET", "/groups", "evil.example", "", []byte(nil))
	var c *controlled
	f.Cleanup(func() {
		if c != nil {
			c.close()
		}
	})
	f.Fuzz(func(t *testing.T, method, target, host, kind string, body []byte) {
		if c != nil && (c.changed || c.server.Condition().Stopping) { // an earlier request has done what it asked for
			c.close()
			c = nil
		}
		if c == nil {
			c = newControlled(t)
		}
		c.t = t
		const more = 1 << 20 // that a client may go on sending
		sent := io.LimitReader(io.MultiReader(bytes.NewReader(body), strings.NewReader(strings.Repeat(" ", more))), more).(*io.LimitedReader)
		a := c.ask(method, target, host, kind, sent)
		if a == nil {
			return
		}
		if !slices.Contains(controlStatuses, a.Code) {
			t.Errorf("answered with %d %.200q", a.Code, a.Body)
		}
		if read := more - sent.N; read > 16<<10 {
			t.Errorf("%d bytes of the request were read", read)
		}
		left := c.groups()
		c.changed = left != controlledGroups
		if left != controlledGroups && (left != controlledGroups-1 || a.Code != http.StatusNoContent) {
			t.Errorf("answered with %d, and %d groups are left", a.Code, left)
		}
		c.wantFiles()
		c.wantBackup(a)
	})
}

// wantFiles fails unless there are the files that there were.
func (c *controlled) wantFiles() {
	c.t.Helper()
	found := make(map[string]bool)
	err := filepath.WalkDir(c.above, func(path string, _ os.DirEntry, err error) error {
		found[strings.TrimPrefix(path, c.above)] = true
		return err
	})
	want := []string{"", "/data", "/data/invitations", "/data/invitations/0123456789abcdef", "/data/mediator.db", "/data/mediator.lock",
		"/data/tls", "/data/tls/key.pem"}
	if names := slices.Sorted(maps.Keys(found)); err != nil || !slices.Equal(names, want) {
		c.t.Errorf("files: %q, %v", names, err)
	}
}

// wantBackup fails if an answer is a backup that is not as it should be.
func (c *controlled) wantBackup(a *answer) {
	c.t.Helper()
	if a.Header().Get("Content-Type") != "application/x-tar" {
		return
	}
	without, unclear := strconv.ParseBool(a.asked.FormValue("without-keys"))
	contents, err := backup.Check(bytes.NewReader(a.Body.Bytes()))
	if err != nil || unclear != nil || contents.Groups != controlledGroups || contents.Keys == without || contents.KeyFiles > 0 == without {
		c.t.Errorf("backup: %+v, %v; trailer %q", contents, err, a.Header().Get("Mediator-Error"))
	}
}
