package load

import "time"

// interval is what is measured of a load that runs. Times are since the start.
type interval struct {
	start       time.Time
	from, until time.Duration
	used        usage // within it; whoever watches sets it
}

func newInterval(warmUp, duration time.Duration) interval {
	return interval{from: warmUp, until: warmUp + duration}
}

func (i *interval) now() time.Duration { return time.Since(i.start) }

// measured tells whether something at this time counts.
func (i *interval) measured(at time.Duration) bool { return i.from <= at && at < i.until }

// watch looks at the processor when the interval begins and when it ends, and says once a second how far the load is.
// begins is called when it begins, unless it is nil. It reports false if the fleet's context ends before that.
func (i *interval) watch(f *fleet, howFar func() string, begins func()) bool {
	if !i.sleep(f, i.from, "warming up", howFar) {
		return false
	}
	before := f.server.usage()
	if begins != nil {
		begins()
	}
	if !i.sleep(f, i.until, "measuring", howFar) {
		return false
	}
	i.used = f.server.usage().since(before)
	return true
}

func (i *interval) sleep(f *fleet, until time.Duration, what string, howFar func() string) bool {
	f.server.progress("%s", what)
	second := time.NewTicker(time.Second)
	defer second.Stop()
	timer := time.NewTimer(until - i.now())
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return true
		case <-f.ctx.Done():
			return false
		case <-second.C:
			f.server.progress("%s: %s in %.0f s", what, howFar(), i.now().Seconds())
		}
	}
}
