package powercut

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"openmediator/d2m"
	"openmediator/reflect"
	"openmediator/reflect/memstore"
)

func follow(t *testing.T, p *Plan, marks ...string) {
	t.Helper()
	for _, mark := range marks {
		if err := p.Follow(mark); err != nil {
			t.Fatal(err)
		}
	}
}

// carryOut carries out some commits of a plan on a store.
func carryOut(t *testing.T, p *Plan, store reflect.Store, commits int) {
	t.Helper()
	for range commits {
		number := p.Next()
		_, epochs, err := p.Check(store, p.Bounds())
		if err != nil {
			t.Fatalf("before commit %d: %v", number, err)
		}
		follow(t, p, fmt.Sprint("begin ", number))
		for _, b := range p.Batches() {
			b.Epoch = epochs[b.Group]
		}
		if err := errors.Join(store.Commit(p.Batches())...); err != nil {
			t.Fatal(err)
		}
		follow(t, p, fmt.Sprint("acked ", number))
	}
}

func TestPlan_Check(t *testing.T) {
	p, store := NewPlan(3), memstore.New()
	carryOut(t, p, store, 80)
	last := p.Next() - 1
	if number, _, err := p.Check(store, Bounds{last - 1, last}); err != nil || number != last {
		t.Fatalf("it is commit %d, %v; want %d", number, err, last)
	}
	if _, _, err := p.Check(store, Bounds{last - 2, last - 1}); err == nil {
		t.Error("what an earlier commit left is not told from the last one")
	}
}

// fullest returns the group that has most messages.
func fullest(p *Plan) (d2m.GroupID, *planGroup) {
	held := p.states[p.current].groups
	group := slices.MaxFunc(p.groups, func(a, b d2m.GroupID) int {
		count := func(g d2m.GroupID) int {
			if held[g] == nil {
				return 0
			}
			return len(held[g].chunks)
		}
		return count(a) - count(b)
	})
	return group, held[group]
}

// Each difference is found.
func TestPlan_CheckFindsDifferences(t *testing.T) {
	for name, change := range map[string]func(b *reflect.Batch, g *planGroup){
		"a chunk is gone":     func(b *reflect.Batch, g *planGroup) { b.Delete = []uint64{g.chunks[0].key} },
		"a group is gone":     func(b *reflect.Batch, _ *planGroup) { b.Erase = true },
		"an older state":      func(b *reflect.Batch, _ *planGroup) { b.State = new(reflect.State).Append(nil) },
		"a blob too many":     func(b *reflect.Batch, _ *planGroup) { b.Blobs = []reflect.Blob{{Device: 1, Data: []byte{}}} },
		"a deleted one again": func(b *reflect.Batch, g *planGroup) { b.Chunk = g.chunks[0].data },
		"a damaged message": func(b *reflect.Batch, g *planGroup) {
			last := g.chunks[len(g.chunks)-1]
			b.Delete = []uint64{last.key}
			b.Chunk = bytes.Clone(last.data)
			b.Chunk[len(b.Chunk)-1]++
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, store := NewPlan(4), memstore.New()
			carryOut(t, p, store, 60)
			group, held := fullest(p)
			_, epochs, err := p.Check(store, p.Bounds())
			if err != nil {
				t.Fatal(err)
			}
			batch := &reflect.Batch{Group: group, Epoch: epochs[group]}
			change(batch, held)
			if err := store.Commit([]*reflect.Batch{batch})[0]; err != nil {
				t.Fatal(err)
			}
			if name == "a damaged message" {
				held.chunks[len(held.chunks)-1].key = batch.Key // all else is as it should be
			}
			if _, _, err := p.Check(store, p.Bounds()); err == nil {
				t.Error("is not found")
			}
		})
	}
}

// What nobody waits for may have been erased, and nothing else.
func TestPlan_CheckAllowsErased(t *testing.T) {
	for name, nobody := range map[string]bool{"what nobody waits for": true, "everything": false} {
		t.Run(name, func(t *testing.T) {
			p, store := NewPlan(5), memstore.New()
			carryOut(t, p, store, 60)
			group, held := fullest(p)
			state := held.state
			if !nobody {
				state = new(reflect.State)
			}
			_, epochs, err := p.Check(store, p.Bounds())
			if err != nil {
				t.Fatal(err)
			}
			eraser, erased := reflect.NewEraser(state), 0
			for i, c := range held.chunks {
				data, n := eraser.Erase(c.data)
				erased += n
				batch := &reflect.Batch{Group: group, Epoch: epochs[group], Delete: []uint64{c.key}, Chunk: data}
				if err := store.Commit([]*reflect.Batch{batch})[0]; err != nil {
					t.Fatal(err)
				}
				held.chunks[i].key = batch.Key
			}
			if erased == 0 {
				t.Fatal("nothing was erased")
			}
			if _, _, err := p.Check(store, p.Bounds()); (err == nil) != nobody {
				t.Errorf("%d messages erased: %v", erased, err)
			}
		})
	}
}

func TestPlan_IsTheSameForTheSameSeed(t *testing.T) {
	draw := func(seed uint64) string {
		p := NewPlan(seed)
		var drawn bytes.Buffer
		for range 30 {
			follow(t, p, fmt.Sprint("begin ", p.Next()))
			for _, b := range p.Batches() {
				fmt.Fprintf(&drawn, "%+v\n", *b)
			}
			follow(t, p, fmt.Sprint("acked ", p.Next()-1))
		}
		return drawn.String()
	}
	first, again := draw(1), draw(1)
	if first != again {
		t.Error("it is another one")
	}
	if first == draw(2) {
		t.Error("another seed has the same")
	}
}

func TestPlan_Bounds(t *testing.T) {
	p := NewPlan(1)
	for _, step := range []struct {
		mark string
		want Bounds
	}{
		{"opened 0", Bounds{0, 0}}, {"seen 0", Bounds{0, 0}}, {"begin 1", Bounds{0, 1}}, {"acked 1", Bounds{1, 1}},
		{"begin 2", Bounds{1, 2}}, {"failed 2", Bounds{1, 2}}, {"seen 1", Bounds{1, 1}}, {"begin 3", Bounds{1, 3}},
		{"opened 0", Bounds{1, 3}}, {"seen 3", Bounds{3, 3}},
	} {
		follow(t, p, step.mark)
		if p.Bounds() != step.want {
			t.Errorf("%s: bounds %v, want %v", step.mark, p.Bounds(), step.want)
		}
	}
	for _, mark := range []string{"", "begin", "begin 3", "begin 5", "acked 2", "seen 1", "failed 9", "acked -1", "done 3"} {
		if err := p.Follow(mark); err == nil {
			t.Errorf("mark %q: no error", mark)
		}
	}
}

func TestMarks_At(t *testing.T) {
	m, err := ReadMarks(1, []Output{{10, 1, []byte("opened 0\n")}, {20, 1, []byte("begin 1\n")}, {30, 1, []byte("acked 1\n")}})
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[int]Bounds{5: {0, 0}, 19: {0, 0}, 20: {0, 1}, 29: {0, 1}, 30: {1, 1}, 99: {1, 1}} {
		if got := m.at(line); got != want {
			t.Errorf("line %d: %v, want %v", line, got, want)
		}
	}
	if _, err := ReadMarks(1, []Output{{10, 1, []byte("acked 1\n")}}); err == nil {
		t.Error("a mark that makes no sense: no error")
	}
}
