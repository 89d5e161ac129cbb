package admin_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"openmediator/admin"
	"openmediator/d2m"
	"openmediator/mediator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a server with some groups. The pseudonym of a group is its first byte.
type fake struct {
	groups    []mediator.GroupState
	failure   error
	forgotten []d2m.GroupID
	condition mediator.Condition
}

func (f *fake) Survey(each func(mediator.GroupState) error) error {
	for _, g := range f.groups {
		if err := each(g); err != nil {
			return err
		}
	}
	return f.failure
}

func (f *fake) Forget(_ context.Context, group d2m.GroupID) (bool, error) {
	for _, g := range f.groups {
		if g.ID == group {
			f.forgotten = append(f.forgotten, group)
			return true, f.failure
		}
	}
	return false, f.failure
}

func (f *fake) Condition() mediator.Condition { return f.condition }

func (f *fake) Pseudonym(group d2m.GroupID) string { return hex.EncodeToString(group[:1]) }

// newFake has a group that is connected, one that is idle for 100 days, and two with one pseudonym.
func newFake() *fake {
	now := time.Now()
	f := new(fake)
	for i, seen := range []time.Time{now, now.Add(-100 * 24 * time.Hour), now, now} {
		f.groups = append(f.groups, mediator.GroupState{ID: d2m.GroupID{byte(min(i, 2) + 1), byte(i), 0xab}, Slots: i + 1, Seen: seen})
	}
	f.groups[1].Messages, f.groups[1].Bytes, f.groups[1].Oldest = 7, 700, now.Add(-200*24*time.Hour)
	return f
}

func (f *fake) handler() http.Handler {
	return admin.Handler(admin.Options{
		Server: f,
		Verdict: func(group d2m.GroupID) string {
			if group[0] == 2 {
				return "denied"
			}
			return ""
		},
		Known: func() (admin.Knowledge, error) {
			return admin.Knowledge{Items: []admin.Item{{Where: "disk", What: "groups", Count: 4, Kept: "for ever"}}}, f.failure
		},
	})
}

// serve runs the API on a socket in a directory of its own.
func serve(t *testing.T, handler http.Handler) (dir string) {
	t.Helper()
	dir = t.TempDir()
	socket, err := admin.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	server := admin.NewServer(handler)
	ended := make(chan error)
	go func() { ended <- server.Serve(socket) }()
	t.Cleanup(func() {
		server.Close()
		<-ended
		if entries, _ := os.ReadDir(dir); len(entries) != 0 {
			t.Errorf("left over: %v", entries)
		}
	})
	return dir
}

