package main

import (
	"strings"
	"testing"
)

func TestFirstFailure(t *testing.T) {
	for _, test := range []struct{ name, output, caught, build string }{
		{"nothing", "", "", ""},
		{"a test", `{"Action":"run","Test":"TestA"}
{"Action":"pass","Test":"TestA"}
{"Action":"fail","Test":"TestC/sub"}
{"Action":"fail","Test":"TestC"}
{"Action":"fail"}
`, "TestC/sub", ""},
		{"it hangs", `{"Action":"run","Test":"TestA"}
{"Action":"output","Test":"TestA","Output":"panic: test timed out after 1s\n"}
{"Action":"fail","Package":"p"}
`, "TestA, which does not end", ""},
		{"no test of its own", `{"Action":"output","Package":"p","Output":"goroutine leak\n"}
{"Action":"fail","Package":"p"}
`, "what runs around its tests", ""},
		{"it does not compile", `{"ImportPath":"p","Action":"build-output","Output":"x.go:1: undefined\n"}
{"ImportPath":"p","Action":"build-fail"}
{"Action":"fail","Package":"p","FailedBuild":"p"}
`, "", "x.go:1: undefined\n"},
		{"no JSON", "go: no such tool\n", "", ""},
	} {
		if caught, build := firstFailure([]byte(test.output)); caught != test.caught || build != test.build {
			t.Errorf("%s: %q, %q, want %q, %q", test.name, caught, build, test.caught, test.build)
		}
	}
}

func TestVerdict(t *testing.T) {
	model := outcome{Rule: "B7", CaughtBy: "devicegroup TestModel", Model: true}
	example := outcome{Rule: "B8", CaughtBy: "devicegroup TestOther"}
	missed := outcome{Rule: "B9", Problem: "no test catches it"}
	for _, test := range []struct {
		name     string
		outcomes []outcome
		all      bool
		want     string // part of the error; empty: none
	}{
		{"three quarters", []outcome{model, example, model, model}, true, ""},
		{"half", []outcome{model, example}, true, "model: it catches 1 of 2"},
		{"just below", []outcome{model, model, model, example, example}, true, "model: it catches 3 of 5 alone, want at least 4"},
		{"one rule", []outcome{example}, false, ""},
		{"missed", []outcome{model, model, model, missed}, true, "B9"},
		{"one rule, missed", []outcome{missed}, false, "no test catches it"},
	} {
		var r report
		for _, o := range test.outcomes {
			r.add(o)
		}
		err := r.verdict(test.all)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func TestTable(t *testing.T) {
	r := new(report)
	r.add(outcome{Rule: "B7", Patch: "B07.patch", Breaks: "this.", CaughtBy: "p TestX", Model: true})
	r.add(outcome{Rule: "B8", Patch: "B08.patch", Breaks: "that.", Problem: "it does not compile\nx.go:1: undefined"})
	var out strings.Builder
	if err := r.table(&out); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"B7    B07.patch  p TestX                       this.\n",
		"B8    B08.patch  nothing: it does not compile  that.\n",
		"2 patches, 1 caught, 1 by the model alone (three quarters are 2)\n",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("no line %q in\n%s", line, &out)
		}
	}
}
