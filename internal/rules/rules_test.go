// Package rules checks that the rules of behaviour have tests.
//
// The rules have names, B1 to B45, and testdata/rules.txt says of each whether it is covered or open. A test shows which
// rule it checks by its name:
//
//   - a test or fuzz function: TestB12_TheLongestDryFollows, TestB10_B12_…
//   - a subtest: a literal name in t.Run, or an entry of a table, that begins with the rule: "B5 wrong response"
//   - a scenario, a text file in a directory testdata/scenarios: a comment at its head
//
// A covered rule without a test fails here, and so does an open one with a test: then the list is behind.
package rules

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// lastRule is the number of the last rule.
const lastRule = 45

type rule struct {
	name    string
	covered bool
	summary string
}

func TestEveryRuleIsWhatTheListSays(t *testing.T) {
	data, err := os.ReadFile("testdata/rules.txt")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := parseRules(string(data))
	if err != nil {
		t.Fatal(err)
	}
	found, err := scan(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, complaint := range compare(rules, found) {
		t.Error(complaint)
	}
}

// parseRules reads a list of rules, in order and complete.
func parseRules(text string) (rules []rule, err error) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		state, summary, _ := strings.Cut(rest, " ")
		if want := fmt.Sprintf("B%d", len(rules)+1); name != want {
			return nil, fmt.Errorf("rules: line %q begins with %q, want %s", line, name, want)
		}
		if state != "covered" && state != "open" || summary == "" {
			return nil, fmt.Errorf("rules: line %q says neither covered nor open, or has no summary", line)
		}
		rules = append(rules, rule{name: name, covered: state == "covered", summary: summary})
	}
	if len(rules) != lastRule {
		return nil, fmt.Errorf("rules: the list has %d, want %d", len(rules), lastRule)
	}
	return rules, nil
}

// compare says where a list of rules and the tests that were found differ.
func compare(rules []rule, found map[string][]string) (complaints []string) {
	known := make(map[string]bool)
	for _, r := range rules {
		known[r.name] = true
		tests := found[r.name]
		switch {
		case r.covered && len(tests) == 0:
			complaints = append(complaints, fmt.Sprintf("%s is said to be covered, but no test names it (%s)", r.name, r.summary))
		case !r.covered && len(tests) > 0:
			complaints = append(complaints, fmt.Sprintf("%s is said to be open, but has a test: %s", r.name, tests[0]))
		}
	}
	for name, tests := range found {
		if !known[name] {
			complaints = append(complaints, fmt.Sprintf("there is no rule %s, which %s names", name, tests[0]))
		}
	}
	return complaints
}