func TestClientAndServer(t *testing.T) {
	f := newFake()
	dir := serve(t, f.handler())
	c, err := admin.Connect(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	all, err := c.Groups(ctx, 0, false)
	if err != nil || len(all) != 4 || all[0].ID != "" || all[0].Pseudonym != "01" || all[0].Oldest != nil {
		t.Errorf("groups: %+v, %v", all, err)
	}
	idle, err := c.Groups(ctx, 90*24*time.Hour, true)
	id := hex.EncodeToString(f.groups[1].ID[:])
	if err != nil || len(idle) != 1 || idle[0].ID != id || idle[0].Access != "denied" || idle[0].Devices != 2 ||
		idle[0].Messages != 7 || idle[0].Bytes != 700 || idle[0].Oldest == nil {
		t.Errorf("groups: %+v, %v", idle, err)
	}
	if known, err := c.Privacy(ctx); err != nil || len(known.Items) != 1 || known.Items[0].Count != 4 {
		t.Errorf("privacy: %+v, %v", known, err)
	}
	for name, want := range map[string]int{
		"01": 0, id: 0, strings.ToUpper(id): 0,
		"03":                     http.StatusConflict, // two have it
		"04":                     http.StatusNotFound,
		strings.Repeat("ab", 32): http.StatusNotFound,
		"../groups":              http.StatusNotFound,
		"?ids=true":              http.StatusNotFound,
	} {
		err := c.Forget(ctx, name)
		refused, _ := errors.AsType[*admin.RefusedError](err)
		if want == 0 && err != nil || want != 0 && (refused == nil || refused.Status != want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if len(f.forgotten) != 3 {
		t.Errorf("forgotten: %v", f.forgotten)
	}
	if err := c.Forget(ctx, "03"); err == nil || err.Error() != "group: two have this pseudonym; name it by its id" {
		t.Errorf("a pseudonym that two have: got %v", err)
	}
	f.failure = errors.New("store: unavailable")
	_, failed := c.Groups(ctx, 0, false)
	_, unknown := c.Privacy(ctx)
	for _, err := range []error{failed, unknown, c.Forget(ctx, id), c.Forget(ctx, "01")} {
		if err == nil || !strings.Contains(err.Error(), "store: unavailable") {
			t.Errorf("got %v", err)
		}
	}
	forgotten := len(f.forgotten)
	if err := c.Forget(ctx, "01"); !strings.Contains(err.Error(), "nothing was done") || len(f.forgotten) != forgotten {
		t.Errorf("a group that cannot be looked for: got %v", err)
	}
}

// Whatever is asked wrongly gets an answer that says so, and does nothing.
func TestRequestsThatAreWrong(t *testing.T) {
	f := newFake()
	for request, want := range map[string]int{
		"GET /": 404, "GET /group": 404, "GET /groups/": 404, "GET /groups/01": 405, "DELETE /groups": 405, "POST /groups": 405, "PUT /privacy": 405,
		"DELETE /groups/01/02": 404, "DELETE /groups/": 404, "CONNECT /groups": 405, "BREW /privacy": 405,
		"GET /groups?idle=-1": 400, "GET /groups?idle=1d": 400, "GET /groups?idle=99999999999999999999": 400,
		"GET /groups?idle=9223372036": 400, "GET /groups?idle=%00": 400, "GET /groups?idle=1&idle=2": 200, "GET /groups?ids=1": 200,
		"GET //groups": 307, "HEAD /groups": 200,
	} {
		method, target, _ := strings.Cut(request, " ")
		answer := httptest.NewRecorder()
		f.handler().ServeHTTP(answer, httptest.NewRequest(method, target, strings.NewReader(strings.Repeat("x", 1<<20))))
		if answer.Code != want {
			t.Errorf("%s: answered with %d, want %d", request, answer.Code, want)
		}
		if answer.Code == 200 && method == "GET" {
			var groups admin.Groups
			if err := json.Unmarshal(answer.Body.Bytes(), &groups); err != nil || len(groups.Groups) == 0 || groups.Groups[0].ID != "" {
				t.Errorf("%s: %v: %s", request, err, answer.Body)
			}
		}
	}
	if len(f.forgotten) != 0 {
		t.Errorf("forgotten: %v", f.forgotten)
	}
}

// The reader of a body that no request has stops soon.
func TestBodyIsBounded(t *testing.T) {
	body := strings.NewReader("ids=" + strings.Repeat("x", 1<<20))
	request := httptest.NewRequest("GET", "/groups", body)
	newFake().handler().ServeHTTP(httptest.NewRecorder(), request)
	if read := 1<<20 - body.Len(); read > 8<<10 {
		t.Errorf("%d bytes were read", read)
	}
}

func FuzzRequests(f *testing.F) {
	for _, seed := range []string{"/groups", "/groups?idle=3600&ids=true", "/groups/01", "/groups/%2e%2e", "/privacy", "//", "*"} {
		f.Add("GET", seed)
		f.Add("DELETE", seed)
	}
	server := newFake()
	handler := server.handler()
	f.Fuzz(func(t *testing.T, method, target string) {
		request, err := http.NewRequest(method, "http://mediator", nil)
		if err != nil {
			return
		}
		if request.URL, err = request.URL.Parse(target); err != nil {
			return
		}
		server.forgotten = nil
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		if answer.Code == http.StatusInternalServerError {
			t.Errorf("answered with %d", answer.Code)
		}
		if len(server.forgotten) > 0 && (method != "DELETE" || answer.Code != http.StatusNoContent) {
			t.Errorf("%s forgot a group", method)
		}
		io.Copy(io.Discard, answer.Body)
	})
}

func TestConnectWithoutAServer(t *testing.T) {
	dir := t.TempDir()
	if _, err := admin.Connect(filepath.Join(dir, "none")); !errors.Is(err, admin.ErrNotRunning) {
		t.Error(err)
	}
	if _, err := admin.Connect(dir); !errors.Is(err, admin.ErrNotRunning) {
		t.Error(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Connect(file); err == nil || err.Error() != "data directory "+file+": is not a directory; name the server's with --data" {
		t.Error(err)
	}
}
