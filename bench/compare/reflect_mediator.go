package main

import (
	"strconv"

	"openmediator/bench/compare/load"
)

// noStoreID is this server without a disk.
const noStoreID = "mediator-no-store"

func mediatorReflects(w reflectWork) []contestant {
	return []contestant{
		{
			id: ownID, name: "**this server**",
			guarantee: "synced before the ack; delivered until acked, in one order for all devices; each message acked by itself",
			run:       mediatorReflect(w),
		},
		{
			id: noStoreID, name: "this server without a store",
			guarantee: "nothing is kept",
			run:       mediatorReflect(w, "--without-store"),
		},
	}
}

func mediatorReflect(w reflectWork, more ...string) func(run) (figures, error) {
	return func(r run) (figures, error) {
		work := w.workload(r.options)
		arguments := append([]string{"reflect",
			"--groups", strconv.Itoa(work.Groups),
			"--window", strconv.Itoa(work.Window),
			"--size", strconv.Itoa(work.Size),
			"--warm-up", work.WarmUp.String(),
			"--duration", work.Duration.String(),
		}, more...)
		if work.SingleAcks {
			arguments = append(arguments, "--single-acks")
		}
		if work.Think > 0 {
			arguments = append(arguments, "--think", work.Think.String())
		}
		var result struct {
			AckedPerSecond     float64  `json:"acked_per_s"`
			DeliveredPerSecond float64  `json:"delivered_per_s"`
			CPU                *float64 `json:"server_cpu_s_per_100000"`
			LoadCPU            *float64 `json:"load_cpu_s_per_100000"`
			AckLatency         struct {
				P50 float64 `json:"p50_us"`
			} `json:"ack_latency"`
		}
		if err := r.benchmark(&result, arguments...); err != nil {
			return nil, err
		}
		f := figures{
			// What is acknowledged and not delivered does not count, as with the others.
			rate.key:       min(result.AckedPerSecond, result.DeliveredPerSecond/load.ReceiversPerGroup),
			ackLatency.key: result.AckLatency.P50,
		}
		if result.CPU != nil {
			f[cpu.key] = *result.CPU
		}
		if result.LoadCPU != nil {
			f[loadCPU] = *result.LoadCPU
		}
		return f, nil
	}
}
