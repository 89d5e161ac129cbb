package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"openmediator/d2m"
	"openmediator/internal/serverprocess"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(buildDir)
		os.Exit(code)
	}))
}

// short returns the settings of a run of a second or two. The seed is one with which none of the first two dozen groups stays,
// which would take some seconds longer.
func short(t *testing.T, faults string) settings {
	t.Helper()
	f, err := parseFaults(faults, false)
	if err != nil {
		t.Fatal(err)
	}
	return settings{
		seed: 169, duration: time.Second, groups: 8, rate: 1000, life: time.Second, calm: 200 * time.Millisecond,
		faults: f, data: t.TempDir(), binary: server(t),
	}
}

// buildDir is where build builds the server, once for all tests.
var buildDir = filepath.Join(os.TempDir(), fmt.Sprintf("torture-test-%d", os.Getpid()))

var build = sync.OnceValues(func() (string, error) {
	if err := os.Mkdir(buildDir, 0o700); err != nil {
		return "", err
	}
	return serverprocess.Build(buildDir)
})

func server(t *testing.T) string {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

func TestRunFindsNothing(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	findings, err := torture(context.Background(), short(t, "kill,delay,cut,swallow,drops,duplicates"), &out)
	if err != nil || findings > 0 {
		t.Fatalf("%d findings, %v\n%s", findings, err, &out)
	}
	t.Log(out.String())
	for _, word := range []string{"seed 169", " groups judged by ", "file: "} {
		if !strings.Contains(out.String(), word) {
			t.Errorf("the report does not say %q:\n%s", word, &out)
		}
	}
}

func TestRunWithABrokenHistoryFindsIt(t *testing.T) {
	t.Parallel()
	s := short(t, "none")
	s.breakOne = true
	var out bytes.Buffer
	findings, err := torture(context.Background(), s, &out)
	if err != nil || findings != 1 {
		t.Fatalf("%d findings, %v\n%s", findings, err, &out)
	}
	for _, word := range []string{"FINDING with seed 169", "broken on purpose", "never reached device", "in short: B1"} {
		if !strings.Contains(out.String(), word) {
			t.Errorf("the report does not say %q:\n%s", word, &out)
		}
	}
}

// What is left in the file at the end is a finding, however well all went before.
func TestRunFindsWhatIsLeftInTheFile(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := short(t, "none")
	r, err := newRun(t.Context(), s, s.binary, s.data, newReport(s, &out))
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	r.loadOver = t.Context()
	l, err := r.world.start()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.world.open(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	g, err := r.newGroup(0)
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range g.devices {
		c := d.connect(t.Context(), l, road{}, d2m.Reject)
		if c == nil {
			t.Fatal(out.String())
		}
		c.habit = never
		defer c.end(false)
		if i < len(g.devices)-1 {
			continue
		}
		if err := c.reflect(t.Context(), 100, false); err != nil || !c.until(t.Context(), func() bool { return len(c.unacked) == 0 }) {
			t.Fatal(err, out.String())
		}
	}
	r.stay(g.keys.GroupID())
	r.finish(l)
	if r.tally.findings.Load() != 1 || !strings.Contains(out.String(), "B17: file: 1 chunks of ") {
		t.Errorf("found: %s", &out)
	}
}
