package history

import "testing"

// good is a history of three devices that a mediator may well have.
const good = `
	server
	1 connected new
	2 connected new
	3 connected new
	1 dry
	1 promoted
	2 dry
	3 dry
	1 sent a 71
	1 sent b 72
	2 sent x 5
	1 acked 71 100
	2 received a 10 100
	3 received a 10 100
	1 acked 72 100
	2 received b 11 100
	2 acksent 10
	3 received b 11 100
	2 acked 5 101
	1 received x 12 101
	3 received x 12 101
	3 acksent 10
	3 acksent 12
	1 acksent 12
	2 sent typing 6 ephemeral
	3 received typing 13 102 ephemeral
	3 acksent 13
	3 acksent 11
	2 acksent 11
	1 sent c 71
	1 acked 71 102
	2 received c 14 102
	2 acksent 14
	3 received c 14 102
	3 acksent 14
	1 ended orderly
	2 ended orderly
	3 ended
`

func TestAccepts(t *testing.T) {
	accept(t, good)
	accept(t, "")
}

func TestRejectsOneFault(t *testing.T) {
	for name, test := range map[string]struct {
		rule  int
		words string
		edits []string
	}{
		"acked message removed at one device": {15, "message 1/2 was acked and never reached device 3", []string{
			"3 received b 11 100", "", "3 acksent 11", ""}},
		"un-acked message removed at one device": {14, "message 1/3 reached another device and never device 3", []string{
			"1 acked 71 102", "", "3 received c 14 102", "", "3 acksent 14", ""}},
		"two messages swapped at one device": {14, "device 3 received message 1/1 as 10 after 1/2 as 11", []string{
			"3 received a 10 100", "3 received b 11 100", "3 received b 11 100", "3 received a 10 100"}},
		"two messages swapped at one device, ids not": {14, "messages 1/1 and 1/2 have one id, 10", []string{
			"3 received a 10 100", "3 received b 10 100", "3 received b 11 100", "3 received a 11 100"}},
		"two messages swapped everywhere": {14, "message 1/1 was sent before 1/2 on one connection, and comes after it", []string{
			"2 received a 10 100", "2 received b 10 100", "2 received b 11 100", "2 received a 11 100",
			"3 received a 10 100", "3 received b 10 100", "3 received b 11 100", "3 received a 11 100"}},
		"duplicate with the same id": {14, "device 3 received message 1/3 as 14 after 1/3 as 14", []string{
			"3 acksent 14", "3 received c 14 102"}},
		"duplicate with another id": {14, "message 1/2 has two ids, 11 and 15", []string{
			"3 acksent 14", "3 received b 15 100"}},
		"another message's id": {14, "messages 1/2 and 2/1 have one id, 11", []string{
			"1 received x 12 101", "1 received x 11 101", "1 acksent 12", ""}},
		"changed timestamp": {15, "message 1/2 has two timestamps, 100 and 99", []string{
			"3 received b 11 100", "3 received b 11 99"}},
		"timestamp other than the acked one": {15, "message 1/3 has two timestamps, 103 and 102", []string{
			"1 acked 71 102", "1 acked 71 103"}},
		"timestamps that go back": {15, "message 1/3 comes after 2/2, and its timestamp is lower", []string{
			"1 acked 71 102", "1 acked 71 101", "2 received c 14 102", "2 received c 14 101",
			"3 received c 14 102", "3 received c 14 101"}},
		"changed content": {14, "device 2 received what nobody has sent", []string{
			"2 received b 11 100", "2 received B 11 100"}},
		"own message": {14, "device 1 received its own message 1/2", []string{
			"1 received x 12 101", "1 received b 11 100"}},
		"message from the future": {historyItself, "device 3 received message 1/3 before it was sent", []string{
			"3 acksent 11", "3 received c 14 102", "3 received c 14 102", ""}},
		"acks swapped": {15, "device 1 was acked reflect-id 72, and waits for that of message 1/1, 71", []string{
			"1 acked 71 100", "1 acked 72 100", "1 acked 72 100", "1 acked 71 100"}},
		"ack twice": {15, "device 2 was acked reflect-id 5, and waits for no ack", []string{
			"2 acksent 11", "2 acked 5 101"}},
		"ack for an ephemeral": {15, "device 2 was acked reflect-id 6, and waits for no ack", []string{
			"3 acksent 13", "2 acked 6 102"}},
		"ephemeral flag lost": {20, "message 2/2 is ephemeral for its sender or for device 3 alone", []string{
			"3 received typing 13 102 ephemeral", "3 received typing 13 102"}},
		"ephemeral flag gained": {20, "message 1/3 is ephemeral for its sender or for device 3 alone", []string{
			"3 received c 14 102", "3 received c 14 102 ephemeral"}},
		"dry twice": {10, "device 2 ran dry twice", []string{
			"3 acksent 13", "2 dry"}},
		"promoted too early": {10, "device 1 was promoted before its queue ran dry", []string{
			"1 dry", "1 promoted", "1 promoted", ""}},
		"promoted twice": {12, "device 1 was promoted twice", []string{
			"3 acksent 13", "1 promoted"}},
		"two leaders, one of which gets an ack": {12, "device 2 was promoted while device 1 led", []string{
			"3 acksent 13", "2 promoted", "2 received c 14 102", "", "3 received c 14 102", "", "2 acksent 14", "", "3 acksent 14", "",
			"1 acked 71 102", "1 acked 71 102\n3 received c 14 102\n2 received c 14 102"}},
		"two leaders, one of which receives": {12, "device 3 was promoted while device 1 led", []string{
			"3 dry", "3 dry\n3 promoted", "1 acked 71 100", "", "1 acked 72 100", "", "1 acked 71 102", ""}},
		"without a connection": {historyItself, "device 3 is not connected", []string{
			"3 connected new", ""}},
		"an envelope sent twice": {historyItself, "message 1/1 was sent twice", []string{
			"1 sent c 71", "1 sent a 71"}},
	} {
		t.Run(name, func(t *testing.T) { reject(t, edit(t, good, test.edits...), test.rule, test.words) })
	}
}
