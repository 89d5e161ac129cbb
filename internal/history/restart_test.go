package history

import "testing"

// A history with a kill, in three parts: device 2 has not acknowledged b, and its ack of c is lost.
const (
	beforeKill = `
	server
	1 connected new
	2 connected new
	1 dry
	2 dry
	1 sent a 1
	1 sent b 2
	1 sent c 3
	1 acked 1 100
	1 acked 2 100
	2 received a 10 100
	2 received b 11 100
	2 received c 12 101
	2 acksent 10
	wait 2s
	2 acksent 12
	1 sent typing 4 ephemeral
	1 sent d 5
	kill
	1 ended
	2 ended
	`
	afterKill = `
	server
	2 connected
	2 received b 11 100
	2 received c 12 101
	2 acksent 11
	2 acksent 12
	2 dry
	1 connected
	1 sent e 6
	1 acked 6 102
	1 dry
	2 received e 2000 102
	2 acksent 2000
	`
	later = `
	wait 3s
	2 ended
	2 connected
	2 dry
	`
)

func TestAcceptsWhatAKillMayCause(t *testing.T) {
	for name, transcript := range map[string]string{
		"as it is": beforeKill + afterKill + later,
		"the last ack was written all the same": beforeKill + edit(t, afterKill,
			"2 received c 12 101", "", "2 acksent 12", "") + later,
		"an un-acked message arrives with the restart": beforeKill + edit(t, afterKill,
			"2 dry", "2 received d 13 101\n2 acksent 13\n2 dry") + later,
		"a message stays un-acked and comes a third time": beforeKill + edit(t, afterKill,
			"2 acksent 11", "") + edit(t, later, "2 dry", "2 received b 11 100\n2 dry"),
		"a connection that does not run dry": beforeKill + edit(t, afterKill,
			"2 received b 11 100", "", "2 acksent 11", "", "2 dry", "") + edit(t, later,
			"2 dry", "2 received b 11 100\n2 acksent 11\n2 dry"),
		"an ack that has no effect, for an earlier connection": beforeKill + edit(t, afterKill,
			"2 received b 11 100", "2 acksent 11\n2 received b 11 100", "2 acksent 11", "") + edit(t, later,
			"2 dry", "2 received b 11 100\n2 dry"),
		"the end of a connection swallows an ack": beforeKill + afterKill + edit(t, later,
			"wait 3s", "", "2 dry", "2 received e 2000 102\n2 dry"),
	} {
		t.Run(name, func(t *testing.T) { accept(t, transcript) })
	}
}

func TestRejectsWhatAKillMayNotCause(t *testing.T) {
	for name, test := range map[string]struct {
		rule       int
		words      string
		transcript string
	}{
		"acked, and gone": {15, "message 1/2 was acked and never reached device 2",
			edit(t, beforeKill, "2 received b 11 100", "") + edit(t, afterKill, "2 received b 11 100", "", "2 acksent 11", "")},
		"delivered, not acknowledged, and gone": {18, "device 2 has not acknowledged message 1/2",
			beforeKill + edit(t, afterKill, "2 received b 11 100", "", "2 acksent 11", "")},
		"acknowledged before it came again, and gone": {18, "device 2 has not acknowledged message 1/2",
			beforeKill + edit(t, afterKill, "2 received b 11 100", "2 acksent 11", "2 acksent 11", "")},
		"acknowledged more than 2 s before, and again": {17, "device 2 received message 1/1 again, 2.",
			beforeKill + edit(t, afterKill, "2 received b 11 100", "2 received a 10 100\n2 received b 11 100")},
		"acknowledged in good order, and again": {17, "device 2 received message 1/6 again, 0.",
			beforeKill + afterKill + edit(t, later, "wait 3s", "", "2 ended", "2 ended orderly",
				"2 dry", "2 received e 2000 102\n2 dry")},
		"acknowledged 3 s before the end, and again": {17, "device 2 received message 1/6 again, 3.",
			beforeKill + afterKill + edit(t, later, "2 dry", "2 received e 2000 102\n2 dry")},
		"again with another id": {14, "message 1/2 has two ids, 11 and 14",
			beforeKill + edit(t, afterKill, "2 received b 11 100", "2 received b 14 100", "2 received c 12 101", "",
				"2 acksent 12", "", "2 acksent 11", "2 acksent 14")},
		"again with another timestamp": {15, "message 1/3 has two timestamps, 101 and 102",
			beforeKill + edit(t, afterKill, "2 received c 12 101", "2 received c 12 102")},
		"again in another order": {14, "device 2 received message 1/2 as 11 after 1/3 as 12",
			beforeKill + edit(t, afterKill, "2 received b 11 100", "2 received c 12 101", "2 received c 12 101", "2 received b 11 100")},
		"an id is used twice": {14, "messages 1/3 and 1/6 have one id, 12",
			beforeKill + edit(t, afterKill, "2 received e 2000 102", "2 received e 12 102")},
		"an id goes back": {14, "device 2 received message 1/6 as 9 after 1/3 as 12",
			beforeKill + edit(t, afterKill, "2 received e 2000 102", "2 received e 9 102")},
		"an id goes back, on a new connection": {14, "for the first time after 1/3, which is behind it in the order",
			beforeKill + edit(t, afterKill, "2 received b 11 100", "", "2 received c 12 101", "", "2 acksent 11", "", "2 acksent 12", "",
				"2 dry", "", "2 received e 2000 102", "2 received e 9 102")},
		"what is new is put before what is old": {14, "message 1/2 was acked before 1/6 was sent, and comes after it",
			edit(t, beforeKill, "2 received a 10 100", "", "2 received b 11 100", "", "2 received c 12 101", "",
				"2 acksent 10", "", "2 acksent 12", "") +
				edit(t, afterKill, "2 dry", "", "2 received b 11 100", "", "2 received c 12 101", "", "2 acksent 11", "", "2 acksent 12", "",
					"2 received e 2000 102", "2 received e 9 102\n2 received a 10 100\n2 received b 11 100\n2 received c 12 101")},
		"the clock goes back": {15, "message 1/6 comes after 1/3, and its timestamp is lower",
			beforeKill + edit(t, afterKill, "1 acked 6 102", "1 acked 6 99", "2 received e 2000 102", "2 received e 2000 99")},
		"an ephemeral outlives the server": {20, "ephemeral message 1/4 outlived its server",
			beforeKill + edit(t, afterKill, "2 dry", "2 received typing 13 101 ephemeral\n2 dry")},
		"a server that never was": {historyItself, "device 1 is connected to a server that never was",
			edit(t, beforeKill, "server", "", "kill", "")},
	} {
		t.Run(name, func(t *testing.T) { reject(t, test.transcript, test.rule, test.words) })
	}
}

func TestLeadersOfTwoServersAreNoContradiction(t *testing.T) {
	accept(t, edit(t, beforeKill, "1 dry", "1 dry\n1 promoted")+edit(t, afterKill, "2 dry", "2 dry\n2 promoted"))
}
