package metrics

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"openmediator/mediator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// surveyed is a store with two groups, which takes a time to be looked through.
type surveyed struct {
	takes  time.Duration
	looks  int
	failed error
}

func (s *surveyed) survey(each func(mediator.GroupState) error) error {
	s.looks++
	time.Sleep(s.takes)
	oldest := time.Now().Add(-time.Hour)
	for _, g := range []mediator.GroupState{
		{Slots: 3, Connected: 1, Messages: 5, Bytes: 500, Oldest: oldest.Add(time.Minute)},
		{Slots: 2, Connected: 2, Messages: 1, Bytes: 7, Oldest: oldest},
		{Slots: 1},
	} {
		if err := each(g); err != nil {
			return err
		}
	}
	return s.failed
}

func TestCensus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &surveyed{takes: time.Second}
		c := NewCensus(s.survey)
		defer c.Close()
		if _, known := c.Totals(); known {
			t.Error("the totals are known before anything was counted")
		}
		c.Totals() // counts nothing twice at once
		time.Sleep(2 * time.Second)
		got, known := c.Totals()
		if !known || got.Groups != 3 || got.Slots != 6 || got.Connected != 3 || got.Messages != 6 || got.Bytes != 507 ||
			time.Since(got.Oldest) < time.Hour {
			t.Errorf("%+v, %v", got, known)
		}
		for range 300 {
			c.Totals()
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if s.looks < 5 || s.looks > 6 {
			t.Errorf("looked %d times in 5 minutes", s.looks)
		}
	})
}

// Nobody asks: nothing is looked at.
func TestCensusRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(surveyed)
		c := NewCensus(s.survey)
		defer c.Close()
		time.Sleep(time.Hour)
		if s.looks != 0 {
			t.Errorf("looked %d times", s.looks)
		}
	})
}

// A look that takes long is not repeated soon.
func TestCensusOfALargeStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &surveyed{takes: 30 * time.Second}
		c := NewCensus(s.survey)
		defer c.Close()
		for range 3600 {
			c.Totals()
			time.Sleep(time.Second)
		}
		if s.looks > 6 {
			t.Errorf("looked %d times in an hour, each for 30 s", s.looks)
		}
	})
}

// What was known stays known when the store fails.
func TestCensusOfAStoreThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(surveyed)
		c := NewCensus(s.survey)
		c.Totals()
		synctest.Wait()
		s.failed = errors.New("store: unavailable")
		time.Sleep(censusEvery)
		before, _ := c.Totals()
		synctest.Wait()
		if after, known := c.Totals(); !known || after != before || s.looks != 2 {
			t.Errorf("%+v, %v after %d looks", after, known, s.looks)
		}
		c.Close()
		time.Sleep(time.Hour)
		c.Totals()
		synctest.Wait()
		if s.looks != 2 {
			t.Errorf("looked %d times", s.looks)
		}
	})
}
