package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGrowthIsFound(t *testing.T) {
	before := belongings{Memory: 50 << 20, Goroutines: 21, Descriptors: 10, File: 1 << 20}
	for want, now := range map[string]belongings{
		"":            {Memory: 63 << 20, Goroutines: 21, Descriptors: 10, File: 1<<20 + fileRoom},
		"memory":      {Memory: 65 << 20, Goroutines: 20, Descriptors: 9, File: 1 << 19},
		"goroutines":  {Memory: 50 << 20, Goroutines: 22, Descriptors: 10, File: 1 << 20},
		"descriptors": {Memory: 50 << 20, Goroutines: 21, Descriptors: 11, File: 1 << 20},
		"file":        {Memory: 50 << 20, Goroutines: 21, Descriptors: 10, File: 1<<20 + fileRoom + 1},
	} {
		if grown := now.growth(before); grown != want {
			t.Errorf("%v after %v: %q has grown, want %q", now, before, grown, want)
		}
	}
}

const metrics = `# TYPE go_goroutines gauge
go_goroutines 21
go_memstats_heap_released_bytes 5.2e+06
go_memstats_sys_bytes 1.22e+07
process_open_fds 10
`

func TestLook(t *testing.T) {
	data := serveMetrics(t, metrics)
	is, err := look(t.Context(), data)
	if want := (belongings{Memory: 7e6, Goroutines: 21, Descriptors: 10, File: 4096}); err != nil || is != want {
		t.Errorf("%v, %v, want %v", is, err, want)
	}
}

func TestLookWithoutWhatItLooksFor(t *testing.T) {
	for _, missing := range []string{"go_goroutines", "go_memstats_sys_bytes", "process_open_fds"} {
		data := serveMetrics(t, strings.ReplaceAll(metrics, missing, "other"))
		if is, err := look(t.Context(), data); err == nil {
			t.Errorf("without %s: %v", missing, is)
		}
	}
	if is, err := look(t.Context(), t.TempDir()); err == nil {
		t.Errorf("without a server: %v", is)
	}
}

// serveMetrics returns a directory as that of a server that has these metrics.
func serveMetrics(t *testing.T, metrics string) string {
	t.Helper()
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, fileName), make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(data, "control.sock"))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /compact", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(metrics)) })
	server := &http.Server{Handler: mux}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	return data
}

func TestSoakFaults(t *testing.T) {
	all, err := parseFaults("all", true)
	if err != nil || len(all) != len(faultNames)-3 || all["kill"] || all["term"] || all["stop"] {
		t.Errorf("%v, %v", all, err)
	}
	for _, name := range []string{"kill", "term", "stop", "cut,kill"} {
		if f, err := parseFaults(name, true); err == nil {
			t.Errorf("%s: %v", name, f)
		}
	}
}
