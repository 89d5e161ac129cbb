package history

import "testing"

// alone is a device that reflects alone and then gets company.
const alone = `
	server
	1 connected new
	1 dry
	1 sent a 1
	1 acked 1 100
	2 connected new
	1 sent b 2
	1 acked 2 101
	2 received b 4294967295 101
	2 acksent 4294967295
	1 sent c 3
	1 acked 3 101
	2 received c 0 101
	2 acksent 0
	1 sent d 4
	1 acked 4 102
	2 received d 1 102
	2 acksent 1
	2 dry
`

func TestNothingIsDueToASlotThatCameLater(t *testing.T) {
	accept(t, alone)
	accept(t, edit(t, alone, "2 connected new", "", "1 sent b 2", "1 sent b 2\n2 connected new",
		"2 received b 4294967295 101", "", "2 acksent 4294967295", ""))
	reject(t, edit(t, alone, "2 received b 4294967295 101", ""), 15, "message 1/2 was acked and never reached device 2")
	reject(t, edit(t, alone, "2 connected new", "2 connected"), 15, "message 1/1 was acked and never reached device 2")
}

func TestIdsWrap(t *testing.T) {
	reject(t, edit(t, alone, "2 received d 1 102", "2 received d 4294967294 102"),
		14, "device 2 received message 1/4 as 4294967294 after 1/3 as 0")
}

func TestTimestampsDoNotGoBackBeforeAnybodyElseIsThere(t *testing.T) {
	reject(t, edit(t, alone, "1 acked 1 100", "1 acked 1 103"),
		15, "message 1/1 was acked before 1/2 was sent, and its timestamp is higher")
}

func TestNothingIsDueToADroppedSlot(t *testing.T) {
	gone := []string{"2 received d 1 102", "2 dropped", "2 acksent 1", "2 ended", "2 dry", ""}
	accept(t, edit(t, alone, gone...))
	reject(t, edit(t, alone, append(gone, "2 received c 0 101", "2 received c 0 102")...),
		15, "message 1/3 has two timestamps, 101 and 102")
	again := edit(t, alone, "2 dry", "2 dropped\n2 ended\n2 connected new\n1 sent e 5\n1 acked 5 103\n2 received e 2 103")
	accept(t, again)
	reject(t, edit(t, again, "2 received e 2 103", ""), 15, "message 1/5 was acked and never reached device 2")
}

func TestANewSlotEndsTheOneBefore(t *testing.T) {
	accept(t, edit(t, alone, "2 received d 1 102", "", "2 acksent 1", "2 connected new"))
}

func TestErrorShowsTheNeighbourhood(t *testing.T) {
	err := Check(parse(t, edit(t, alone, "2 received c 0 101", "", "2 acksent 0", "")))
	const want = `B15: message 1/3 was acked and never reached device 2
  device 1
    …
       0.0050s  was acked reflect-id 1, timestamp 100
       0.0070s  sent 1/2, reflect-id 2
       0.0080s  was acked reflect-id 2, timestamp 101
       0.0110s  sent 1/3, reflect-id 3
  >    0.0120s  was acked reflect-id 3, timestamp 101
       0.0130s  sent 1/4, reflect-id 4
       0.0140s  was acked reflect-id 4, timestamp 102
  device 2
       0.0060s  connected to server 1, new slot
       0.0090s  received 1/2 as 4294967295, timestamp 101
       0.0100s  acknowledged 4294967295
  >    0.0150s  received 1/4 as 1, timestamp 102
       0.0160s  acknowledged 1
       0.0170s  queue dry`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestAnEphemeralComesOnceAtMost(t *testing.T) {
	const transcript = `
	server
	1 connected new
	2 connected new
	1 sent typing 1 ephemeral
	2 received typing 5 100 ephemeral
	2 ended
	2 connected
	`
	accept(t, transcript)
	reject(t, transcript+"2 received typing 5 100 ephemeral",
		20, "device 2 received the ephemeral message 1/1 again")
}
