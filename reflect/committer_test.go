package reflect

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"openmediator/d2m"
)

// slowStore takes a while for each commit and notes when it was called with what.
type slowStore struct {
	Store
	takes time.Duration
	fail  error // for groups whose id starts with 0xff

	started time.Time
	calls   []call
}

type call struct {
	at     time.Duration // since started
	groups []byte        // first bytes of the group ids, in order
}

func newSlowStore(takes time.Duration) *slowStore {
	return &slowStore{takes: takes, started: time.Now()}
}

func (s *slowStore) Commit(batches []*Batch) []error {
	c := call{at: time.Since(s.started)}
	results := make([]error, len(batches))
	for i, b := range batches {
		c.groups = append(c.groups, b.Group[0])
		if b.Group[0] == 0xff {
			results[i] = s.fail
		}
	}
	s.calls = append(s.calls, c)
	time.Sleep(s.takes)
	return results
}

func (s *slowStore) expect(t *testing.T, want ...call) {
	t.Helper()
	same := slices.EqualFunc(s.calls, want, func(a, b call) bool { return a.at == b.at && slices.Equal(a.groups, b.groups) })
	if !same {
		t.Fatalf("commits: %v, want %v", s.calls, want)
	}
}

// group is a source with so many batches to store.
type group struct {
	id    byte
	again func(g *group) // called by Committed, if not nil

	mu      sync.Mutex
	pending int
	sealed  int
	results []error
}

func (g *group) Seal() *Batch {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sealed++
	if g.pending == 0 {
		return nil
	}
	g.pending--
	return &Batch{Group: d2m.GroupID{g.id}}
}

func (g *group) Committed(b *Batch, err error) {
	g.mu.Lock()
	if b.Group[0] != g.id {
		err = errors.New("the batch of another group")
	}
	g.results = append(g.results, err)
	g.mu.Unlock()
	if g.again != nil {
		g.again(g)
	}
}

func TestCommitterStartsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newSlowStore(7 * time.Millisecond)
		c := NewCommitter(store)
		g := &group{id: 1, pending: 3}
		for range 3 {
			c.Add(g)
			time.Sleep(100 * time.Millisecond)
		}
		c.Close()
		store.expect(t, call{0, []byte{1}}, call{100 * time.Millisecond, []byte{1}}, call{200 * time.Millisecond, []byte{1}})
	})
}

func TestCommitterTakesAllThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newSlowStore(10 * time.Millisecond)
		c := NewCommitter(store)
		var want []byte
		for i := range 200 {
			g := &group{id: byte(i), pending: 1}
			g.mu.Lock() // whoever adds may hold the source's lock
			c.Add(g)
			g.mu.Unlock()
			if i == 0 {
				synctest.Wait() // the commit with the first one is in progress
			} else {
				want = append(want, byte(i))
			}
		}
		c.Close()
		store.expect(t, call{0, []byte{0}}, call{10 * time.Millisecond, want})
	})
}

func TestCommitterAddsAgainFromCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newSlowStore(time.Millisecond)
		c := NewCommitter(store)
		g := &group{id: 1, pending: 3, again: func(g *group) { c.Add(g) }}
		c.Add(g)
		c.Close() // while the first commit is still to come
		store.expect(t, call{0, []byte{1}}, call{time.Millisecond, []byte{1}}, call{2 * time.Millisecond, []byte{1}})
		if g.sealed != 4 || len(g.results) != 3 {
			t.Fatalf("Seal was called %d times and Committed %d times, want 4 and 3", g.sealed, len(g.results))
		}
	})
}

func TestCommitterGivesEachItsResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newSlowStore(0)
		store.fail = ErrFenced
		c := NewCommitter(store)
		nothing, good, bad := &group{id: 0}, &group{id: 1, pending: 1}, &group{id: 0xff, pending: 1}
		c.Add(nothing)
		synctest.Wait()
		store.expect(t) // nothing to store is no commit
		for _, g := range []*group{nothing, bad, good} {
			c.Add(g)
		}
		c.Close()
		if len(nothing.results) != 0 || !slices.Equal(good.results, []error{nil}) || !slices.Equal(bad.results, []error{ErrFenced}) {
			t.Fatalf("results: %v, %v, %v", nothing.results, good.results, bad.results)
		}
	})
}

func TestB17_LazyWritesStartWithinHalfASecond(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		name  string
		takes time.Duration
		play  func(c *Committer, groups []*group)
		want  []call
	}{
		{"alone", 0, func(c *Committer, g []*group) {
			c.AddLazy(g[1])
			time.Sleep(300 * ms)
			c.AddLazy(g[2])
			time.Sleep(time.Second)
		}, []call{{500 * ms, []byte{1, 2}}}},
		{"one after the other", 0, func(c *Committer, g []*group) {
			g[1].pending = 2
			for range 2 {
				c.AddLazy(g[1])
				time.Sleep(time.Second)
			}
		}, []call{{500 * ms, []byte{1}}, {1500 * ms, []byte{1}}}},
		{"not with what comes earlier", 0, func(c *Committer, g []*group) {
			c.AddLazy(g[1])
			time.Sleep(499 * ms)
			c.Add(g[2])
			time.Sleep(time.Second)
		}, []call{{499 * ms, []byte{2}}, {500 * ms, []byte{1}}}},
		{"with what is due anyway", 200 * ms, func(c *Committer, g []*group) {
			c.AddLazy(g[1])
			time.Sleep(400 * ms)
			c.Add(g[2])
			time.Sleep(50 * ms)
			c.Add(g[3])
			time.Sleep(time.Second)
		}, []call{{400 * ms, []byte{2}}, {600 * ms, []byte{3, 1}}}},
		{"a source that waits in both ways", 200 * ms, func(c *Committer, g []*group) {
			g[1].pending = 2
			c.AddLazy(g[1])
			time.Sleep(400 * ms)
			c.Add(g[2])
			time.Sleep(50 * ms)
			c.Add(g[1])
			time.Sleep(2 * time.Second)
		}, []call{{400 * ms, []byte{2}}, {600 * ms, []byte{1}}}},
		{"added twice", 0, func(c *Committer, g []*group) {
			g[1].pending = 2
			c.AddLazy(g[1])
			c.AddLazy(g[1])
			time.Sleep(2 * time.Second)
		}, []call{{500 * ms, []byte{1}}}},
		{"at the end", 0, func(c *Committer, g []*group) {
			c.AddLazy(g[1])
			time.Sleep(100 * ms)
		}, []call{{100 * ms, []byte{1}}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newSlowStore(test.takes)
				c := NewCommitter(store)
				groups := make([]*group, 4)
				for i := range groups {
					groups[i] = &group{id: byte(i), pending: 1}
				}
				test.play(c, groups)
				c.Close()
				store.expect(t, test.want...)
			})
		})
	}
}

// synctest.Test fails if a goroutine is left.
func TestB44_CommitterEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newSlowStore(0)
		NewCommitter(store).Close()
		c := NewCommitter(store)
		synctest.Wait()
		c.Close()
		store.expect(t)
	})
}
