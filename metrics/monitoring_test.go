package metrics

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
)

// TestMonitoring: what the alert rules and the dashboard ask for is there, the values of labels included.
func TestMonitoring(t *testing.T) {
	known := seriesOf(gathered(t))
	queries := append(alertQueries(t), dashboardQueries(t)...)
	if len(queries) < 50 {
		t.Fatalf("there are %d queries", len(queries))
	}
	for _, query := range queries {
		for _, problem := range known.check(query) {
			t.Errorf("%s: %s", query, problem)
		}
	}
}

// TestMonitoringFindsMistakes: the test above would.
func TestMonitoringFindsMistakes(t *testing.T) {
	known := seriesOf(gathered(t))
	for query, want := range map[string]int{
		"mediator_ready == 1": 0,
		"mediator_redy == 1":  1,
		`rate(mediator_closes_total{code="4114"}[5m]) / mediator_nothing`:          1,
		`mediator_closes_total{code="4999"}`:                                       1,
		`mediator_closes_total{kode="4114"}`:                                       1,
		`mediator_refused_total{limit=~"connections|nothing"}`:                     1,
		`histogram_quantile(0.5, rate(mediator_commit_groups_bucket[5m]))`:         0,
		`histogram_quantile(0.5, rate(mediator_reflected_messages_total_sum[5m]))`: 1,
		`up{job="mediator"}`:           0,
		`mediator_groups{group="abc"}`: 1,
	} {
		if got := known.check(query); len(got) != want {
			t.Errorf("%s: %v", query, got)
		}
	}
}

// series are the names of what Prometheus stores, each with the values of its labels.
type series map[string]map[string]map[string]bool

func seriesOf(families []*dto.MetricFamily) series {
	all := series{"up": nil}
	for _, f := range families {
		labels := make(map[string]map[string]bool)
		for _, m := range f.GetMetric() {
			for _, label := range m.GetLabel() {
				if labels[label.GetName()] == nil {
					labels[label.GetName()] = make(map[string]bool)
				}
				labels[label.GetName()][label.GetValue()] = true
			}
		}
		if f.GetType() != dto.MetricType_HISTOGRAM {
			all[f.GetName()] = labels
			continue
		}
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			all[f.GetName()+suffix] = labels
		}
	}
	return all
}

var (
	selector = regexp.MustCompile(`\b((?:mediator|process|go)_\w+|up)\b(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`(\w+)=~?"([^"]*)"`)
)

// check says what a query asks for that is not there.
func (s series) check(query string) (problems []string) {
	for _, found := range selector.FindAllStringSubmatch(query, -1) {
		labels, ok := s[found[1]]
		if !ok {
			problems = append(problems, "there is no "+found[1])
			continue
		}
		for _, match := range matcher.FindAllStringSubmatch(found[2], -1) {
			if match[1] == "job" {
				continue
			}
			for value := range strings.SplitSeq(match[2], "|") {
				if !labels[match[1]][value] {
					problems = append(problems, found[1]+" never has "+match[1]+`="`+value+`"`)
				}
			}
		}
	}
	return problems
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func alertQueries(t *testing.T) (queries []string) {
	text := readFile(t, "../monitoring/alerts.yml")
	for _, found := range regexp.MustCompile(`(?m)^ *expr: (.+)$`).FindAllStringSubmatch(text, -1) {
		queries = append(queries, found[1])
	}
	for _, part := range []string{"alert: ", "summary: ", "description: "} {
		if got := strings.Count(text, part); got != len(queries) {
			t.Errorf("%d alerts, and %d times %q", len(queries), got, part)
		}
	}
	return queries
}

func dashboardQueries(t *testing.T) (queries []string) {
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
		Templating struct{ List []struct{ Query string } }
	}
	if err := json.Unmarshal([]byte(readFile(t, "../monitoring/dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, panel := range dashboard.Panels {
		if panel.Title == "" || len(panel.Targets) == 0 {
			t.Errorf("a panel %q asks for nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			queries = append(queries, target.Expr)
		}
	}
	for _, variable := range dashboard.Templating.List {
		queries = append(queries, variable.Query)
	}
	return queries
}
