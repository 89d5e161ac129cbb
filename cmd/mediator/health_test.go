package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"openmediator/admin"
)

// privateSideOf returns the URL at which a server says that its private side is.
func privateSideOf(t *testing.T, server *process) string {
	t.Helper()
	var line struct{ Admin string }
	if err := json.Unmarshal([]byte(server.stderr.await(t, `"message":"private side"`)), &line); err != nil {
		t.Fatal(err)
	}
	return line.Admin
}

// get asks a server's private side, with a token or without.
func get(t *testing.T, url, token string) (body string, status int) {
	t.Helper()
	request, err := http.NewRequestWithContext(testContext(t), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), answer.StatusCode
}

// metricOf returns the value of a metric as Prometheus sees it.
func metricOf(t *testing.T, metrics, name string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(metrics)
	if found == nil {
		t.Fatalf("there is no %s in\n%s", name, metrics)
	}
	return found[1]
}

// TestPrivateSide: over TCP with a token, by the control socket without, and with the figures of what has happened.
func TestPrivateSide(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	server, url := s.serve("--data", s.path("data"), "--admin-listen", "127.0.0.1:0")
	at := privateSideOf(t, server)
	token, err := admin.ReadToken(filepath.Join(s.path("data"), admin.TokenName))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][2]int{
		"/livez": {200, 200}, "/readyz": {200, 200}, "/metrics": {401, 200}, "/groups": {401, 200}, "/none": {401, 404},
	} {
		if _, status := get(t, at+path, ""); status != want[0] {
			t.Errorf("%s without a token: %d", path, status)
		}
		if _, status := get(t, at+path, string(token)); status != want[1] {
			t.Errorf("%s with the token: %d", path, status)
		}
	}
	s.newGroup(url, "phone", "laptop")
	s.must("device", "devices", "--device", "laptop")
	s.must("device", "reflect", "hello", "--device", "phone")
	metrics, _ := get(t, at+"/metrics", string(token))
	for name, want := range map[string]string{
		"mediator_reflected_messages_total": "1", `mediator_logins_total{result="accepted"}`: "2", "mediator_upgrades_total": "2",
		"mediator_ready": "1", `mediator_closes_total{code="1011"}`: "0",
	} {
		if got := metricOf(t, metrics, name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if text := server.stderr.String(); strings.Contains(text, string(token)) {
		t.Error("the token is in the log")
	}
	server.stop()
	if _, err := os.Stat(s.path("data/control.sock")); err == nil {
		t.Error("the control socket is still there")
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	if out, err, code := s.run("health", "--data", s.path("data")); code != exitFailed || out != "" || !strings.Contains(err, "no server is running") {
		t.Errorf("without a server: %d, %q, %q", code, out, err)
	}
	server, _ := s.serve("--data", s.path("data"), "--admin-listen", "unix:"+s.path("private.sock"), "--upstream", "127.0.0.1:1")
	privateSideOf(t, server)
	if info, err := os.Stat(s.path("private.sock")); err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	for _, where := range [][]string{{"--data", s.path("data")}, {"--admin", "unix:" + s.path("private.sock")}} {
		out := s.must(append([]string{"health"}, where...)...)
		if strings.Count(out, "\n") != 5 || strings.Count(out, "ok    ") != 5 {
			t.Errorf("%v:\n%s", where, out)
		}
		all := objects(t, s.must(append([]string{"health", "--json"}, where...)...))
		if len(all) != 5 || all[0]["name"] != "store" || all[0]["ok"] != true || all[4]["info"] != true {
			t.Errorf("%v: %v", where, all)
		}
	}
	server.stop()
	if _, err, code := s.run("health", "--admin", "unix:"+s.path("private.sock")); code != exitFailed || !strings.Contains(err, "private side") {
		t.Errorf("after its end: %d, %q", code, err)
	}
	for _, wrong := range []string{"nowhere", "https://127.0.0.1:1", "unix:", "127.0.0.1"} {
		if _, err, code := s.run("health", "--admin", wrong); code != exitUsage || !strings.Contains(err, "admin: ") {
			t.Errorf("%q: %d, %q", wrong, code, err)
		}
	}
}

// TestPrivateSideIsRefused where others would reach it, or cannot be opened.
func TestPrivateSideIsRefused(t *testing.T) {
	t.Parallel()
	taken := listenLoopback(t)
	defer taken.Close()
	s := newShell(t)
	writeFile(t, s.path("file"), "mine")
	for at, want := range map[string]struct {
		code int
		text string
	}{
		"0.0.0.0:0":                     {exitUsage, "--admin-allow-plaintext"},
		":8441":                         {exitUsage, "--admin-allow-plaintext"},
		"192.0.2.1:8441":                {exitUsage, "--admin-allow-plaintext"},
		"8441":                          {exitUsage, "is not HOST:PORT or unix:PATH"},
		"http://127.0.0.1:8441/x":       {exitUsage, "is not HOST:PORT or unix:PATH"},
		taken.Addr().String():           {exitFailed, "address already in use"},
		"unix:" + s.path("file"):        {exitFailed, "is there and is no socket"},
		"unix:" + s.path("none/socket"): {exitFailed, "no such file"},
	} {
		_, text, code := s.run("serve", "--listen", "127.0.0.1:0", "--data", s.path("data"), "--admin-listen", at)
		if code != want.code || !strings.Contains(text, "admin-listen: ") || !strings.Contains(text, want.text) {
			t.Errorf("%s: exit code %d, want %d: %s", at, code, want.code, text)
		}
	}
	server, _ := s.serve("--data", s.path("data"), "--admin-listen", "0.0.0.0:0", "--admin-allow-plaintext")
	at := privateSideOf(t, server)
	writeFile(t, s.path("other/admin-token"), "short")
	for _, check := range [][]string{
		{"--admin-listen", strings.TrimPrefix(at, "http://"), "--admin-allow-plaintext", "--data", s.path("data")},
		{"--admin-listen", taken.Addr().String(), "--data", s.path("unused")},
		{"--admin-listen", "127.0.0.1:0", "--data", s.path("other")},
	} {
		out, _, _ := s.run(append([]string{"config", "check", "--listen", "127.0.0.1:0"}, check...)...)
		if !regexp.MustCompile(`(?m)^(warn|fail) +admin `).MatchString(out) {
			t.Errorf("%q:\n%s", check, out)
		}
	}
	server.stop()
}

// TestPrivateSideFlooded: who opens connections to the private side, and says something, nothing, or too much, takes 32 of them at once
// and nothing from devices.
func TestPrivateSideFlooded(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	server, url := s.serve("--data", s.path("data"), "--admin-listen", "127.0.0.1:0")
	at := strings.TrimPrefix(privateSideOf(t, server), "http://")
	s.newGroup(url, "phone", "laptop")
	before := s.figures()
	for i := range 400 {
		conn, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		say := []string{"", "GET /metrics HTTP/1.1\r\nX: ", "POST /groups HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n", "\x16\x03\x01\x02\x00"}[i%4]
		io.WriteString(conn, say)
	}
	s.must("device", "devices", "--device", "laptop")
	s.must("device", "reflect", "hello", "--device", "phone")
	after := s.figures()
	if more := after["go_goroutines"] - before["go_goroutines"]; more > 2*32+20 {
		t.Errorf("%v goroutines more", more)
	}
	if more := after["process_open_fds"] - before["process_open_fds"]; more > 32+10 {
		t.Errorf("%v descriptors more", more)
	}
	if more := after["go_memstats_heap_inuse_bytes"] - before["go_memstats_heap_inuse_bytes"]; more > 8<<20 {
		t.Errorf("%v bytes more", more)
	}
	server.stop()
}

// figures are the metrics without labels of the server on data, asked for at the control socket.
func (s *shell) figures() map[string]float64 {
	s.t.Helper()
	conn, err := net.Dial("unix", s.path("data/control.sock"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /metrics HTTP/1.0\r\n\r\n")
	text, err := io.ReadAll(conn)
	if err != nil {
		s.t.Fatal(err)
	}
	figures := make(map[string]float64)
	for line := range strings.Lines(string(text)) {
		var name string
		var value float64
		if n, _ := fmt.Sscanf(line, "%s %g", &name, &value); n == 2 {
			figures[name] = value
		}
	}
	return figures
}

// TestOperatingWatchDocs runs the commands of docs/operating.md on what watching is.
func TestOperatingWatchDocs(t *testing.T) {
	t.Parallel()
	free := listenLoopback(t)
	at := free.Addr().String()
	free.Close()
	s := newShell(t, "MEDIATOR_LISTEN=127.0.0.1:0", "MEDIATOR_DATA=data")
	var server *process
	lines := sectionsOf(t, "operating.md", "The private side", "Is it well?")
	for _, line := range lines {
		args := readmeArguments(t, strings.ReplaceAll(line, "127.0.0.1:8441", at))
		if args[0] == "serve" {
			server = s.start(args...)
			server.listening()
			continue
		}
		if out := s.must(args...); !strings.Contains(out, "store") {
			t.Errorf("%q prints\n%s", line, out)
		}
	}
	if len(lines) != 4 {
		t.Errorf("%d commands were run", len(lines))
	}
	server.stop()
	for _, line := range codeIn(t, "operating.md", "dockerfile") {
		if !strings.Contains(line, `CMD ["mediator", "health"]`) {
			t.Errorf("the container is asked by %s", line)
		}
	}
}
