//go:build integration

package powercut

import (
	"context"
	"testing"
	"time"

	"openmediator/d2m"
	"openmediator/internal/serverprocess"
)

// TestB43_SyncFails lets syncs of the real server's store fail, before and after the meta page is written. The server has
// to stay up, to close the devices with 1011 and to serve them again; what it has acknowledged is delivered, and survives
// a power cut at any moment, though nothing that a failed sync covered ever gets to the disk.
func TestB43_SyncFails(t *testing.T) {
	binary, err := serverprocess.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	before, after := 0, 0
	for range 4 { // the moments depend on which thread syncs
		b, a := failSyncs(t, binary)
		if before, after = before+b, after+a; before > 0 && after > 0 {
			t.Logf("%d syncs failed before the meta page was written, %d after", before, after)
			return
		}
	}
	t.Fatalf("%d syncs failed before the meta page was written, %d after: want some of each", before, after)
}

// failSyncs runs a server some syncs of which fail, and returns how many before and after the meta page was written.
func failSyncs(t *testing.T, binary string) (before, after int) {
	t.Helper()
	s := serve(t, binary, "fdatasync:error=EIO:when=10+10")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	nothing := func(d2m.Reflected) {}
	wire, err := s.persist(ctx, absent, nothing)
	if err != nil {
		t.Fatal(err)
	}
	wire.CloseNow()
	for count, ended := 1, 0; ended < 4; count, ended = count%7+1, ended+1 {
		wire, err := s.persist(ctx, sender, nothing)
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			err = s.reflectSome(ctx, wire, count)
		}
		wire.CloseNow()
		if !refused(err) {
			t.Fatalf("connection has ended otherwise than with 1011: %v", err)
		}
	}
	received := make(map[string]bool)
	wire, err = s.persist(ctx, absent, func(m d2m.Reflected) { received[string(m.Envelope)] = true })
	if err != nil {
		t.Fatal(err)
	}
	wire.CloseNow()
	for text := range s.acked {
		if !received[text] {
			t.Errorf("%.12q was acked and is not delivered", text)
		}
	}
	s.stop(t)
	if err := s.replay(t); err != nil {
		t.Error(err)
	}
	return s.failures()
}

// metaPages is how many bytes the two meta pages of the store's file take.
const metaPages = 2 * 4096

// failures counts failed syncs of files by what was written last.
func (r *Recording) failures() (before, after int) {
	last := make(map[int]int64) // file → offset
	for _, o := range r.operations {
		switch {
		case o.kind == write:
			last[o.file] = o.offset
		case o.kind == syncFile && o.failed && last[o.file] < metaPages:
			after++
		case o.kind == syncFile && o.failed:
			before++
		}
	}
	return before, after
}
