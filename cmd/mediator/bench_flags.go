package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"

	"openmediator/internal/load"
)

// benchScenario is something that bench measures.
type benchScenario struct {
	name, short, long, example string

	rows    []setting // of the table of its own flags
	chat    bool      // the server needs a chat server, which bench plays
	ownOnly bool      // for --self alone
	measure func(ctx context.Context, server *load.Server, chat net.Listener) (benchResult, error)
}

// benchSlots is how many devices a group of bench's own server may have: as many as any.
const benchSlots = 15

// benchResult is what a scenario has measured; as JSON it has the fields that package load tells.
type benchResult interface{ Text() string }

// benchScenarios returns all, in the order of "bench all".
func benchScenarios() []*benchScenario {
	return []*benchScenario{benchReflect(), benchLogin(), benchProxy(), benchIdle()}
}

func benchReflect() *benchScenario {
	var l load.Reflect
	return &benchScenario{
		name:  "reflect",
		short: "How many messages per second are acked, and how long acks and deliveries take",
		long: `In each group one device reflects and all others receive and acknowledge. Without a think time each sender keeps its
window full. With one there is a schedule that does not wait for the server, and latencies count from the time at which a
message was due, so that a server that makes senders wait does not hide it.`,
		example: `  mediator bench reflect --self
  mediator bench reflect --self --groups 2 --window 1 --think 20ms     # how long, if there is nobody else?
  mediator bench reflect --self --size 65516 --groups 20 --window 8
  mediator bench reflect --server ws://127.0.0.1:8440 --duration 30s --json`,
		measure: func(ctx context.Context, s *load.Server, _ net.Listener) (benchResult, error) {
			if all := l.Devices + l.Away; all > benchSlots {
				return nil, usage("away: a group would have %d devices, and %d are the most; ask for fewer", all, benchSlots)
			}
			return s.Reflect(ctx, l)
		},
		rows: []setting{
			benchCount("groups", "groups", "200", "1", "1000000", "groups", &l.Groups),
			benchCount("devices", "devices", "3", "1", "15", "devices of each group, all connected: one sends", &l.Devices),
			benchCount("away", "devices", "0", "0", "14", "further devices of each group that have a slot and are away: what is "+
				"sent waits for them, up to the server's limits", &l.Away),
			benchCount("window", "messages", "32", "1", "10000", "messages that a sender may have sent and not seen acked", &l.Window),
			benchCount("size", "bytes", "300", "16", "65516", "size of an envelope", &l.Size),
			{name: "think", kind: kindDuration, byDefault: "0", low: "1us", high: "1h", zero: "none",
				text:  "time between two messages of a sender, on average",
				field: func(*settings) any { return &l.Think }},
			{name: "single-acks", kind: kindSwitch, byDefault: "false",
				text:  "write each ack of a receiver by itself, instead of all acks of what was read at once",
				field: func(*settings) any { return &l.SingleAcks }},
			benchWarmUp("1s", &l.WarmUp),
			benchDuration("5s", "how long is measured", &l.Duration),
		},
	}
}

func benchLogin() *benchScenario {
	var l load.Login
	return &benchScenario{
		name:  "login",
		short: "How many devices per second can connect, log in and leave",
		long: `Devices that have their slot connect, prove that they belong to their group, and leave in an orderly way, again and
again. A login is timed from the TCP connection to the server's answer.`,
		example: `  mediator bench login --self
  mediator bench login --server ws://127.0.0.1:8440 --connections 4`,
		measure: func(ctx context.Context, s *load.Server, _ net.Listener) (benchResult, error) { return s.Login(ctx, l) },
		rows: []setting{
			benchCount("groups", "groups", "100", "1", "100000", "groups", &l.Groups),
			benchCount("devices", "devices", "2", "1", "15", "devices of each group", &l.Devices),
			benchCount("connections", "connections", "16", "1", "10000", "logins at once; all devices, if those are fewer", &l.Connections),
			benchWarmUp("1s", &l.WarmUp),
			benchDuration("5s", "how long is measured", &l.Duration),
		},
	}
}

func benchProxy() *benchScenario {
	var l load.Proxy
	return &benchScenario{
		name:  "proxy",
		short: "How fast the way to the chat server is",
		long: `Bench plays a chat server that sends back, swallows or pours out frames, and devices that talk to it through the server:
round trips of 200 bytes first, then frames of 8 KiB up, each in a write of its own, then frames of 8 KiB down.

A foreign server is measured only if it has been told that its chat server is where bench plays one: start it with
--upstream HOST:PORT --upstream-rate 0, and give bench the same --upstream.`,
		example: `  mediator bench proxy --self
  mediator bench proxy --server ws://127.0.0.1:8440 --upstream 127.0.0.1:5222`,
		chat: true,
		measure: func(ctx context.Context, s *load.Server, chat net.Listener) (benchResult, error) {
			l.Chat = chat
			return s.Proxy(ctx, l)
		},
		rows: []setting{
			benchCount("connections", "connections", "1", "1", "10000", "devices that talk at once", &l.Connections),
			benchWarmUp("500ms", &l.WarmUp),
			benchDuration("3s", "how long each of the three is measured", &l.Duration),
		},
	}
}

