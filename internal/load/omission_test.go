package load

import (
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/d2m"
)

// stalling is a server that acks one message after the other, each after a service time, and does nothing for a while.
type stalling struct {
	service          time.Duration
	stalled, resumes time.Duration // since the start
}

// done returns when a message is acked that arrives at a time, and whose predecessor is acked at another.
func (s stalling) done(arrived, before time.Duration) time.Duration {
	begins := max(arrived, before)
	if begins >= s.stalled && begins < s.resumes {
		begins = s.resumes
	}
	return begins + s.service
}

// serve acks what comes over a connection until it ends.
func (s stalling) serve(c net.Conn, start time.Time) {
	server := &conn{Conn: c, in: make([]byte, 4096)}
	times := make(chan time.Duration, 1000)
	defer close(times)
	go func() {
		before, id := time.Duration(0), d2m.ReflectID(0)
		for arrived := range times {
			before = s.done(arrived, before)
			<-time.After(time.Until(start.Add(before)))
			ack := d2m.ReflectAck{ID: id}.Append(nil)
			if _, err := c.Write(append([]byte{binaryMsg, byte(len(ack))}, ack...)); err != nil {
				return
			}
			id++
		}
	}()
	for {
		first, payload, size, _ := cutFrame(unmask(server.in[server.begin:server.end]))
		if size == 0 {
			if server.fill() != nil {
				return
			}
			continue
		}
		server.begin += size + 4
		if first == binaryMsg && len(payload) > 0 {
			times <- time.Since(start)
		}
	}
}

// unmask takes the masking key, which is zero, out of the first frame, if that is short and there as a whole.
func unmask(b []byte) []byte {
	if len(b) < 6 || len(b) < 6+int(b[1]&^masked) {
		return nil
	}
	return append([]byte{b[0], b[1] &^ masked}, b[6:]...)
}

// TestCoordinatedOmission holds latencies against those of a simulation that knows when each message was due.
func TestCoordinatedOmission(t *testing.T) {
	const window, seed, think = 3, 11, 2 * time.Millisecond
	until := time.Second
	for name, server := range map[string]stalling{
		"quiet":   {service: 100 * time.Microsecond},
		"stalled": {service: 500 * time.Microsecond, stalled: 300 * time.Millisecond, resumes: 700 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			r := &reflecting{
				Reflect: Reflect{Window: window, Size: MinSize, Think: think}, interval: newInterval(0, until),
				fleet: (&Server{Seed: seed}).newFleet(t.Context()),
			}
			defer r.fail(nil)
			s := r.newSender(&conn{Conn: near, in: make([]byte, 4096)}, &r.tallies[0], nil, 5)
			r.sending.Add(1)
			r.start = time.Now()
			go server.serve(far, r.start)
			if err := s.run(); err != nil {
				t.Fatal(err)
			}
			near.Close()
			synctest.Wait()

			want := simulate(server, seed, 5, window, think, until)
			got := &r.tallies[0].ack
			if got.Count() != uint64(len(want)) || r.tallies[0].overdue != 0 {
				t.Fatalf("%s: %d messages and %d overdue, want %d", name, got.Count(), r.tallies[0].overdue, len(want))
			}
			slices.Sort(want)
			for _, p := range []float64{1, 50, 90, 99, 100} {
				exact := want[int(math.Ceil(p/100*float64(len(want))))-1]
				if v := got.Percentile(p); v < exact || v > exact+exact/subBuckets {
					t.Errorf("%s: percentile %v is %v, want %v", name, p, v, exact)
				}
			}
			if late := r.tallies[0].late.Max(); late != 0 {
				t.Errorf("%s: a timer came %v late", name, late)
			}
		})
	}
}

// simulate returns the latencies of all messages, from when they were due.
func simulate(server stalling, seed uint64, group, window int, think, until time.Duration) (latencies []time.Duration) {
	random := rand.New(rand.NewPCG(seed, uint64(group)))
	var done []time.Duration
	for due := time.Duration(random.Float64() * float64(think)); due < until; due += time.Duration(random.ExpFloat64() * float64(think)) {
		sent, before := due, time.Duration(0)
		if n := len(done); n > 0 {
			before = done[n-1]
			if n >= window {
				sent = max(sent, done[n-window])
			}
		}
		done = append(done, server.done(sent, before))
		latencies = append(latencies, done[len(done)-1]-due)
	}
	return latencies
}

// TestOverdue: what never had room counts with the time that it has waited.
func TestOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		r := &reflecting{
			Reflect: Reflect{Window: 1, Size: MinSize, Think: time.Millisecond}, interval: newInterval(0, 100*time.Millisecond),
			fleet: (&Server{Seed: 1}).newFleet(t.Context()),
		}
		defer r.fail(nil)
		s := r.newSender(&conn{Conn: near, in: make([]byte, 4096)}, &r.tallies[0], nil, 0)
		r.sending.Add(1)
		r.start = time.Now()
		go stalling{stalled: 10 * time.Millisecond, resumes: 150 * time.Millisecond}.serve(far, r.start)
		if err := s.run(); err != nil {
			t.Fatal(err)
		}
		near.Close()
		got := &r.tallies[0]
		all := uint64(len(simulate(stalling{}, 1, 0, 1, time.Millisecond, 100*time.Millisecond)))
		if got.overdue < 50 || got.ack.Count() != all || got.allAcked+got.overdue != all {
			t.Errorf("%d overdue, %d acked, %d latencies; %d were due", got.overdue, got.allAcked, got.ack.Count(), all)
		}
		if most := got.ack.Max(); most < 100*time.Millisecond || got.ack.Percentile(50) < 20*time.Millisecond {
			t.Errorf("at most %v were waited, and %v in the middle", most, got.ack.Percentile(50))
		}
	})
}

// TestScheduleTellsWhoIsLate: what came due while the sender stood ready is late by this process, not by the server.
func TestScheduleTellsWhoIsLate(t *testing.T) {
	s := newSchedule(rand.New(rand.NewPCG(1, 1)), time.Millisecond)
	first := s.next
	if _, _, due := s.take(first - 1); due {
		t.Error("a message is due before its time")
	}
	s.ready = true
	if from, late, due := s.take(first + 7); !due || from != first+7 || late != 7 {
		t.Errorf("ready: counts from %v, late by %v, due %v", from, late, due)
	}
	second := s.next
	s.ready = false
	if from, late, due := s.take(second + 9); !due || from != second || late >= 0 {
		t.Errorf("not ready: counts from %v, late by %v, due %v", from, late, due)
	}
}
