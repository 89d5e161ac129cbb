package main

import (
	"strconv"

	"openmediator/bench/compare/frames"
)

// frameRow compares ways to read and write frames. This server takes part as a whole: a group of one device has nobody to
// store anything for, so what it reflects is acked at once.
func frameRow() row {
	r := row{
		id: "frames", title: "Bursts of 32 messages over 100 connections, each answered",
		metrics: []metric{rate, cpu},
		contestants: []contestant{
			{id: ownID, name: "**this server**, groups of one device", guarantee: "the whole way of a message but for the store", run: mediatorFrames},
		},
	}
	for _, library := range []struct{ id, module string }{
		{"coder", "github.com/coder/websocket"},
		{"gorilla", "github.com/gorilla/websocket"},
		{"gobwas", "github.com/gobwas/ws"},
		{"gws", "github.com/lxzan/gws"},
	} {
		r.goals = append(r.goals, goal{rate, ownID, library.id, 3.5, false})
		r.contestants = append(r.contestants, contestant{
			id: library.id, name: library.module, guarantee: "frames alone, as documented",
			run:     framesOf(library.id, frames.WebSocket),
			version: func() (string, string) { return library.module, moduleVersion(library.module) },
		})
	}
	r.goals = append(r.goals, goal{rate, ownID, "raw", 0.5, false})
	r.contestants = append(r.contestants, contestant{
		id: "raw", name: "raw TCP", guarantee: "lengths and bytes, flushed when all is read", run: framesOf("raw", frames.Raw),
	})
	return r
}

func framesOf(peer string, p frames.Protocol) func(run) (figures, error) {
	return func(r run) (figures, error) {
		server, address, err := startPeer(r, peer)
		if err != nil {
			return nil, err
		}
		defer server.Stop()
		result, err := frames.Measure(r, address, p, r.Size, r.Duration/4, r.Duration, server.CPU)
		if err != nil {
			return nil, err
		}
		n := float64(result.Messages)
		return figures{rate.key: n / result.Elapsed.Seconds(), cpu.key: result.CPU.Seconds() * 100_000 / n}, nil
	}
}

func mediatorFrames(r run) (figures, error) {
	var result struct {
		AckedPerSecond float64 `json:"acked_per_s"`
		CPU            float64 `json:"server_cpu_s_per_100000"`
	}
	err := r.benchmark(&result, "reflect", "--devices", "1", "--groups", strconv.Itoa(frames.Connections),
		"--window", strconv.Itoa(frames.Burst), "--size", strconv.Itoa(r.Size),
		"--warm-up", (r.Duration / 4).String(), "--duration", r.Duration.String())
	return figures{rate.key: result.AckedPerSecond, cpu.key: result.CPU}, err
}
