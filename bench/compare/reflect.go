package main

import (
	"time"

	"openmediator/bench/compare/load"
	"openmediator/bench/compare/process"
)

// reflectWork is one way of reflecting, for a row.
type reflectWork struct {
	window int
	single bool          // receivers write each acknowledgement by itself
	think  time.Duration // between an acknowledgement and the next message
	groups int           // 0: as in --groups
}

// thinkTime leaves a group quiet between two messages.
const thinkTime = 10 * time.Millisecond

// workload returns what the devices of this process do.
func (w reflectWork) workload(o options) load.Workload {
	groups := o.Groups
	if w.groups > 0 {
		groups = w.groups
	}
	return load.Workload{
		Groups: groups, Window: w.window, Size: o.Size, SingleAcks: w.single, Think: w.think,
		WarmUp: o.Duration / 4, Duration: o.Duration,
	}
}

// reflectThrough lets devices do the work with a server that has been started for it, and stops the server.
func reflectThrough(r run, server *process.Server, work load.Workload, broker load.Broker) (figures, error) {
	defer server.Stop()
	result, err := work.Run(r, broker, server.CPU)
	if err != nil {
		return nil, err
	}
	return figures{
		rate.key:       result.Rate(),
		cpu.key:        result.Per100k(result.CPU),
		loadCPU:        result.Per100k(result.LoadCPU),
		ackLatency.key: float64(result.Latency.Quantile(0.5)) / float64(time.Microsecond),
	}, nil
}

// reflectRows are the rows in which one device sends and two receive.
func reflectRows() []row {
	window32 := row{
		id: "window32", title: "Durable acks, window 32",
		metrics: []metric{rate, cpu}, contestants: reflectContestants(reflectWork{window: 32}),
		goals: []goal{
			{rate, ownID, redisAlways, 1.5, false},
			{rate, ownID, mosquittoDurable, 5, false},
			{rate, ownID, jetstreamAlways, 12, false},
			{cpu, ownID, redisAlways, 0.75, true},
			{rate, ownID, noStoreID, 0.85, false},
		},
	}
	single := row{
		id: "window32-single", title: "Durable acks, window 32, receivers write each acknowledgement by itself",
		metrics: []metric{rate, cpu}, contestants: reflectContestants(reflectWork{window: 32, single: true}),
		goals: []goal{{cpu, ownID, redisAlways, 0.8, true}},
	}
	window1 := row{
		id: "window1", title: "Durable acks, window 1",
		metrics: []metric{rate, cpu}, contestants: reflectContestants(reflectWork{window: 1}),
		goals: []goal{{rate, ownID, redisAlways, 1, false}, {cpu, ownID, redisAlways, 1.1, true}},
	}
	quiet := row{
		id: "quiet", title: "Ack latency, two groups, a message every 10 ms on average",
		metrics: []metric{ackLatency}, contestants: reflectContestants(reflectWork{window: 1, think: thinkTime, groups: 2}),
		goals: []goal{{ackLatency, ownID, redisAlways, 1.25, true}},
	}
	return []row{window32, single, window1, quiet}
}

func reflectContestants(w reflectWork) []contestant {
	all := mediatorReflects(w)
	all = append(all, redisReflects(w)...)
	all = append(all, mosquittoReflects(w)...)
	return append(all, jetstreamReflects(w)...)
}