func benchIdle() *benchScenario {
	var l load.Idle
	return &benchScenario{
		name:  "idle",
		short: "What connections cost that do nothing",
		long: `Connects devices and lets them be. The memory of a connection is what the resident memory of the server's process has
grown by, after a garbage collection before and one after, divided by the connections. It needs as many open files as
connections, here and in the server (ulimit -n).`,
		example: `  mediator bench idle --self
  mediator bench idle --self --connections 5000 --duration 1m`,
		ownOnly: true,
		measure: func(ctx context.Context, s *load.Server, _ net.Listener) (benchResult, error) { return s.Idle(ctx, l) },
		rows: []setting{
			benchCount("connections", "connections", "15000", "1", "1000000", "connections", &l.Connections),
			benchCount("devices", "devices", "2", "1", "15", "devices of each group", &l.Devices),
			benchDuration("3s", "how long the server's processor is looked at then", &l.Duration),
		},
	}
}

func benchCount(name, unit, byDefault, low, high, text string, field *int) setting {
	return setting{name: name, kind: kindCount, unit: unit, byDefault: byDefault, low: low, high: high, text: text,
		field: func(*settings) any { return field }}
}

func benchWarmUp(byDefault string, field *time.Duration) setting {
	return setting{name: "warm-up", kind: kindDuration, byDefault: byDefault, low: "0s", high: "1h",
		text: "how long the load runs before it is measured", field: func(*settings) any { return field }}
}

func benchDuration(byDefault, text string, field *time.Duration) setting {
	return setting{name: "duration", kind: kindDuration, byDefault: byDefault, low: "1ms", high: "24h", text: text,
		field: func(*settings) any { return field }}
}

// common are the flags that all scenarios have.
func (b *bench) common() []setting {
	return []setting{
		{name: "server", kind: kindURL, text: "the server to measure: ws://HOST:PORT with any path, wss://, or unix:PATH",
			field: func(*settings) any { return &b.server }},
		{name: "self", kind: kindSwitch, byDefault: "false", text: "measure a server of its own on this machine instead",
			field: func(*settings) any { return &b.self }},
		{name: "without-store", kind: kindSwitch, byDefault: "false",
			text:  "with --self: let that server keep nothing on disk, to see what the disk costs; no other command can do that",
			field: func(*settings) any { return &b.withoutStore }},
		{name: "dir", kind: kindPath,
			text: "with --self: where to make the data directory, which is removed afterwards (default the system's temporary " +
				"directory; see that it is on the disk in question, not in memory)",
			field: func(*settings) any { return &b.dir }},
		{name: "seed", kind: kindCount, unit: "as a seed", byDefault: "0", low: "1", high: "2147483647", zero: "a random one, which is printed",
			text:  "what decides contents and think times",
			field: func(*settings) any { return &b.seed }},
		{name: "json", kind: kindSwitch, byDefault: "false", text: "print one JSON object per measurement",
			field: func(*settings) any { return &b.json }},
	}
}

// upstreamRow is the flag of those that play a chat server.
func (b *bench) upstreamRow() setting {
	return setting{name: "upstream", kind: kindHostPort,
		text:  "where a foreign server looks for its chat server, and bench plays one; --self chooses it",
		field: func(*settings) any { return &b.upstream }}
}

// addRows makes the flags of rows and returns what reads them, when all are given.
func addRows(cmd *cobra.Command, rows []setting) (load func() error) {
	cmd.Flags().SortFlags = false
	var flags []*flag
	for i := range rows {
		flags = append(flags, addFlag(cmd, &rows[i]))
	}
	return func() error {
		for _, f := range flags {
			if err := f.load(); err != nil {
				return err
			}
		}
		return nil
	}
}

// load puts the value where it goes.
func (f *flag) load() error {
	if f.text == "" && !f.given {
		return nil
	}
	if err := f.row.set(nil, f.text); err != nil {
		return usage("%v", err)
	}
	return nil
}

// loadDefaults does without flags.
func loadDefaults(rows []setting) error {
	for i := range rows {
		if err := (&flag{row: &rows[i], text: rows[i].byDefault}).load(); err != nil {
			return fmt.Errorf("bench: %w", err)
		}
	}
	return nil
}
