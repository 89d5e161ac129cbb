package client_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"openmediator/client"
)

func nonce(n int) (nonce [24]byte) {
	binary.LittleEndian.PutUint64(nonce[:], uint64(n))
	return nonce
}

func TestMemoryNoncesForgetTheOldest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 8).Draw(t, "limit")
		nonces := client.NewMemoryNonces(limit)
		var order []int // the naive way
		for _, n := range rapid.SliceOf(rapid.IntRange(0, 15)).Draw(t, "added") {
			known, err := nonces.Contains(nonce(n))
			if err != nil || known != slices.Contains(order, n) {
				t.Fatalf("Contains(%d) = %v, %v; order %v", n, known, err, order)
			}
			if err := nonces.Add(nonce(n)); err != nil {
				t.Fatal(err)
			}
			if !known {
				order = append(order, n)
				order = order[max(0, len(order)-limit):]
			}
		}
		all := nonces.All()
		if len(all) != len(order) {
			t.Fatalf("All has %d nonces, want %d", len(all), len(order))
		}
		for i, n := range order {
			if all[i] != nonce(n) {
				t.Fatalf("All[%d] is %x, want that of %d", i, all[i], n)
			}
		}
	})
}
