package main

import (
	"testing"

	"openmediator/d2m"
)

func TestEnvelopesAreUnique(t *testing.T) {
	g := new(group)
	seen := make(map[string]bool)
	largest := 0
	for i := range 3000 {
		envelope := g.envelope(i % 9)
		if seen[string(envelope)] {
			t.Fatalf("envelope %d of %d bytes is there twice", i, len(envelope))
		}
		seen[string(envelope)] = true
		largest = max(largest, len(envelope))
	}
	if !seen[""] || largest > 8 {
		t.Errorf("none is empty, or the largest has %d bytes", largest)
	}
	for range 2 * d2m.MaxEnvelopeSize {
		g.serial += 977
		if n := len(g.envelope(d2m.MaxEnvelopeSize)); n != d2m.MaxEnvelopeSize {
			t.Fatalf("it has %d bytes", n)
		}
		if g.serial > 3*d2m.MaxEnvelopeSize {
			return
		}
	}
}
