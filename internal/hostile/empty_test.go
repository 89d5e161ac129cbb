package hostile

import (
	"bytes"
	"runtime"
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/internal/listen"
)

// emptyFlood is something that holds nothing, sent again and again.
type emptyFlood struct {
	name        string
	state       state
	part        int // of all, so many times fewer in a test: each makes work for others
	start, unit []byte
	end         []byte // that is answered, when all has been taken
	want        outcome
}

func emptyFloods() []emptyFlood {
	ping := wsFrame(fin|opPing, []byte("all taken"))
	pong := outcome{pongs: []string{"all taken"}}
	reflect := d2m.Reflect{Envelope: []byte("in many pieces")}.Append(nil)
	message := func(m d2m.Message) []byte { return wsFrame(fin|opBinary, m.Append(nil)) }
	return []emptyFlood{
		{name: "messages", state: registered, unit: wsFrame(fin|opBinary, nil), end: nil, want: protocolError},
		{name: "messages of a stranger", state: stranger, unit: wsFrame(fin|opBinary, nil), end: nil, want: protocolError},
		{name: "fragments", state: registered, start: wsFrame(opBinary, reflect), unit: wsFrame(opContinuation, nil),
			end: append(wsFrame(fin|opContinuation, nil), ping...), want: outcome{messages: 1, pongs: pong.pongs}},
		{name: "fragments of a stranger", state: stranger, start: wsFrame(opBinary, d2m.Proxy{}.Append(nil)),
			unit: wsFrame(opContinuation, nil), end: append(wsFrame(fin|opContinuation, nil), ping...), want: pong},
		{name: "pongs", state: stranger, unit: wsFrame(fin|opPong, nil), end: ping, want: pong},
		{name: "Proxy", state: registered, unit: message(d2m.Proxy{}), end: ping, want: pong},
		{name: "Proxy of a stranger", state: stranger, unit: message(d2m.Proxy{}), end: ping, want: pong},
		{name: "ephemerals", part: 10, state: registered, unit: message(d2m.Reflect{Flags: d2m.FlagEphemeral}), end: ping, want: pong},
		{name: "shared data", part: 10, state: registered, unit: message(d2m.SetSharedDeviceData{}), end: ping, want: pong},
	}
}

// What holds nothing costs next to nothing, however much of it comes, and others are served meanwhile (B44).
func TestB44_EmptyByTheHundredThousand(t *testing.T) {
	for _, f := range emptyFloods() {
		t.Run(f.name, func(t *testing.T) {
			before, peak := f.run(newArena(t, listen.TCP(t)), empties/max(1, f.part))
			if peak > before+emptyGrowth {
				t.Errorf("memory grew from %d to %d KiB", before>>10, peak>>10)
			}
		})
	}
}

// run sends n of them and returns how many bytes were in use before, and at most meanwhile.
func (f *emptyFlood) run(a *arena, n int) (before, peak uint64) {
	a.t.Helper()
	const inOne = 1000
	s := a.enter(f.state)
	s.SetDeadline(time.Now().Add(time.Minute))
	block := bytes.Repeat(f.unit, inOne)
	before = inUse()
	s.write(f.start)
	for i := range n / inOne {
		if _, err := s.Write(block); err != nil {
			a.t.Fatal(err)
		}
		if i%(n/inOne/4) == 0 {
			a.honest.exchange()
			if f.want.code == 0 { // so far all has been taken
				s.write(wsFrame(fin|opPing, nil))
				s.observe(func(o outcome) bool { return len(o.pongs) > 0 })
			}
			peak = max(peak, inUse())
		}
	}
	s.write(f.end)
	got := s.observe(func(o outcome) bool { return f.want.code == 0 && len(o.pongs) > 0 && o.messages >= f.want.messages })
	if !got.equal(f.want) {
		a.t.Errorf("%v, want %v", got, f.want)
	}
	peak = max(peak, inUse())
	s.write(wsFrame(fin|opClose, nil))
	return before, peak
}

// inUse is how many bytes of memory are: the least of some readings, for what is collected meanwhile counts in each.
func inUse() uint64 {
	least := ^uint64(0)
	for range 3 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		least = min(least, m.HeapAlloc+m.StackInuse)
	}
	return least
}

// BenchmarkEmpty measures what a million of each costs.
func BenchmarkEmpty(b *testing.B) {
	const million = 1_000_000
	for _, f := range emptyFloods() {
		b.Run(f.name, func(b *testing.B) {
			for b.Loop() {
				before, peak := f.run(newArena(b, listen.TCP(b)), million)
				b.ReportMetric(float64(max(peak, before)-before)/(1<<10), "KiB-growth")
			}
		})
	}
}
