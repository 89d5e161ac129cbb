package process

import (
	"os"
	"testing"
)

func TestParseStat(t *testing.T) {
	s, err := parseStat([]byte("42 (a) b (c) S 7 42 42 0 -1 4194304 100 0 0 0 11 22 33 44 20 0 1 0\n"))
	if err != nil || s.parent != 7 || s.ticks != 11+22+33+44 {
		t.Errorf("parsed %+v, %v; want parent 7 and 110 ticks", s, err)
	}
	for _, bad := range []string{"", "42 (a) S 7", "42 (a) S x 42 42 0 -1 4194304 100 0 0 0 11 22 33 44", "42 (a) S 7 42 42 0 -1 4194304 100 0 0 0 11 22 x 44"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("line %q was taken", bad)
		}
	}
}

func TestStatsFollowParents(t *testing.T) {
	all, err := readStats()
	if err != nil {
		t.Fatal(err)
	}
	if !all.descends(os.Getpid(), os.Getppid()) || all.descends(os.Getppid(), os.Getpid()) {
		t.Error("this process does not descend from its parent, or the other way round")
	}
}
