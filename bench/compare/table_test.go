package main

import (
	"strings"
	"testing"
)

func TestNumber(t *testing.T) {
	for value, want := range map[float64]string{
		0: "0", 0.0123: "0.0123", 1.5: "1.50", 12.34: "12.3", 99.96: "100.0", 123.4: "123", 999.9: "1,000", 123456: "123,000", 1234567: "1,230,000", -1234: "-1,230",
	} {
		if got := number(value); got != want {
			t.Errorf("number(%v) is %q, want %q", value, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	m := measured{
		row: row{
			title: "Work", metrics: []metric{rate},
			contestants: []contestant{{id: ownID, name: "this server"}, {id: "peer", name: "a peer", guarantee: "nothing"}},
			goals:       []goal{{rate, ownID, "peer", 1.5, false}, {rate, ownID, "absent", 1, true}},
		},
		rounds: map[string][]figures{
			ownID:  {{rate.key: 30}, {rate.key: 10}, {rate.key: 20}},
			"peer": {{rate.key: 10}, {rate.key: 5}},
		},
	}
	var b strings.Builder
	writeGoals(&b, []measured{m})
	m.write(&b)
	for _, want := range []string{
		"| Work: per second | a peer | 7.50 (5.00–10.0) | 20.0 (10.0–30.0) | 2.67 × | at least 1.50 × | yes |\n",
		"| a peer | 7.50 (5.00–10.0) | 2.67 × | nothing |\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("table lacks %q:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "at most") {
		t.Errorf("table has a goal against somebody who was not measured:\n%s", b.String())
	}
}

func TestChosen(t *testing.T) {
	rows := allRows()
	for patterns, want := range map[string]int{"": len(rows), "window32": 1, "window*/mediator": 3, "window1,proxy/copy": 2} {
		var list []string
		if patterns != "" {
			list = strings.Split(patterns, ",")
		}
		some, err := chosen(rows, list)
		if err != nil || len(some) != want {
			t.Errorf("%q chooses %d rows, %v; want %d", patterns, len(some), err, want)
		}
	}
	for _, bad := range []string{"window33", "window32/nobody", "["} {
		if _, err := chosen(rows, []string{bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
