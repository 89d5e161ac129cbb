package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// outcome says what became of one patch.
type outcome struct {
	Rule     string `json:"rule"`
	Patch    string `json:"patch"`
	Breaks   string `json:"breaks"`
	CaughtBy string `json:"caughtBy,omitempty"` // package and test
	Model    bool   `json:"model"`              // it was the model alone
	Problem  string `json:"problem,omitempty"`
}

// String is one line for who waits, or more if there is a problem.
func (o outcome) String() string {
	if o.Problem != "" {
		return o.Rule + ": " + o.Problem
	}
	return o.Rule + ": caught by " + o.CaughtBy
}

// problem is the first line of Problem, which may hold all that a compiler has to say.
func (o outcome) problem() string {
	first, _, _ := strings.Cut(o.Problem, "\n")
	return first
}

// report is the outcome of all patches.
type report struct {
	Outcomes []outcome `json:"outcomes"`
	Caught   int       `json:"caught"`
	ByModel  int       `json:"byModel"` // by the model alone
}

func (r *report) add(o outcome) {
	r.Outcomes = append(r.Outcomes, o)
	if o.Problem == "" {
		r.Caught++
	}
	if o.Model {
		r.ByModel++
	}
}

// wanted is how many the model should catch alone: three quarters.
func (r *report) wanted() int { return (len(r.Outcomes)*3 + 3) / 4 }

func (r *report) table(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "rule\tpatch\tcaught by\twhat it breaks")
	for _, o := range r.Outcomes {
		by := o.CaughtBy
		if o.Problem != "" {
			by = "nothing: " + o.problem()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", o.Rule, o.Patch, by, o.Breaks)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(to, "%d patches, %d caught, %d by the model alone (three quarters are %d)\n",
		len(r.Outcomes), r.Caught, r.ByModel, r.wanted())
	return err
}

func (r *report) json(to io.Writer) error {
	encoder := json.NewEncoder(to)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// verdict is an error unless everything is as it should be. all says whether every rule was tried.
func (r *report) verdict(all bool) error {
	var problems []error
	for _, o := range r.Outcomes {
		if o.Problem != "" {
			problems = append(problems, fmt.Errorf("%s (%s): %s", o.Rule, o.Patch, o.problem()))
		}
	}
	if all && r.ByModel < r.wanted() {
		problems = append(problems, fmt.Errorf("model: it catches %d of %d alone, want at least %d", r.ByModel, len(r.Outcomes), r.wanted()))
	}
	return errors.Join(problems...)
}
