package mediator

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/d2m"
)

// rings collects which alarms rang, and after how many minutes.
type rings struct {
	mu      sync.Mutex
	started time.Time
	rang    []ring
}

type ring struct {
	group   byte
	minutes int
}

func (r *rings) ring(group d2m.GroupID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rang = append(r.rang, ring{group[0], int(time.Since(r.started).Minutes())})
}

func in(minutes int) time.Time { return time.Now().Add(time.Duration(minutes) * time.Minute) }

// Each alarm rings once, at its last time, whatever it was set to before (B34).
func TestB34_Alarms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rings{started: time.Now()}
		a := newAlarms(r.ring)
		for group := range byte(10) {
			a.set(d2m.GroupID{group}, in(100+int(group)))
		}
		a.set(d2m.GroupID{9}, in(5))   // sooner
		a.set(d2m.GroupID{0}, in(200)) // later
		a.set(d2m.GroupID{3}, in(500))
		a.set(d2m.GroupID{3}, in(50))
		a.set(d2m.GroupID{7}, in(-1)) // at once
		time.Sleep(300 * time.Minute)
		a.set(d2m.GroupID{9}, in(1)) // again
		time.Sleep(100 * time.Hour)
		a.close()
		want := []ring{{7, 0}, {9, 5}, {3, 50}, {1, 101}, {2, 102}, {4, 104}, {5, 105}, {6, 106}, {8, 108}, {0, 200}, {9, 301}}
		if !slices.Equal(r.rang, want) {
			t.Errorf("rang %v, want %v", r.rang, want)
		}
		if len(a.index) != 0 {
			t.Errorf("%d alarms are kept", len(a.index))
		}
	})
}

// One that rings may set itself and others.
func TestB34_AlarmsSetWhileRinging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a *alarms
		count := 0
		ready := make(chan struct{})
		a = newAlarms(func(group d2m.GroupID) {
			<-ready
			if count++; count < 10 {
				a.set(group, in(1))
			}
		})
		close(ready)
		a.set(d2m.GroupID{1}, in(1))
		time.Sleep(time.Hour)
		a.close()
		if count != 10 {
			t.Errorf("rang %d times", count)
		}
	})
}

// What is due when the alarms are closed is not waited for.
func TestB34_AlarmsThatAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rang, goOn := 0, make(chan struct{})
		a := newAlarms(func(d2m.GroupID) {
			rang++
			<-goOn
		})
		for group := range byte(10) {
			a.set(d2m.GroupID{group}, in(-1))
		}
		synctest.Wait()
		go a.close()
		synctest.Wait()
		close(goOn)
		<-a.done
		if rang != 1 {
			t.Errorf("%d alarms rang, want the one that rang already", rang)
		}
	})
}
