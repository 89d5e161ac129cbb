package load

import (
	"fmt"
	"strings"
	"time"
)

// text collects the lines of a result for a person.
type text struct{ strings.Builder }

// line writes a name and what there is to say of it.
func (t *text) line(name, format string, args ...any) {
	fmt.Fprintf(t, "  %-17s %s\n", name, fmt.Sprintf(format, args...))
}

func (t *text) title(name, format string, args ...any) {
	fmt.Fprintf(t, "%s: %s\n", name, fmt.Sprintf(format, args...))
}

func (t *text) latency(name string, l Latency) {
	t.line(name, "p50 %s   p90 %s   p99 %s   max %s", inWords(l.P50), inWords(l.P90), inWords(l.P99), inWords(l.Max))
}

// inWords writes microseconds with three digits.
func inWords(us float64) string {
	switch {
	case us < 1000:
		return fmt.Sprintf("%.3g µs", us)
	case us < 999_500:
		return fmt.Sprintf("%.3g ms", us/1000)
	}
	return fmt.Sprintf("%.3g s", us/1_000_000)
}

const (
	barWidth = 40 // characters
	maxBars  = 16
)

// picture draws how latencies are spread, a line for each power of two.
func (t *text) picture(name string, l Latency) {
	octaves := l.histogram.Octaves()
	if len(octaves) == 0 {
		return
	}
	if few := len(octaves) - maxBars; few > 0 {
		octaves = octaves[few:]
	}
	most := uint64(0)
	for _, o := range octaves {
		most = max(most, o.Count)
	}
	fmt.Fprintf(t, "\n  %s\n", name)
	for _, o := range octaves {
		bar := strings.Repeat("#", int((o.Count*barWidth+most-1)/most))
		fmt.Fprintf(t, "  %9s and more  %s\n", inWords(microseconds(o.Low)), strings.TrimSpace(fmt.Sprintf("%-*s %s", barWidth, bar, grouped(o.Count))))
	}
}

// grouped writes a number with commas.
func grouped[N uint64 | int | int64](n N) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// where names the server, and says if it keeps nothing.
func (s *Setup) where() string {
	if s.Store == "none" {
		return s.Server + " (without a store: it keeps nothing)"
	}
	return s.Server
}

// cpu writes who has used the processor, as far as that is known.
func (t *text) cpu(server, load *float64, of string) {
	if server != nil {
		t.line("server CPU", "%.2f s per 100,000 %s", *server, of)
	}
	if load != nil {
		t.line("CPU of this load", "%.2f s per 100,000 %s", *load, of)
	}
}

// perSecond is a rate over some time.
func perSecond(n uint64, d time.Duration) float64 { return float64(n) / d.Seconds() }
