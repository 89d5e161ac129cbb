package admin_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"openmediator/admin"
	"openmediator/mediator"
)

func TestReadiness(t *testing.T) {
	good := mediator.Condition{Listening: true}
	for name, test := range map[string]struct {
		change func(*mediator.Condition)
		ready  bool
		failed []string
	}{
		"well":             {func(*mediator.Condition) {}, true, nil},
		"not listening":    {func(c *mediator.Condition) { c.Listening = false }, false, []string{"listener"}},
		"stopping":         {func(c *mediator.Condition) { c.Listening, c.Stopping = false, true }, false, []string{"drain", "listener"}},
		"store fails":      {func(c *mediator.Condition) { c.StoreFailing = true }, false, []string{"store"}},
		"store is full":    {func(c *mediator.Condition) { c.StoreFull = true }, true, []string{"room"}},
		"upstream fails":   {func(c *mediator.Condition) { c.Upstream = mediator.UpstreamFails }, true, []string{"upstream"}},
		"upstream works":   {func(c *mediator.Condition) { c.Upstream = mediator.UpstreamWorks }, true, nil},
		"upstream untried": {func(c *mediator.Condition) { c.Upstream = mediator.UpstreamUntried }, true, nil},
	} {
		f := newFake()
		f.condition = good
		test.change(&f.condition)
		dir := serve(t, f.handler())
		client, err := admin.Connect(dir)
		if err != nil {
			t.Fatal(err)
		}
		ready, err := client.Ready(t.Context())
		if err != nil || ready.Ready != test.ready || ready.Ready != f.condition.Ready() || len(ready.Checks) != 5 {
			t.Errorf("%s: %+v, %v", name, ready, err)
		}
		var failed []string
		for _, check := range ready.Checks {
			if !check.OK {
				failed = append(failed, check.Name)
			}
			if check.Text == "" {
				t.Errorf("%s: %s says nothing", name, check.Name)
			}
		}
		slices.Sort(failed)
		if !slices.Equal(failed, test.failed) {
			t.Errorf("%s: failed: %v, want %v", name, failed, test.failed)
		}
		answer := httptest.NewRecorder()
		f.handler().ServeHTTP(answer, httptest.NewRequest("GET", "/readyz", nil))
		if (answer.Code == http.StatusOK) != test.ready {
			t.Errorf("%s: answered with %d", name, answer.Code)
		}
	}
}

// Who is asked may be no mediator at all.
func TestReadinessOfSomethingElse(t *testing.T) {
	for _, answer := range []string{"", "{", "{}", `{"ready":true}`, `{"ready":false,"checks":[{"name":"store"}]}`, strings.Repeat("[", 1<<20)} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(answer)) }))
		address := server.Listener.Addr().String()
		if ready, err := admin.ConnectTo("tcp", address).Ready(t.Context()); err == nil || ready.Ready ||
			!strings.Contains(err.Error(), "nothing that a mediator says") {
			t.Errorf("%.20q: %+v, %v", answer, ready, err)
		}
		server.Close()
		if _, err := admin.ConnectTo("tcp", address).Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("without a server: %v", err)
		}
	}
}
