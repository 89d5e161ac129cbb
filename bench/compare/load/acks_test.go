package load

import (
	"slices"
	"testing"
)

// writes records what each Write gets.
type writes []string

func (w *writes) Write(b []byte) (int, error) {
	*w = append(*w, string(b))
	return len(b), nil
}

func TestAckWriter(t *testing.T) {
	for _, test := range []struct {
		single bool
		want   writes
	}{
		{false, writes{"a1a2", "a3"}},
		{true, writes{"a1", "a2", "a3"}},
	} {
		var got writes
		acks := AckWriter{W: &got, Single: test.single}
		for _, round := range [][]string{{"1", "2"}, nil, {"3"}} {
			for _, ack := range round {
				if err := acks.Add([]byte("a"), []byte(ack)); err != nil {
					t.Fatal(err)
				}
			}
			if err := acks.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("single %v: writes %q, want %q", test.single, got, test.want)
		}
	}
}
