package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	// restLimit is how long the server may take after a load until it holds no more than before. The runtime collects every
	// two minutes when nothing else makes it do so.
	restLimit = 5 * time.Minute
	// restPause is how long the server is let be before it is looked at.
	restPause = 5 * time.Second
	// memoryRoom and fileRoom are what may differ from rest to rest, bytes; of the memory a fifth besides.
	memoryRoom = 4 << 20
	fileRoom   = 64 << 10
)

// soakFaults are those that let the server live.
var soakFaults = []string{"delay", "cut", "swallow", "slow", "drops", "duplicates", "limits"}

// belongings is what a server holds.
type belongings struct {
	Memory      int64 // of the runtime, not given back, bytes
	Goroutines  int64
	Descriptors int64
	File        int64 // compacted, bytes
}

// String implements fmt.Stringer.
func (b belongings) String() string {
	return fmt.Sprintf("memory %.1f MiB, %d goroutines, %d descriptors, file %.2f MiB",
		float64(b.Memory)/(1<<20), b.Goroutines, b.Descriptors, float64(b.File)/(1<<20))
}

// growth says what there is more of than before, both seen at rest, or "".
func (b belongings) growth(before belongings) string {
	var grown []string
	for _, part := range []struct {
		name     string
		is, most int64
	}{
		{"memory", b.Memory, before.Memory + before.Memory/5 + memoryRoom},
		{"goroutines", b.Goroutines, before.Goroutines},
		{"descriptors", b.Descriptors, before.Descriptors},
		{"file", b.File, before.File + fileRoom},
	} {
		if part.is > part.most {
			grown = append(grown, part.name)
		}
	}
	return strings.Join(grown, ", ")
}

// soak puts two loads on one life of the server, a tenth of the run's time and all of it, and finds what the server holds
// more after the second.
func (r *run) soak(ctx context.Context) (*life, error) {
	l, err := r.world.start()
	if err != nil {
		return nil, err
	}
	if err := r.world.open(ctx, l); err != nil {
		return l, err
	}
	steady := func(ctx context.Context) (*life, error) {
		_, err := r.world.live(ctx, l)
		return l, err
	}
	if _, err := r.load(ctx, r.duration/10, steady); err != nil {
		return l, err
	}
	before, err := r.rest(ctx)
	if err != nil {
		return l, err
	}
	r.report.note("at rest after the first load: %v", before)
	if _, err := r.load(ctx, r.duration, steady); err != nil {
		return l, err
	}
	if r.tally.findings.Load() > 0 {
		return l, nil // groups that were given up have left something
	}
	return l, r.restAsBefore(ctx, before)
}

// rest lets the server be for a moment and looks at what it holds.
func (r *run) rest(ctx context.Context) (belongings, error) {
	pause(ctx, restPause)
	r.report.note("file before it is compacted: %s", fileSize(r.world.data))
	return look(ctx, r.world.data)
}

func (r *run) restAsBefore(ctx context.Context, before belongings) error {
	for until := time.Now().Add(restLimit); ; {
		now, err := r.rest(ctx)
		if err != nil {
			return err
		}
		grown := now.growth(before)
		if grown == "" || ctx.Err() != nil {
			r.report.note("at rest after the second load: %v", now)
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("soak: %s: grown for good, from %v to %v", grown, before, now)
		}
		r.report.note("%s: grown as yet, %v", grown, now)
	}
}

// look has the server of a data directory compact its file, and asks for its metrics.
func look(ctx context.Context, data string) (b belongings, err error) {
	if _, err := ask(ctx, data, http.MethodPost, "/compact"); err != nil {
		return b, err
	}
	metrics, err := ask(ctx, data, http.MethodGet, "/metrics")
	if err != nil {
		return b, err
	}
	values := make(map[string]int64)
	for line := range strings.Lines(metrics) {
		name, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		if value, err := strconv.ParseFloat(number, 64); err == nil {
			values[name] = int64(value)
		}
	}
	info, err := os.Stat(filepath.Join(data, fileName))
	if err != nil {
		return b, err
	}
	b = belongings{
		Memory:     values["go_memstats_sys_bytes"] - values["go_memstats_heap_released_bytes"],
		Goroutines: values["go_goroutines"], Descriptors: values["process_open_fds"], File: info.Size(),
	}
	if b.Memory <= 0 || b.Goroutines == 0 || b.Descriptors == 0 {
		return b, fmt.Errorf("metrics: have no memory, goroutines or descriptors: %v", b)
	}
	return b, nil
}

// ask returns what the server of a data directory answers on its control socket.
func ask(ctx context.Context, data, method, path string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerLimit)
	defer cancel()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(data, "control.sock"))
		},
	}}
	request, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", fmt.Errorf("control socket: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return "", fmt.Errorf("control socket: %w", err)
	case response.StatusCode != http.StatusOK:
		return "", fmt.Errorf("control socket: %s %s: %s, %.200q", method, path, response.Status, body)
	}
	return string(body), nil
}
