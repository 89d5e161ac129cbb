package main

import (
	"maps"
	"testing"
)

func TestParseBenchmark(t *testing.T) {
	output := "goos: linux\nBenchmarkStore512-2   \t  100000\t      9500 ns/op\t    105000 messages/s\t         0.48 ×plain\nPASS\n"
	want := map[string]float64{"ns/op": 9500, "messages/s": 105000, "×plain": 0.48}
	if got := parseBenchmark(output, "BenchmarkStore512"); !maps.Equal(got, want) {
		t.Errorf("parsed %v, want %v", got, want)
	}
	if got := parseBenchmark(output, "BenchmarkOther"); len(got) != 0 {
		t.Errorf("parsed %v of another benchmark", got)
	}
}
