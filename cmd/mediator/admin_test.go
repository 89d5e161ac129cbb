package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// The link leads to the page, and is good once. Without an address for it, or a server, that is said.
func TestAdminLink(t *testing.T) {
	t.Parallel()
	s := newShell(t, "MEDIATOR_DATA=data")
	if _, stderr, code := s.run("admin"); code != exitUsage || !strings.Contains(stderr, "no server is running") {
		t.Errorf("without a server: %d, %s", code, stderr)
	}
	server, _ := s.serve()
	if _, stderr, code := s.run("admin"); code != exitFailed || !strings.Contains(stderr, "admin-listen") {
		t.Errorf("without an address: %d, %s", code, stderr)
	}
	server.stop()
	server, _ = s.serve("--admin-listen", "127.0.0.1:0")
	link, err := url.Parse(objects(t, s.must("admin", "--json"))[0]["url"].(string))
	if err != nil {
		t.Fatal(err)
	}
	code, _ := strings.CutPrefix(link.Fragment, "once=")
	link.Fragment = ""
	page, err := http.Get(link.String())
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(page.Body)
	page.Body.Close()
	if err != nil || !strings.Contains(string(text), "<h1>Mediator</h1>") || !strings.Contains(page.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("%v: %s", err, text)
	}
	if status, session := adminSession(t, link.String(), code); status != http.StatusOK || session == "" {
		t.Errorf("the code is answered with %d", status)
	}
	if status, _ := adminSession(t, link.String(), code); status != http.StatusForbidden {
		t.Errorf("the second time it is answered with %d", status)
	}
	server.stop()
}

// adminSession makes a session of a code.
func adminSession(t *testing.T, base, code string) (status int, session string) {
	t.Helper()
	answer, err := http.Post(base+"page/session", "application/json", strings.NewReader(`{"once":"`+code+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var made struct{ Session string }
	if err := json.NewDecoder(answer.Body).Decode(&made); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, made.Session
}

// TestAdminPageDocs runs the commands of docs/operating.md on the admin page.
func TestAdminPageDocs(t *testing.T) {
	t.Parallel()
	s := newShell(t, "MEDIATOR_LISTEN=127.0.0.1:0", "MEDIATOR_DATA=data")
	lines := sectionsOf(t, "operating.md", "The admin page")
	if len(lines) != 2 {
		t.Fatalf("%q", lines)
	}
	server := s.start(readmeArguments(t, strings.Replace(lines[0], ":8441", ":0", 1))...)
	server.listening()
	if told := s.must(readmeArguments(t, lines[1])...); !strings.HasPrefix(told, "http://127.0.0.1:") {
		t.Errorf("%q tells\n%s", lines[1], told)
	}
	server.stop()
}
