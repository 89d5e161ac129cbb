// Command torture keeps a real server busy with hundreds of device groups that do everything at once, while the server is
// killed, stopped and restarted and the network between them delays, cuts and swallows. Package history judges what the
// devices of each group have seen.
//
//	go run ./internal/torture                                 for a minute, with a seed of its own, printed first
//	go run ./internal/torture -minutes 60 -groups 400
//	go run ./internal/torture -seed 17 -faults kill,cut       the same devices and faults again
//	go run ./internal/torture -soak -minutes 60               one life of the server, which must not grow
//	go run ./internal/torture -break                          has to fail: a delivered message is taken out of a history
//
// # Groups
//
// A group of 2 to 8 devices lives for some seconds. Then its devices fall silent, come back over undisturbed connections,
// take and acknowledge what is left for them, and find nothing the next time; the histories are judged and forgotten, and
// another group begins. So a run can go on for hours. Most groups leave the server by dropping themselves. At the end the
// server is stopped: its file has no message, no group that has left, and each that has not.
//
// The kinds of groups say what may become of a slot, so that in most of them no loss of one is ever excused: see kind.
//
// Devices talk to a chat server, too, which sends back what it gets: unit by unit, and through the mediator. Some of these
// rest, hang up, send what no mediator passes on, or are not there.
//
// # Faults
//
// -faults names some of: kill, term, stop (the server's SIGKILL, SIGTERM, SIGSTOP), delay, cut, swallow (relays between
// device and server), slow (devices that do not read for seconds), drops (DropDevice), duplicates (second connections of a
// device), limits (groups with more devices than slots, and with more messages than fit into a queue). Between two faults of
// the server it is left alone, for -calm on average.
//
// # Attackers
//
// With -attackers some strangers do in every other 10 s what needs no key: half a request, an upgrade and silence, more for
// the chat server than is held back, a login that is none, pings whose pongs are not read. They are on the loopback
// interface, whose peers have no limits of their own address, so what they meet are the limits for all strangers. How long
// honest devices wait for their acks is told for both kinds of periods: without faults, that compares them.
//
// # Soak
//
// With -soak nothing ends or halts the server. After a load of a tenth of the time, and after all of it, when every group has
// left, it is looked at: its memory, goroutines and descriptors, by its metrics, and the size of its file, compacted. What
// has grown and stays so for some minutes is a finding.
//
// # Findings
//
// A finding is a violation of a rule by the histories, an end of a connection that nothing excuses, an answer that does not
// come, a server that ends by itself, or what is left in its file. The first one ends the run, with exit code 1 and the
// shortest history found that still shows it; -keep-going goes on. The data directory stays where it is then. The seed
// decides what devices and the relays do and when the server is killed, not how the system schedules them, so that it may
// take several runs with a seed to see a finding again.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	s, err := parseFlags(os.Args[1:], os.Stderr)
	if err != nil {
		os.Exit(2)
	}
	findings, err := torture(ctx, s, os.Stdout)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	case findings > 0:
		os.Exit(1)
	}
}
