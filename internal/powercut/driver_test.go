//go:build integration

package powercut

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestPowerCut records plans, cuts the power in every place, and compares what is left with what was acknowledged.
func TestPowerCut(t *testing.T) {
	binary := buildDriver(t)
	end := time.Now().Add(time.Duration(*minutes * float64(time.Minute)))
	for seed := drawnSeed(); ; seed++ {
		for _, kind := range []struct {
			name   string
			record func(*testing.T, *driven) error
		}{{"compacted", recordCompacted}, {"killed", recordKilled}, {"failing", recordFailing}, {"abandoned", recordAbandoned}, {"replaced", recordReplaced}} {
			t.Run(fmt.Sprint(kind.name, "/", seed), func(t *testing.T) {
				if err := record(t, binary, seed, kind.record).replay(t); err != nil {
					t.Fatal(err)
				}
			})
		}
		if t.Failed() || time.Now().After(end) {
			return
		}
	}
}

// record makes a recording, and another one if the driver was killed where nobody can tell what it has done.
func record(t *testing.T, binary string, seed uint64, record func(*testing.T, *driven) error) *driven {
	t.Helper()
	for {
		d := newDriven(t, binary, seed)
		err := record(t, d)
		if err == nil {
			return d
		}
		if !errors.Is(err, errInterrupted) {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// recordCompacted is a run from the creation of the store, in which it grows and is compacted, to its end.
func recordCompacted(t *testing.T, d *driven) error {
	if _, err := d.run(t, nil, "-commits", "120", "-compact", "30"); err != nil {
		return err
	}
	// The store's creation renames a file, as does every compaction.
	if renames, resizes := d.count(rename), d.count(resize); renames != 1+4 || resizes < 3 {
		return fmt.Errorf("driver: %d renames and %d changes of size: want 4 compactions, and growth", renames, resizes)
	}
	return d.Complete()
}

// recordKilled is some runs, each of which but the last is killed when it is about to sync, before or after its meta page,
// now and then beside a compaction.
func recordKilled(t *testing.T, d *driven) error {
	for i := range 6 {
		kill := fmt.Sprintf("fdatasync:signal=SIGKILL:when=%d", 9+4*i+i%2)
		killed, err := d.run(t, []string{kill}, "-commits", "60", "-compact", "8")
		if err != nil {
			return err
		}
		if !killed {
			return errors.New("driver: was not killed")
		}
	}
	_, err := d.run(t, nil, "-commits", "20")
	return err
}

// recordAbandoned is some runs, each of which but the last is killed when a sync has failed, before the store recovers. What
// the next one finds in the page cache need not be on the disk, and no sync brings it there.
func recordAbandoned(t *testing.T, d *driven) error {
	for when := range 6 {
		fault := fmt.Sprint("fdatasync:error=EIO:when=", 7+when)
		killed, err := d.run(t, []string{fault}, "-commits", "20", "-abandon")
		if err != nil {
			return err
		}
		if !killed {
			return errors.New("driver: no sync has failed")
		}
	}
	if before, after := d.failures(); before == 0 || after == 0 {
		return fmt.Errorf("driver: %d syncs failed before the meta page was written, %d after: want some of each", before, after)
	}
	_, err := d.run(t, nil, "-commits", "20")
	return err
}

// recordReplaced is some runs, each of which but the last is killed when it is about to sync a directory, or a file that has
// grown: in the creation of the store, and when a compaction has just put a copy in the place of the file.
func recordReplaced(t *testing.T, d *driven) error {
	for when := range 8 {
		kill := fmt.Sprint("fsync:signal=SIGKILL:when=", 1+when)
		if _, err := d.run(t, []string{kill}, "-commits", "12", "-compact", "4", "-wait"); err != nil {
			return err
		}
	}
	_, err := d.run(t, nil, "-commits", "12")
	return err
}

// recordFailing is some runs in which syncs and writes fail: of files, before and after the meta page is written, of
// directories, for want of room.
func recordFailing(t *testing.T, d *driven) error {
	for _, fault := range []string{
		"fdatasync:error=EIO:when=7+30", "fdatasync:error=EIO:when=8+30", "fdatasync:error=EIO:when=9+30",
		"fsync:error=EIO:when=4+4", "pwrite64:error=EIO:when=20+150", "pwrite64:error=ENOSPC:when=30+150",
	} {
		if _, err := d.run(t, []string{fault}, "-commits", "16", "-compact", "8"); err != nil {
			return fmt.Errorf("%s: %w", fault, err)
		}
	}
	if before, after := d.failures(); before == 0 || after == 0 {
		return fmt.Errorf("driver: %d syncs failed before the meta page was written, %d after: want some of each", before, after)
	}
	return nil
}

// An acknowledgement that comes too early has to be found, or this all is for nothing.
func TestPowerCut_EarlyAckIsFound(t *testing.T) {
	d := newDriven(t, buildDriver(t), drawnSeed())
	if _, err := d.run(t, nil, "-commits", "20", "-early"); err != nil {
		t.Fatal(err)
	}
	err := d.replay(t)
	if err == nil || !strings.Contains(err.Error(), "it is not what commit") {
		t.Fatalf("a driver that acknowledges what is not durable passes: %v", err)
	}
	t.Log(err)
}
