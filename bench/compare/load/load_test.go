package load

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fake is a broker in memory that may do wrong.
type fake struct {
	lose, repeat uint64 // number of a message of group 0 that its receivers do not get, or get twice; 0: none

	mu     sync.Mutex
	queues map[[2]int]*queue
}

type queue struct {
	messages chan uint64
	end      chan struct{}
	once     sync.Once
	order    Order
}

func (f *fake) queue(group, device int) *queue {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := [2]int{group, device}
	if f.queues == nil {
		f.queues = map[[2]int]*queue{}
	}
	if f.queues[key] == nil {
		f.queues[key] = &queue{messages: make(chan uint64, 1<<16), end: make(chan struct{})}
	}
	return f.queues[key]
}

func (f *fake) Receiver(group, device int) (Receiver, error) { return f.queue(group, device), nil }

func (q *queue) SetDeadline(time.Time) error { return nil }

func (q *queue) Close() error {
	q.once.Do(func() { close(q.end) })
	return nil
}

func (q *queue) Receive() (int, error) {
	select {
	case n := <-q.messages:
		message := make([]byte, 8)
		Number(message, n)
		return 1, q.order.Next(message)
	case <-q.end:
		return 0, io.EOF
	}
}

const (
	sender3 = 2 // the third device of a group
	ackTime = time.Millisecond
)

func (f *fake) Sender(group int) (Sender, error) {
	return &fakeSender{queue: f.queue(group, sender3), fake: f, group: group}, nil
}

type fakeSender struct {
	*queue
	fake  *fake
	group int
	sent  int
}

func (s *fakeSender) Send(first uint64, n int) error {
	s.sent += n
	for number := first; number < first+uint64(n); number++ {
		copies := 1
		if s.group == 0 && number > 0 {
			switch number {
			case s.fake.lose:
				copies = 0
			case s.fake.repeat:
				copies = 2
			}
		}
		for range copies {
			for device := range ReceiversPerGroup {
				s.fake.queue(s.group, device).messages <- number
			}
		}
	}
	return nil
}

func (s *fakeSender) Acks() (int, error) {
	time.Sleep(ackTime) // in fake time
	n := s.sent
	s.sent = 0
	return n, nil
}

var work = Workload{Groups: 3, Window: 4, Size: 8, WarmUp: 10 * time.Millisecond, Duration: 100 * time.Millisecond}

func noCPU() (time.Duration, error) { return 0, nil }

func TestRunCountsWhatHasArrived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := work.Run(t.Context(), &fake{}, noCPU)
		if err != nil {
			t.Fatal(err)
		}
		if want := int64(3 * 4 * 100); r.Messages != want {
			t.Errorf("%d messages, want %d", r.Messages, want)
		}
		if r.Rate() < 11_000 || r.Rate() > 12_000 {
			t.Errorf("%.0f per second, want nearly 12,000", r.Rate())
		}
		if p50 := r.Latency.Quantile(0.5); p50 < 98*ackTime/100 || p50 > 102*ackTime/100 {
			t.Errorf("latency p50 is %v, want %v", p50, ackTime)
		}
	})
}

func TestRunFailsIfBrokerLosesOrRepeats(t *testing.T) {
	for name, broker := range map[string]*fake{"lost": {lose: 17}, "repeated": {repeat: 17}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, err := work.Run(t.Context(), broker, noCPU)
				if err == nil || !strings.Contains(err.Error(), "message: has number") {
					t.Errorf("error %v, want one about a message's number", err)
				}
			})
		})
	}
}

func TestRunFailsIfLastMessageIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := work.Run(t.Context(), &fake{lose: 4*110 - 1}, noCPU)
		if err == nil || !strings.Contains(err.Error(), "2 deliveries") {
			t.Errorf("error %v, want one about 2 deliveries that are missing", err)
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopped := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(50*time.Millisecond, func() { cancel(stopped) })
		long := work
		long.Duration = time.Hour
		if _, err := long.Run(ctx, &fake{}, noCPU); !errors.Is(err, stopped) {
			t.Errorf("error %v, want %v", err, stopped)
		}
	})
}

func TestHistogram(t *testing.T) {
	var h, other Histogram
	for i := range 1000 {
		h.Record(time.Duration(i+1)*time.Microsecond, 1)
	}
	other.Record(time.Hour, 500)
	h.Add(&other)
	for q, want := range map[float64]time.Duration{0: time.Microsecond, 0.5: 750 * time.Microsecond, 1: time.Hour} {
		if got := h.Quantile(q); got < want*31/32 || got > want*33/32 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if got := new(Histogram).Quantile(0.5); got != 0 {
		t.Errorf("quantile of nothing is %v", got)
	}
}
