package boltstore

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestKeyList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list keyList
		var want []uint64
		last := uint64(0)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				for range rapid.IntRange(1, 100).Draw(t, "keys") {
					last += rapid.Uint64Range(1, 3).Draw(t, "step")
					list.add(last)
					want = append(want, last)
				}
			},
			"remove": func(t *rapid.T) {
				var deleted []uint64
				if len(want) > 0 {
					deleted = rapid.SliceOf(rapid.SampledFrom(want)).Draw(t, "keys")
				}
				deleted = append(deleted, rapid.SliceOfN(rapid.Uint64Range(0, last+5), 0, 5).Draw(t, "any keys")...)
				before := slices.Clone(deleted)
				list.remove(deleted)
				if !slices.Equal(before, deleted) {
					t.Fatalf("what is given was changed")
				}
				want = slices.DeleteFunc(want, func(key uint64) bool { return slices.Contains(deleted, key) })
			},
			"remove the oldest": func(t *rapid.T) {
				n := rapid.IntRange(0, len(want)).Draw(t, "keys")
				list.remove(want[:n])
				want = slices.Clone(want[n:])
			},
			"": func(t *rapid.T) {
				if !slices.Equal(list.live(), want) {
					t.Fatalf("keys are %v, want %v", list.live(), want)
				}
				for key, i := uint64(0), 0; key < last+2; key++ {
					there := i < len(want) && want[i] == key
					if list.has(key) != there {
						t.Fatalf("has key %d: %v", key, !there)
					}
					if there {
						i++
					}
				}
				if cap(list.keys) > 64+8*len(want)+2*32 {
					t.Fatalf("%d keys take room for %d", len(want), cap(list.keys))
				}
			},
		})
	})
}

func TestKeyListGivesMemoryBack(t *testing.T) {
	var list keyList
	var gone []uint64
	for key := range uint64(10_000) {
		list.add(key + 1)
		if key%1000 != 0 {
			gone = append(gone, key+1)
		}
	}
	list.remove(gone)
	if len(list.live()) != 10 || cap(list.keys) > 64 {
		t.Fatalf("%d keys take room for %d", len(list.live()), cap(list.keys))
	}
}
