//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"openmediator/internal/serverprocess"
)

// TestPrometheus has a real Prometheus watch the real server as docs/operating.md says, with the alert rules and the queries of the
// dashboard in monitoring.
func TestPrometheus(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir := t.TempDir()
	binary, err := serverprocess.Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	private, web := freeAddress(t), freeAddress(t)
	t.Setenv("MEDIATOR_ADMIN_LISTEN", private)
	server, err := serverprocess.Start(serverprocess.AnyPort, filepath.Join(dir, "data"), binary)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Kill()
	if _, err := server.AwaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	rules, err := filepath.Abs("../../monitoring/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "prometheus.yml")
	text := "global: {scrape_interval: 1s, evaluation_interval: 1s}\n" + strings.NewReplacer(
		"127.0.0.1:8441", private, "/etc/prometheus/mediator-alerts.yml", rules,
		"/etc/prometheus/mediator-token", filepath.Join(dir, "data", "admin-token"),
	).Replace(readSnippets(t, "../../docs/operating.md")["yaml"][0])
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, nil, "check", "config", config)
	promtool(t, nil, "check", "rules", rules)
	promtool(t, scrape(t, filepath.Join(dir, "data", "control.sock")), "check", "metrics")

	prometheus := exec.CommandContext(ctx, "prometheus", "--config.file", config, "--web.listen-address", web,
		"--storage.tsdb.path", filepath.Join(dir, "prometheus"))
	var said strings.Builder
	prometheus.Stderr = &said
	if err := prometheus.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		prometheus.Process.Kill()
		prometheus.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	}()
	w := watcher{t, ctx, "http://" + web}
	w.await(`up{job="mediator"} == 1`)
	w.await(`mediator_ready == 1`)
	w.await(`count_over_time(mediator_waiting_messages[1m]) > 2`)
	w.checkRules()
	w.checkDashboard()
}

func promtool(t *testing.T, input io.Reader, args ...string) {
	t.Helper()
	command := exec.Command("promtool", args...)
	command.Stdin = input
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("promtool %q: %v\n%s", args, err, output)
	}
}

// scrape asks for the metrics at a control socket.
func scrape(t *testing.T, socket string) io.Reader {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
	text, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(text), "\r\n\r\n")
	return strings.NewReader(body)
}

// watcher asks a Prometheus.
type watcher struct {
	t   *testing.T
	ctx context.Context
	url string
}

// ask returns the answer of the API, or how it failed.
func (w watcher) ask(path string, answer any) error {
	request, err := http.NewRequestWithContext(w.ctx, http.MethodGet, w.url+path, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered with %s: %s", response.Status, text)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(text, answer)
}

// query returns how many results a query has.
func (w watcher) query(query string) (results int, err error) {
	var answer struct{ Data struct{ Result []any } }
	err = w.ask("/api/v1/query?"+url.Values{"query": {query}}.Encode(), &answer)
	return len(answer.Data.Result), err
}

// await waits until a query has a result.
func (w watcher) await(query string) {
	w.t.Helper()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		results, err := w.query(query)
		if results > 0 {
			return
		}
		select {
		case <-again.C:
		case <-w.ctx.Done():
			w.t.Fatalf("%s has no result, %v", query, err)
		}
	}
}

// checkRules wants all rules to have been evaluated, and no alert of a server that is well.
func (w watcher) checkRules() {
	w.t.Helper()
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, State, Health, LastError string }
			}
		}
	}
	if err := w.ask("/api/v1/rules", &answer); err != nil || len(answer.Data.Groups) != 1 {
		w.t.Fatalf("%+v, %v", answer, err)
	}
	for _, rule := range answer.Data.Groups[0].Rules {
		if rule.Health == "err" || rule.State == "firing" {
			w.t.Errorf("%+v", rule)
		}
	}
}

// checkDashboard has Prometheus understand each query.
func (w watcher) checkDashboard() {
	w.t.Helper()
	text, err := os.ReadFile("../../monitoring/dashboard.json")
	if err != nil {
		w.t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(text, &dashboard); err != nil || len(dashboard.Panels) == 0 {
		w.t.Fatal(err)
	}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			if _, err := w.query(strings.NewReplacer("$job", "mediator", "$__rate_interval", "1m").Replace(target.Expr)); err != nil {
				w.t.Error(err)
			}
		}
	}
}
