package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

var (
	stored  = metric{"stored_per_s", "stored per second"}
	written = metric{"written_per_byte", "bytes written per byte"}
)

// storeRows measure the store alone. Its own benchmark has the peers, too, and drives them in turn.
func storeRows() []row {
	small := storeRow("store", "Store alone, 512 waiting, messages of 300 bytes", "BenchmarkStore512", 20_000)
	small.goals = []goal{{stored, ownID, "plain", 0.35, false}, {stored, ownID, "batch", 10, false}}
	large := storeRow("store-large", "Store alone, 64 waiting, messages of 64 KiB", "BenchmarkStoreLarge", 500)
	large.goals = []goal{{stored, ownID, "plain", 0.5, false}}
	return []row{small, large}
}

func storeRow(id, title, benchmark string, perSecond int) row {
	return row{
		id: id, title: title, metrics: []metric{stored, written},
		contestants: []contestant{
			{id: ownID, name: "**this server**'s store", guarantee: "one sync for all that wait; deletes; survives any crash"},
			{id: "plain", name: "a plain file that is appended to, with group commit and an index", guarantee: "one sync for all that wait; nothing is ever removed"},
			{id: "batch", name: "bbolt's db.Batch, keyed by group", guarantee: "one sync for what db.Batch collects; deletes"},
		},
		together: func(r run) (map[string]figures, error) {
			return storeBenchmark(r, benchmark, max(2000, int(float64(perSecond)*r.Duration.Seconds())))
		},
	}
}

// storeBenchmark runs a benchmark of the package boltstore with so many messages.
func storeBenchmark(r run, name string, messages int) (map[string]figures, error) {
	test := exec.CommandContext(r, "go", "test", "./reflect/boltstore", "-run", "^$", "-bench", name+"$",
		"-benchtime", strconv.Itoa(messages)+"x")
	test.Dir = moduleRoot
	test.Env = append(test.Environ(), "TMPDIR="+r.dir)
	output, err := test.CombinedOutput()
	if err != nil {
		return nil, errors.Join(context.Cause(r), fmt.Errorf("%s: %w\n%s", name, err, output))
	}
	reported := parseBenchmark(string(output), name)
	all := map[string]figures{}
	for id, unit := range map[string]string{ownID: "messages/s", "plain": "plain/s", "batch": "batch/s"} {
		value, ok := reported[unit]
		if !ok {
			return nil, fmt.Errorf("%s: reports no %s\n%s", name, unit, output)
		}
		all[id] = figures{stored.key: value}
	}
	if value, ok := reported["written/byte"]; ok {
		all[ownID][written.key] = value
	}
	return all, nil
}

// parseBenchmark returns what a benchmark has reported, by unit.
func parseBenchmark(output, name string) map[string]float64 {
	reported := map[string]float64{}
	for line := range strings.Lines(output) {
		fields := strings.Fields(line) // name, iterations, and then a value and a unit each
		if len(fields) < 2 || !strings.HasPrefix(fields[0], name) {
			continue
		}
		for i := 2; i+1 < len(fields); i += 2 {
			if value, err := strconv.ParseFloat(fields[i], 64); err == nil {
				reported[fields[i+1]] = value
			}
		}
	}
	return reported
}
