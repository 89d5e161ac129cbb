package history

import "testing"

// On a connection that may swallow what the device sends, an ack was sent long before the end, and nothing shows that it
// arrived.
const unsure = `
	server
	1 connected unsure new
	2 connected unsure new
	1 dry
	2 dry
	1 sent a 1
	1 acked 1 100
	2 received a 10 100
	2 acksent 10
	2 asks
	wait 3s
	2 told
	wait 3s
	2 ended
	2 connected unsure
	2 dry
	1 ended
`

func TestB17_AnAckThatMayBeSwallowedIsNotHeldAgainstTheServer(t *testing.T) {
	received := func(edits ...string) string { return edit(t, unsure, edits...) }
	accept(t, unsure)
	accept(t, received("2 told", "", "2 connected unsure", "2 connected unsure\n2 received a 10 100"))
	accept(t, received("2 asks", "", "2 told", "", "2 acksent 10", "2 asks\n2 acksent 10\n2 told",
		"2 connected unsure", "2 connected unsure\n2 received a 10 100"))
	reject(t, received("2 connected unsure", "2 connected unsure\n2 received a 10 100"), 17, "received message 1/1 again")
	reject(t, received("2 asks", "2 sent b 5", "2 told", "2 acked 5 101\n1 received b 11 101",
		"2 connected unsure", "2 connected unsure\n2 received a 10 100"), 17, "received message 1/1 again")
	reject(t, received("2 asks", "2 begins s", "2 told", "2 begun",
		"2 connected unsure", "2 connected unsure\n2 received a 10 100"), 17, "received message 1/1 again")
	reject(t, received("2 asks", "", "2 told", "", "2 ended", "2 ended orderly",
		"2 connected unsure", "2 connected unsure\n2 received a 10 100"), 17, "received message 1/1 again")
}

func TestB17_GraceIsLongerWhileTheServerStalls(t *testing.T) {
	killed := edit(t, unsure, "2 ended", "kill\nserver\n2 ended", "2 connected unsure", "2 connected unsure\n2 received a 10 100")
	reject(t, killed, 17, "received message 1/1 again")
	accept(t, edit(t, killed, "2 asks", "stall 2s\n2 asks"))
}

func TestB17_GraceIsLongerIfAcksAreSlow(t *testing.T) {
	killed := edit(t, unsure, "2 ended", "wait 2s\nkill\nserver\n2 ended",
		"2 connected unsure", "2 connected unsure\n2 received a 10 100")
	reject(t, edit(t, killed, "2 asks", "slow 1s\n2 asks"), 17, "received message 1/1 again")
	accept(t, edit(t, killed, "2 asks", "slow 5s\n2 asks"))
}

func TestB31_ToldOfTheSlotsWithoutHavingAsked(t *testing.T) {
	reject(t, edit(t, unsure, "2 asks", ""), 31, "device 2 was told of the slots and did not ask")
}

// What a slot has not got is missed before the last that it got, even if it may have been dropped then.
func TestB14_GapBeforeASlotIsDropped(t *testing.T) {
	const dropped = `
		server
		1 connected new
		2 connected new
		1 sent a 1
		1 sent b 2
		1 sent c 3
		1 acked 1 100
		1 acked 2 100
		1 acked 3 100
		2 received a 10 100
		2 dropped
		2 received b 11 100
	`
	accept(t, dropped)
	reject(t, edit(t, dropped, "2 received a 10 100", "3 connected\n3 received a 10 100"), 15, "message 1/1 was acked and never reached device 2")
}

// A device that reads late may be promoted on a connection that is over.
func TestB12_PromotionThatIsReadLate(t *testing.T) {
	const late = `
		server
		1 connected new
		2 connected new
		3 connected new
		1 dry
		2 dry
		3 dry
		2 promoted
		3 sent a 1
		2 received a 10 100
		1 promoted
		3 sent b 2
		2 received b 11 100
	`
	accept(t, late+"1 ended\n1 connected\n1 received a 10 100\n1 received b 11 100")
	const two = "device 1 was promoted while device 2 led"
	reject(t, edit(t, late, "1 promoted", "1 received a 10 100\n1 promoted")+"1 received b 11 100", 12, two)
	reject(t, late+"1 received a 10 100\n1 received b 11 100", 12, two)
	reject(t, edit(t, late, "2 promoted", "3 sent z 9\n2 received z 9 100\n2 promoted", "1 promoted", "",
		"2 received a 10 100", "2 received a 10 100", "3 sent b 2", "3 sent b 2",
		"2 dry", "2 dry\n1 promoted")+"1 received z 9 100\n1 received a 10 100\n1 received b 11 100", 12, "device 2 was promoted while device 1 led")
}
