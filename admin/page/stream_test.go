package page_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/admin/page"
	"openmediator/d2m"
)

// shown is what the page got to see last.
type shown struct {
	State      page.State
	Version    string
	Rates      []int
	Closes     []struct{ Code, Count int }
	Count      int
	Devices    int
	Connected  int
	Messages   int
	Groups     []page.Group
	Failed     string
	seen       map[string]int // events by name
	StoreUsed  int64          `json:"store_used"`
	StoreLimit int64          `json:"store_limit"`
}

// take reads what has come.
func (v *shown) take(t *testing.T, text string) {
	t.Helper()
	if v.seen == nil {
		v.seen = make(map[string]int)
	}
	for event := range strings.SplitSeq(strings.TrimSuffix(text, "\n\n"), "\n\n") {
		name, data, ok := strings.Cut(event, "\n")
		data, isData := strings.CutPrefix(data, "data: ")
		name, isName := strings.CutPrefix(name, "event: ")
		if !ok || !isData || !isName || strings.Contains(data, "\n") {
			t.Fatalf("%q is no event", event)
		}
		v.seen[name]++
		if err := json.Unmarshal([]byte(data), v); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s, status := watch(t, newPage(t, f).Guarded(api, token), "Authorization", "Bearer "+token)
		if status != http.StatusOK {
			t.Fatalf("answered with %d", status)
		}
		var v shown
		for range 10 {
			before := v.seen["vitals"]
			if v.take(t, s.next()); v.seen["vitals"] > before {
				f.set(func(f *fake) { f.vitals.Reflected += 7 })
			}
		}
		if v.State != page.Ready || v.seen["vitals"] < 5 || v.seen["groups"] == 0 || v.Count != 1 || v.Devices != 2 || v.Connected != 1 || v.Messages != 2 {
			t.Errorf("%+v", v)
		}
		if n := len(v.Rates); n < 3 || v.Rates[n-1] != 7 || v.Rates[n-2] != 7 {
			t.Errorf("rates %v", v.Rates)
		}
	})
}

// Nobody watches: then nobody looks at the groups, and else not more often than allowed.
func TestGroupsAreLookedAtWhileSomebodyWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		p := newPage(t, f)
		time.Sleep(time.Hour)
		if n := f.looked(); n != 0 {
			t.Errorf("looked %d times", n)
		}
		s, _ := watch(t, p.Trusted(api, ""))
		began := time.Now()
		var v shown
		for time.Since(began) < 30*time.Second {
			v.take(t, s.next())
		}
		looks := f.looked()
		if looks < 9 || looks > 11 {
			t.Errorf("looked %d times in 30 s", looks)
		}
		s.leave()
		time.Sleep(time.Hour)
		if n := f.looked(); n > looks+1 {
			t.Errorf("looked %d times when nobody watched", n-looks)
		}
	})
}

// Of many groups those are shown in which most waits; all are counted. A look that fails says so.
func TestManyGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.groups = nil
		for i := range 1000 {
			f.groups = append(f.groups, page.Group{Name: fmt.Sprint(i), Messages: i * 7919 % 1000, Devices: make([]page.Device, 300)})
		}
		f.failure = errors.New("storage is not available")
		s, _ := watch(t, newPage(t, f).Trusted(api, ""))
		var v shown
		for v.seen["groups"] == 0 {
			v.take(t, s.next())
		}
		if v.Count != 1000 || v.Devices != 300_000 || v.Messages != 999*1000/2 || v.Failed != "storage is not available" {
			t.Errorf("%d groups with %d devices and %d messages, %s", v.Count, v.Devices, v.Messages, v.Failed)
		}
		if len(v.Groups) != page.MaxGroups || len(v.Groups[0].Devices) != page.MaxDevices {
			t.Fatalf("%d groups shown", len(v.Groups))
		}
		for i, g := range v.Groups {
			if g.Messages != 999-i {
				t.Fatalf("in place %d: %d messages", i, g.Messages)
			}
		}
	})
}

func TestStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPage(t, newFake())
		handler := p.Trusted(api, "")
		var streams []*stream
		for range page.MaxStreams {
			s, status := watch(t, handler)
			if status != http.StatusOK {
				t.Fatalf("answered with %d", status)
			}
			go func() {
				for s.next() != "end" {
				}
			}()
			streams = append(streams, s)
		}
		refused := request(handler, http.MethodGet, "/page/events", "")
		if refused.Code != http.StatusServiceUnavailable || refused.Header().Get("Retry-After") == "" {
			t.Errorf("one too many: %d", refused.Code)
		}
		streams[0].leave()
		again, status := watch(t, handler)
		if status != http.StatusOK {
			t.Errorf("after one has gone: %d", status)
		}
		began := time.Now()
		for again.next() != "end" { // takes all there is
		}
		if lasted := time.Since(began); lasted != page.StreamLife {
			t.Errorf("a stream lasts %v", lasted)
		}
		slow, _ := watch(t, handler)
		began = time.Now()
		<-slow.ended // takes nothing
		if lasted := time.Since(began); lasted > 20*time.Second {
			t.Errorf("who takes nothing stays for %v", lasted)
		}
	})
}

// The streams end with the page, and no new one begins.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := page.New(newFake())
		handler := p.Trusted(api, "")
		s, _ := watch(t, handler)
		go func() {
			for s.next() != "end" {
			}
		}()
		synctest.Wait()
		p.Close()
		<-s.ended
		if answer := request(handler, http.MethodGet, "/page/events", ""); answer.Code != http.StatusServiceUnavailable {
			t.Errorf("after the end: %d", answer.Code)
		}
	})
}

// Close codes are counted for an hour, and rates for three minutes.
func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s, _ := watch(t, newPage(t, f).Trusted(api, ""))
		began := time.Now()
		var v shown
		until := func(d time.Duration) {
			for time.Since(began) < d {
				v.take(t, s.next())
			}
		}
		count := func(code d2m.CloseCode) {
			f.set(func(f *fake) {
				closes := map[d2m.CloseCode]uint64{}
				for c, n := range f.vitals.Closes {
					closes[c] = n
				}
				closes[code]++
				f.vitals.Closes = closes
			})
		}
		until(90 * time.Second)
		count(d2m.CloseIdle)
		until(10 * time.Minute)
		count(d2m.CloseInternal)
		count(d2m.CloseInternal)
		until(20 * time.Minute)
		if len(v.Closes) != 2 || v.Closes[0].Code != 1011 || v.Closes[0].Count != 2 || v.Closes[1].Code != 4013 || len(v.Rates) != 180 {
			t.Errorf("after 20 minutes: %+v, %d rates", v.Closes, len(v.Rates))
		}
		until(59 * time.Minute)
		s.leave()
		s, _ = watch(t, newPage(t, f).Trusted(api, ""))
		v = shown{}
		v.take(t, s.next())
		if len(v.Closes) != 2 {
			t.Errorf("a page that begins counts what there was: %+v", v.Closes)
		}
	})
}

func TestTheHourPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.vitals.Closes[d2m.CloseIdle] = 5
		p := newPage(t, f)
		look := func() shown {
			s, _ := watch(t, p.Trusted(api, ""))
			defer s.leave()
			var v shown
			v.take(t, s.next())
			return v
		}
		time.Sleep(59 * time.Minute)
		if v := look(); len(v.Closes) != 1 {
			t.Errorf("within the hour: %+v", v.Closes)
		}
		time.Sleep(3 * time.Minute)
		if v := look(); len(v.Closes) != 0 {
			t.Errorf("after it: %+v", v.Closes)
		}
	})
}
