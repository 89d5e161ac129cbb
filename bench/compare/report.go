package main

// report is the result as JSON.
type report struct {
	header
	options
	Rows []reportRow `json:"rows"`
}

type reportRow struct {
	ID          string             `json:"id"`
	Title       string             `json:"title"`
	Contestants []reportContestant `json:"contestants"`
}

type reportContestant struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	Guarantee string            `json:"guarantee,omitempty"`
	Figures   map[string]spread `json:"figures"`
	Rounds    []figures         `json:"rounds"`
}

func newReport(o options, h header, results []measured) report {
	r := report{header: h, options: o}
	for _, m := range results {
		row := reportRow{ID: m.id, Title: m.title}
		for _, c := range m.contestants {
			entry := reportContestant{c.id, c.name, c.guarantee, map[string]spread{}, m.rounds[c.id]}
			for _, kind := range m.metrics {
				if s, ok := m.spread(c.id, kind); ok {
					entry.Figures[kind.key] = s
				}
			}
			row.Contestants = append(row.Contestants, entry)
		}
		r.Rows = append(r.Rows, row)
	}
	return r
}
