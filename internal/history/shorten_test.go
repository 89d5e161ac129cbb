package history

import (
	"strings"
	"testing"
	"time"
)

func TestShortenKeepsWhatShowsTheViolation(t *testing.T) {
	broken := parse(t, edit(t, good, "3 received b 11 100", "", "3 acksent 11", ""))
	before := broken.String()
	short := Shorten(broken, time.Minute)
	if after := broken.String(); after != before {
		t.Error("the history was changed")
	}
	const want = `device 1
       0.0020s  connected to server 1, new slot
       0.0050s  queue dry
       0.0100s  sent 1/1, reflect-id 72
       0.0150s  was acked reflect-id 72, timestamp 100
device 3
       0.0040s  connected to server 1, new slot
       0.0080s  queue dry
`
	if got := short.String(); got != want {
		t.Errorf("shortened to\n%s\nwant\n%s", got, want)
	}
	if err := Check(short); err == nil || !strings.HasPrefix(err.Error(), "B15: message 1/1 was acked and never reached device 3") {
		t.Errorf("it shows: %v", err)
	}
}

func TestShortenLeavesOutTransactionsThatHaveNoPart(t *testing.T) {
	const history = `
		server
		1 connected new
		2 connected new
		1 begins s
		1 begun
		1 sent a 1
		1 acked 1 100
		1 commits
		1 committed
		2 received a 10 100
		2 hears 1 s
		1 sent b 2
		1 acked 2 100
		2 received b 11 99
		2 dry
		1 dry
	`
	short := Shorten(parse(t, history), time.Minute)
	if err := Check(short); err == nil || !strings.HasPrefix(err.Error(), "B15: message 1/1 has two timestamps, 100 and 99") {
		t.Errorf("it shows: %v", err)
	}
	if n := short.events(); n != 7 {
		t.Errorf("shortened to %d events, want 7:\n%v", n, short)
	}
}

func TestShortenDoesNotTouchAGoodHistory(t *testing.T) {
	h := parse(t, good)
	if Shorten(h, time.Minute) != h {
		t.Error("a history without a violation was shortened")
	}
}
