package metrics

import (
	"flag"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"openmediator/d2m"
	"openmediator/mediator"
	"openmediator/reflect/memstore"
)

var update = flag.Bool("update", false, "write the table of docs/operating.md anew")

// fake is a server with some figures.
type fake struct{ stats mediator.Stats }

// newFake has the limits and close codes that a server has.
func newFake(t *testing.T) fake {
	t.Helper()
	server, err := mediator.New(memstore.New(), mediator.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	stats := server.Stats()
	if err := server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	stats.Requests, stats.Unauthenticated, stats.Registered = 1, 2, 3
	stats.Refused["address_groups"] = 5
	stats.Closes[d2m.CloseQueueLimit], stats.Closes[0] = 3, 1
	stats.CommitSeconds = mediator.Histogram{Buckets: map[float64]uint64{0.001: 1, 0.1: 3}, Count: 4, Sum: 2.5}
	stats.Reflected = 1234
	return fake{stats}
}

func (f fake) Stats() mediator.Stats { return f.stats }

func (fake) Condition() mediator.Condition { return mediator.Condition{Listening: true} }

// gathered returns all metrics of a server that has been looked through.
func gathered(t *testing.T) []*dto.MetricFamily {
	t.Helper()
	families, err := NewRegistry(options(t)).Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

func options(t *testing.T) Options {
	census := NewCensus(new(surveyed).survey)
	census.Totals()
	census.tasks.Wait()
	t.Cleanup(census.Close)
	return Options{
		Server: newFake(t), Census: census, Build: Build{"v1.2.3", "go1.26"},
		Store:   func() StoreStats { return StoreStats{1, 2, 3} },
		Expires: func() time.Time { return time.Unix(1e9, 0) },
	}
}

// What Prometheus asks of names and help texts, and that nothing is left out.
func TestMetricsAreWellFormed(t *testing.T) {
	families := gathered(t)
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	names := make(map[string]bool)
	for _, f := range families {
		names[f.GetName()] = true
		if f.GetHelp() == "" || !regexp.MustCompile(`^(mediator|go|process)_`).MatchString(f.GetName()) {
			t.Errorf("%s: %q", f.GetName(), f.GetHelp())
		}
	}
	for _, m := range table {
		if !names[m.name] {
			t.Errorf("%s is not there", m.name)
		}
	}
	if !names["go_goroutines"] || !names["process_open_fds"] || !names["mediator_commit_groups"] {
		t.Errorf("there are only %v", names)
	}
}

// TestB42_LabelsNameNobody: what a label may be is listed here, so that one which names somebody needs a change here.
func TestB42_LabelsNameNobody(t *testing.T) {
	harmless := map[string]string{
		"state": `^(request|unauthenticated|registered)$`, "limit": `^[a-z_]+$`, "result": `^(accepted|wrong_response)$`,
		"code": `^([1-4]\d\d\d|other)$`, "outcome": `^(committed|aborted)$`, "reason": `^(device|chat_server|unreachable|fault)$`,
		"direction": `^(up|down)$`, "version": `^v1\.2\.3$`, "goversion": `^go1`,
	}
	for _, family := range gathered(t) {
		if !strings.HasPrefix(family.GetName(), "mediator_") {
			continue
		}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				pattern, ok := harmless[label.GetName()]
				if !ok || !regexp.MustCompile(pattern).MatchString(label.GetValue()) {
					t.Errorf("%s has the label %v", family.GetName(), label)
				}
			}
		}
	}
}

func TestHandler(t *testing.T) {
	answer := httptest.NewRecorder()
	Handler(options(t)).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	text, _ := io.ReadAll(answer.Body)
	for _, want := range []string{
		"mediator_reflected_messages_total 1234\n", `mediator_closes_total{code="4114"} 3`, `mediator_closes_total{code="other"} 1`,
		`mediator_connections{state="registered"} 3`, `mediator_refused_total{limit="address_groups"} 5`,
		`mediator_commit_duration_seconds_bucket{le="0.1"} 3`, "mediator_commit_duration_seconds_count 4\n",
		"mediator_commit_duration_seconds_sum 2.5\n", "mediator_ready 1\n", "mediator_waiting_messages 6\n",
		"mediator_certificate_expiry_timestamp_seconds 1e+09\n", "mediator_store_compaction_failures_total 2\n",
		`mediator_build_info{goversion="go1.26",version="v1.2.3"} 1`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
}

// What is not known is left out.
func TestHandlerKnowsLittle(t *testing.T) {
	answer := httptest.NewRecorder()
	Handler(Options{Server: newFake(t)}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	for _, unknown := range []string{"mediator_waiting_messages ", "mediator_certificate_expiry_timestamp_seconds "} {
		if strings.Contains(answer.Body.String(), "\n"+unknown) || answer.Code != 200 {
			t.Errorf("%d: there is %q", answer.Code, unknown)
		}
	}
}

// tableMarks surround the table in the document.
const tableBegins, tableEnds = "<!-- made by go test ./metrics -update -->\n", "<!-- until here -->\n"

// TestTableInTheDocument: docs/operating.md names each metric, with its kind and what it means.
func TestTableInTheDocument(t *testing.T) {
	const path = "../docs/operating.md"
	document, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(document), tableBegins)
	written, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		t.Fatalf("%s has no place for the table", path)
	}
	var wanted strings.Builder
	wanted.WriteString("| metric | kind | what it is |\n|---|---|---|\n")
	for _, f := range gathered(t) {
		if strings.HasPrefix(f.GetName(), "mediator_") {
			fmt.Fprintf(&wanted, "| `%s%s` | %s | %s |\n", f.GetName(), labelsOf(f), strings.ToLower(f.GetType().String()), f.GetHelp())
		}
	}
	if written == wanted.String() {
		return
	}
	if !*update {
		t.Fatalf("%s has another table; go test ./metrics -update writes it anew", path)
	}
	if err := os.WriteFile(path, []byte(before+tableBegins+wanted.String()+tableEnds+after), 0o666); err != nil {
		t.Fatal(err)
	}
}

// labelsOf names the labels of a metric.
func labelsOf(f *dto.MetricFamily) string {
	var names []string
	for _, label := range f.GetMetric()[0].GetLabel() {
		names = append(names, label.GetName())
	}
	if names == nil {
		return ""
	}
	return "{" + strings.Join(names, ",") + "}"
}
