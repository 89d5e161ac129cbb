package main

import (
	"testing"
	"time"

	"openmediator/internal/history"
)

func TestB33_SharedDataIsCompared(t *testing.T) {
	a, b := history.ContentOf([]byte("a")), history.ContentOf([]byte("b"))
	began := time.Unix(100, 0)
	at := func(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }
	first, second := &connection{}, &connection{}
	empty := set{value: history.ContentOf(nil), sent: began, durable: began}
	for name, test := range map[string]struct {
		sets  []set
		value history.Content
		anew  bool
		fine  bool
	}{
		"nothing was set":                 {nil, empty.value, false, true},
		"what nobody has set":             {nil, a, false, false},
		"what is not known to be durable": {[]set{{a, first, at(1), time.Time{}}}, a, false, true},
		"what was before it":              {[]set{{a, first, at(1), time.Time{}}}, empty.value, false, true},
		"what was before what is durable": {[]set{{a, first, at(1), at(2)}}, empty.value, false, false},
		"the same, of a group anew":       {[]set{{a, first, at(1), at(2)}}, empty.value, true, true},
		"durable after the login began":   {[]set{{a, first, at(1), at(20)}}, empty.value, false, true},
		"replaced by another connection":  {[]set{{a, first, at(1), at(2)}, {b, second, at(3), at(4)}}, a, false, false},
		"replaced at the same time":       {[]set{{a, first, at(1), at(4)}, {b, second, at(3), at(4)}}, a, false, true},
		"perhaps replaced only later":     {[]set{{a, first, at(1), time.Time{}}, {b, second, at(3), at(4)}}, a, false, true},
		"replaced on the same connection": {[]set{{a, first, at(1), time.Time{}}, {b, first, at(3), at(4)}}, a, false, false},
		"set once more":                   {[]set{{a, first, at(1), at(2)}, {b, first, at(3), at(4)}, {a, first, at(5), time.Time{}}}, a, false, true},
	} {
		s := sharedData{append([]set{empty}, test.sets...)}
		if problem := s.check(test.value, at(10), test.anew); (problem == "") != test.fine {
			t.Errorf("%s: %q", name, problem)
		}
	}
}

func TestB33_AnAckBehindASetProvesIt(t *testing.T) {
	c := &connection{device: &device{group: &group{shared: newSharedData()}}}
	number := c.shared.add(history.ContentOf([]byte("a")), c)
	c.sets = []unproven{{number, 2}}
	for acks, proven := range []bool{false, false, true} {
		c.proveSets()
		if got := !c.shared.sets[number].durable.IsZero(); got != proven {
			t.Errorf("with %d acks: proven %v", acks+1, got)
		}
	}
}
