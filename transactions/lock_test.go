package transactions

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"openmediator/d2m"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func begin(ttl uint32, limit time.Duration) *Lock {
	return Begin(noon, 1, 10, []byte("scope"), ttl, limit)
}

func TestB29_TimeToLive(t *testing.T) {
	for _, test := range []struct {
		ttl         uint32
		limit, want time.Duration
	}{
		{0, 30 * time.Minute, 30 * time.Minute},
		{1, 30 * time.Minute, time.Second},
		{1799, 30 * time.Minute, 1799 * time.Second},
		{1800, 30 * time.Minute, 30 * time.Minute},
		{1801, 30 * time.Minute, 30 * time.Minute},
		{math.MaxUint32, 30 * time.Minute, 30 * time.Minute},
		{math.MaxUint32, 24 * time.Hour, 24 * time.Hour},
		{1, 1500 * time.Millisecond, time.Second},
		{2, 1500 * time.Millisecond, 1500 * time.Millisecond},
		{0, time.Second, time.Second},
	} {
		if got := begin(test.ttl, test.limit).Deadline.Sub(noon); got != test.want {
			t.Errorf("ttl %d of at most %v: %v, want %v", test.ttl, test.limit, got, test.want)
		}
	}
}

func TestB24_WhatALockKnows(t *testing.T) {
	scope := []byte("contact")
	l := Begin(noon, 7, 10, scope, 60, time.Hour)
	clear(scope)
	if l.Number != 7 || l.Holder != 10 || string(l.Scope) != "contact" {
		t.Errorf("lock %d of %d for %q", l.Number, l.Holder, l.Scope)
	}
	if l.Size() != 0 || len(l.Staged()) != 0 || l.Deferred() != 0 || len(l.Ephemerals()) != 0 || l.StoredBytes() != 0 {
		t.Error("a lock that was just taken has something in it")
	}
}

func TestB26_StagedInOrderWithItsOwnEnvelopes(t *testing.T) {
	l := begin(0, time.Hour)
	envelope := []byte("one")
	for i, m := range []Staged{
		{Timestamp: 1, Envelope: envelope},
		{Timestamp: 2, Envelope: []byte("typing"), Ephemeral: true},
		{Timestamp: 3},
	} {
		if err := l.Stage(m, 1000); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	clear(envelope)
	got := l.Staged()
	if len(got) != 3 || string(got[0].Envelope) != "one" || !got[1].Ephemeral || got[0].Ephemeral || got[2].Timestamp != 3 {
		t.Errorf("staged %v", got)
	}
	if want := 3 + 6 + 3*StagedOverhead; l.Size() != want || l.StoredBytes() != 3 {
		t.Errorf("%d bytes staged, %d to be stored, want %d and 3", l.Size(), l.StoredBytes(), want)
	}
}

// The limit counts 64 bytes more for each message; what exceeds it is not kept.
func TestB26_StagedLimitToTheByte(t *testing.T) {
	const limit = 1000
	for _, ephemeral := range []bool{false, true} {
		l := begin(0, time.Hour)
		for _, size := range []int{300, 0} {
			if err := l.Stage(Staged{Ephemeral: ephemeral, Envelope: make([]byte, size)}, limit); err != nil {
				t.Fatal(err)
			}
		}
		rest := limit - 300 - 3*StagedOverhead
		if err := l.Stage(Staged{Ephemeral: ephemeral, Envelope: make([]byte, rest+1)}, limit); !errors.Is(err, ErrStagedLimit) {
			t.Errorf("one byte too many: %v", err)
		}
		if len(l.Staged()) != 2 || l.Size() != 300+2*StagedOverhead {
			t.Errorf("%d messages with %d bytes are staged after a refusal", len(l.Staged()), l.Size())
		}
		if err := l.Stage(Staged{Ephemeral: ephemeral, Envelope: make([]byte, rest)}, limit); err != nil || l.Size() != limit {
			t.Errorf("exactly what fits: %v, %d bytes", err, l.Size())
		}
		if err := l.Stage(Staged{}, limit); !errors.Is(err, ErrStagedLimit) {
			t.Errorf("an empty message on top: %v", err)
		}
	}
}

func TestB26_PlacesBehindTheLock(t *testing.T) {
	l := begin(0, time.Hour)
	envelope := []byte("typing")
	first, lost, third := l.Defer(), l.DeferEphemeral(11, 5, envelope), l.Defer()
	clear(envelope)
	if first != 0 || lost != 0 || third != 2 || l.Deferred() != 3 {
		t.Errorf("places %d and %d, %d taken, %d lost", first, third, l.Deferred(), lost)
	}
	e := l.Ephemerals()
	if len(e) != 1 || e[0].Ordinal != 1 || e[0].Sender != 11 || e[0].Timestamp != 5 || string(e[0].Envelope) != "typing" {
		t.Errorf("ephemerals %v", e)
	}
}

func TestB26_TheLastEphemeralsAreKept(t *testing.T) {
	for _, test := range []struct {
		name  string
		sizes []int
		lost  []int    // at each
		kept  []uint64 // places
	}{
		{"to the byte", []int{32 << 10, 32 << 10}, []int{0, 0}, []uint64{0, 1}},
		{"one byte more", []int{32 << 10, 32<<10 + 1}, []int{0, 1}, []uint64{1}},
		{"several for one", []int{20_000, 20_000, 20_000, 30_000}, []int{0, 0, 0, 2}, []uint64{2, 3}},
		{"the largest", []int{100, 100, d2m.MaxEnvelopeSize}, []int{0, 0, 2}, []uint64{2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := begin(0, time.Hour)
			for i, size := range test.sizes {
				if lost := l.DeferEphemeral(11, 0, make([]byte, size)); lost != test.lost[i] {
					t.Errorf("number %d: %d lost, want %d", i, lost, test.lost[i])
				}
			}
			var kept []uint64
			for _, e := range l.Ephemerals() {
				kept = append(kept, e.Ordinal)
			}
			if !slices.Equal(kept, test.kept) || l.Deferred() != uint64(len(test.sizes)) {
				t.Errorf("kept %v of %d, want %v", kept, l.Deferred(), test.kept)
			}
		})
	}
}

// Also empty ones take memory.
func TestB44_EmptyEphemeralsAreBounded(t *testing.T) {
	l, lost := begin(0, time.Hour), 0
	for range 5000 {
		lost += l.DeferEphemeral(11, 0, nil)
	}
	if kept := len(l.Ephemerals()); kept != MaxEphemeral/16 || kept+lost != 5000 {
		t.Errorf("%d are kept and %d lost", kept, lost)
	}
}
