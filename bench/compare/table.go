package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// writeTable writes all that was measured as Markdown.
func writeTable(w io.Writer, h header, rows []measured) error {
	var b strings.Builder
	h.write(&b)
	writeGoals(&b, rows)
	for _, m := range rows {
		m.write(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeGoals writes a line for each goal whose both sides were measured.
func writeGoals(b *strings.Builder, rows []measured) {
	line(b, "what", "compared with", "peer", "this server", "ratio", "goal", "reached")
	line(b, "---", "---", "---:", "---:", "---:", "---:", "---")
	for _, m := range rows {
		for _, g := range m.goals {
			own, ok := m.spread(g.own, g.metric)
			peer, ok2 := m.spread(g.peer, g.metric)
			if !ok || !ok2 {
				continue
			}
			ratio := own.Median / peer.Median
			line(b, m.title+": "+g.metric.name, m.named(g.peer), peer.String(), own.String(), factor(ratio), g.String(), yesNo(g.reached(ratio)))
		}
	}
	b.WriteByte('\n')
}

func (g goal) reached(ratio float64) bool {
	if g.atMost {
		return ratio <= g.factor
	}
	return ratio >= g.factor
}

func (g goal) String() string {
	if g.atMost {
		return "at most " + factor(g.factor)
	}
	return "at least " + factor(g.factor)
}

// named returns the name of a contestant.
func (r row) named(id string) string {
	for _, c := range r.contestants {
		if c.id == id {
			return c.name
		}
	}
	return id
}

// write writes the table of one row of work: a line for each contestant.
func (m measured) write(b *strings.Builder) {
	fmt.Fprintf(b, "## %s\n\n", m.title)
	titles, rule := []string{"who"}, []string{"---"}
	for _, kind := range m.metrics {
		titles, rule = append(titles, kind.name, "this server ÷ it"), append(rule, "---:", "---:")
	}
	line(b, append(titles, "what it promises")...)
	line(b, append(rule, "---")...)
	for _, c := range m.contestants {
		cells := []string{c.name}
		for _, kind := range m.metrics {
			cells = append(cells, m.cells(c.id, kind)...)
		}
		line(b, append(cells, c.guarantee)...)
	}
	b.WriteByte('\n')
}

// cells returns the figure of a contestant, and how this server compares with it.
func (m measured) cells(id string, kind metric) []string {
	s, ok := m.spread(id, kind)
	if !ok {
		return []string{"", ""}
	}
	own, ok := m.spread(ownID, kind)
	if !ok || id == ownID {
		return []string{s.String(), ""}
	}
	return []string{s.String(), factor(own.Median / s.Median)}
}

func (s spread) String() string {
	return fmt.Sprintf("%s (%s–%s)", number(s.Median), number(s.Min), number(s.Max))
}

func line(b *strings.Builder, cells ...string) {
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}

func factor(f float64) string { return strconv.FormatFloat(f, 'f', 2, 64) + " ×" }

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// number writes a figure with three significant digits, whole thousands separated.
func number(f float64) string {
	switch size := math.Abs(f); {
	case size == 0:
		return "0"
	case size < 100:
		return strconv.FormatFloat(f, 'f', max(0, 2-int(math.Floor(math.Log10(size)))), 64)
	}
	unit := math.Pow(10, max(0, math.Floor(math.Log10(math.Abs(f)))-2))
	digits := strconv.FormatInt(int64(math.Round(f/unit)*unit), 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
