package history

import "testing"

// transacted is a history of three devices: device 1 has the lock first, device 3 is rejected and has it then, and what
// device 2 reflects meanwhile is held back.
const transacted = `
	server
	1 connected new
	2 connected new
	3 connected new
	1 dry
	2 dry
	3 dry
	2 sent before 1
	2 acked 1 100
	1 begins contact
	3 begins settings
	3 received before 10 100
	1 received before 10 100
	1 begun
	3 rejected 1 contact
	1 sent a 1
	2 sent deferred 2
	1 acked 1 101
	2 acked 2 102
	1 sent typing 2 ephemeral
	1 sent b 3
	1 acked 3 103
	1 commits
	1 committed
	2 received a 20 101
	2 received typing 22 103 ephemeral
	2 received b 24 103
	2 hears 1 contact
	3 received a 20 101
	3 received typing 22 103 ephemeral
	3 received b 24 103
	3 hears 1 contact
	3 begins profile
	3 received deferred 30 102
	1 received deferred 30 102
	3 begun
	3 sent c 1
	3 commits
	3 acked 1 104
	3 committed
	1 received c 40 104
	1 hears 3 profile
	2 received c 40 104
	2 hears 3 profile
`

// aborted are edits for a transaction of device 1 that ends without a commit.
var aborted = []string{
	"1 commits", "", "1 committed", "",
	"2 received a 20 101", "", "2 received typing 22 103 ephemeral", "", "2 received b 24 103", "",
	"3 received a 20 101", "", "3 received typing 22 103 ephemeral", "", "3 received b 24 103", "",
}

func TestAcceptsTransactions(t *testing.T) {
	for name, transcript := range map[string]string{
		"as it is":                     transacted,
		"without the ack of a commit":  edit(t, transacted, "1 committed", ""),
		"aborted":                      edit(t, transacted, aborted...),
		"aborted by a lost connection": edit(t, transacted, append(aborted, "1 acked 3 103", "1 acksent 10\n1 ended\n1 connected\n1 dry")...),
		"committed and not there":      edit(t, transacted, append(aborted[4:], "1 committed", "1 acksent 10\n1 ended\n1 connected\n1 dry")...),
		"all pipelined": edit(t, transacted, "1 acked 1 101", "", "1 acked 3 103", "",
			"1 committed", "1 acked 1 101\n1 acked 3 103\n1 committed"),
		"reflecting while it asks": edit(t, transacted, "1 begun", "", "1 acked 1 101", "1 acked 1 101\n1 begun"),
		"rejected while it reflects": edit(t, transacted, "3 rejected 1 contact", "3 sent d 7\n3 acked 7 101\n3 rejected 1 contact",
			"3 received deferred 30 102", "3 received deferred 30 102\n1 received d 25 101\n2 received d 25 101"),
		"an ephemeral that reaches one device": edit(t, transacted, "3 received typing 22 103 ephemeral", ""),
		"a slot that is new after the commit": edit(t, transacted, "2 hears 3 profile",
			"2 hears 3 profile\n4 connected new\n4 dry\n2 sent late 3\n"+
				"4 received late 50 104\n1 received late 50 104\n3 received late 50 104"),
		"a slot that is new while the lock is held": edit(t, transacted, "2 acked 2 102",
			"2 acked 2 102\n4 connected new\n4 dry", "2 hears 3 profile",
			"2 hears 3 profile\n4 received a 20 101\n4 received b 24 103\n4 received deferred 30 102\n4 received c 40 104"),
	} {
		t.Run(name, func(t *testing.T) { accept(t, transcript) })
	}
}

func TestRejectsTransactionsWithAFault(t *testing.T) {
	for name, test := range map[string]struct {
		rule  int
		words string
		edits []string
	}{
		"one message of a transaction removed at one device": {27,
			"transaction 1/1 was committed, and its message 1/3 never reached device 3", []string{"3 received b 24 103", ""}},
		"a transaction removed at one device": {27, "transaction 1/1 was committed, and its message 1/1 never reached device 3",
			[]string{"3 received a 20 101", "", "3 received typing 22 103 ephemeral", "", "3 received b 24 103", ""}},
		"a transaction removed everywhere": {27, "transaction 1/1 was committed, and its message 1/1 never reached device 2",
			aborted[4:]},
		"one message of a transaction of unknown outcome removed at one device": {27,
			"message 1/1 of transaction 1/1 reached another device, and message 1/3 never device 3",
			[]string{"1 committed", "", "3 received b 24 103", ""}},
		"an ephemeral of a transaction alone": {27,
			"message 1/2 of transaction 1/1 reached another device, and message 1/1 never device 2",
			[]string{"1 committed", "", "2 received a 20 101", "", "2 received b 24 103", "",
				"3 received a 20 101", "", "3 received typing 22 103 ephemeral", "", "3 received b 24 103", ""}},
		"never committed": {28, "message 1/1 was received, and its transaction 1/1 was never committed", aborted[:4]},
		"one message out before the commit": {26, "message 1/1 was received before its transaction 1/1 was committed",
			[]string{"1 commits", "2 received a 20 101\n1 commits", "2 received a 20 101", ""}},
		"an ephemeral out before the commit": {26, "message 1/2 was received before its transaction 1/1 was committed",
			[]string{"1 commits", "2 received typing 22 103 ephemeral\n1 commits", "2 received typing 22 103 ephemeral", "",
				"2 received a 20 101", ""}},
		"two messages of a transaction swapped": {14, "message 1/1 was sent before 1/2 on one connection, and comes after it",
			[]string{"2 received a 20 101", "2 received b 20 103", "2 received b 24 103", "2 received a 24 101",
				"3 received a 20 101", "3 received b 20 103", "3 received b 24 103", "3 received a 24 101"}},
		"held back, and before the transaction": {26, "message 2/2 was sent when transaction 1/1 had taken the lock, and comes before it",
			[]string{"1 received deferred 30 102", "1 received deferred 15 102", "3 received deferred 30 102", "",
				"3 received a 20 101", "3 received deferred 15 102\n3 received a 20 101"}},
		"held back, and inside the transaction": {27, "message 2/2 stands inside transaction 1/1, before its message 1/3",
			[]string{"1 received deferred 30 102", "1 received deferred 23 102", "3 received deferred 30 102", "",
				"3 received b 24 103", "3 received deferred 23 102\n3 received b 24 103"}},
		"not held back": {26, "message 2/2 was sent and received while transaction 1/1 held the lock",
			[]string{"2 acked 2 102", "2 acked 2 102\n3 received deferred 15 102", "3 received deferred 30 102", "",
				"1 received deferred 30 102", "1 received deferred 15 102"}},
		"held back, and lost": {15, "message 2/2 was acked and never reached device 1",
			[]string{"1 received deferred 30 102", ""}},
		"held back, lost everywhere": {15, "message 2/2 was acked and never reached device 1",
			[]string{"1 received deferred 30 102", "", "3 received deferred 30 102", ""}},
		"two holders": {24, "transactions 1/1 and 3/1 held the lock at the same time",
			[]string{"3 rejected 1 contact", "3 begun\n3 sent d 9\n3 acked 9 100\n3 commits"}},
		"the lock before what it protects": {24, "device 1 had the lock for transaction 1/1 before message 2/1, which comes before it",
			[]string{"1 received before 10 100", "", "1 begun", "1 begun\n1 received before 10 100"}},
		"two acks of a begin": {24, "device 1 was given a lock that it did not ask for",
			[]string{"1 begun", "1 begun\n1 begun"}},
		"an ack and a rejection": {25, "device 1 was rejected and did not ask",
			[]string{"1 begun", "1 begun\n1 rejected 3 settings"}},
		"rejected for nobody": {25, "device 3 heard of a transaction that nobody has begun",
			[]string{"3 rejected 1 contact", "3 rejected 1 X"}},
		"rejected for another": {25, "device 3 heard of transaction 1/1 as one of device 2",
			[]string{"3 rejected 1 contact", "3 rejected 2 contact"}},
		"rejected for the past": {25, "transaction 2/1 was rejected for 1/1, which was over",
			[]string{"2 hears 3 profile", "2 begins late\n2 rejected 1 contact"}},
		"rejected for the rejected": {25, "transaction 2/1 was rejected for 3/1, which was rejected itself",
			[]string{"2 hears 3 profile", "2 begins late\n2 rejected 3 settings"}},
		"rejected for itself": {25, "device 3 heard of its own transaction 3/1",
			[]string{"3 rejected 1 contact", "3 rejected 3 settings"}},
		"the end before the messages": {27, "device 2 heard of the end of transaction 1/1 before its message 1/3",
			[]string{"2 hears 1 contact", "", "2 received b 24 103", "2 hears 1 contact\n2 received b 24 103"}},
		"the end before the commit": {27, "device 2 heard of the end of transaction 1/1, which held the lock",
			[]string{"2 hears 1 contact", "", "1 acked 3 103", "1 acked 3 103\n2 hears 1 contact"}},
		"the end for the holder": {27, "device 3 heard of its own transaction 3/2",
			[]string{"3 committed", "3 committed\n3 hears 3 profile"}},
		"no end for the loser": {27, "device 3 was rejected and received message 2/3, sent later than the end",
			[]string{"3 hears 1 contact", "", "2 hears 3 profile", "2 sent late 3\n3 received late 50 105\n1 received late 50 105"}},
		"a commit acked that was not sent": {27, "device 2 was told of a commit that it did not send",
			[]string{"2 hears 1 contact", "2 committed"}},
		"the commit acked before the begin": {27, "transaction 1/1 was acked as committed before it was as begun",
			[]string{"1 begun", "", "1 committed", "1 committed\n1 begun"}},
		"the commit acked before a message": {26, "transaction 1/1 was acked as committed before its message 1/3 was acked",
			[]string{"1 acked 3 103", "", "1 committed", "1 committed\n1 acked 3 103"}},
		"timestamps that go back in a transaction": {15, "message 1/3 comes after 1/1, and its timestamp is lower",
			[]string{"1 acked 3 103", "1 acked 3 100", "2 received b 24 103", "2 received b 24 100", "3 received b 24 103", "3 received b 24 100",
				"2 received typing 22 103 ephemeral", "", "3 received typing 22 103 ephemeral", ""}},
		"timestamps that go back to the next transaction": {15, "message 3/1 comes after 1/2, and its timestamp is lower",
			[]string{"3 acked 1 104", "3 acked 1 102", "1 received c 40 104", "1 received c 40 102", "2 received c 40 104", "2 received c 40 102"}},
		"timestamps that go back behind the lock": {15, "message 2/2 comes after 2/1, and its timestamp is lower",
			[]string{"2 acked 2 102", "2 acked 2 99", "1 received deferred 30 102", "1 received deferred 30 99",
				"3 received deferred 30 102", "3 received deferred 30 99"}},
		"timestamps that go back after the lock": {15, "message 2/3 comes after 3/1, and its timestamp is lower",
			[]string{"2 hears 3 profile", "2 sent late 3\n3 received late 50 103\n1 received late 50 103"}},
		"placed out of the order of the locks": {26, "message 3/1 was sent when transaction 1/1 had taken the lock, and comes before it",
			[]string{"1 received c 40 104", "", "1 received deferred 30 102", "", "2 received a 20 101", "",
				"2 received typing 22 103 ephemeral", "", "2 received b 24 103", "", "2 hears 1 contact", "",
				"2 received c 40 104", "2 received c 12 104\n2 received a 20 101\n2 received b 24 103",
				"2 hears 3 profile", "1 received c 12 104\n1 received deferred 30 102"}},
		"placed before what was acked earlier": {14, "message 2/1 was acked before 1/1 was committed, and comes after it",
			[]string{"1 received before 10 100", "", "3 received before 10 100", "",
				"1 committed", "1 committed\n1 received before 25 100", "3 hears 1 contact", "3 hears 1 contact\n3 received before 25 100"}},
		"a transaction in a transaction": {historyItself, "device 1 began a transaction inside another",
			[]string{"1 sent a 1", "1 begins more"}},
		"a commit without one": {historyItself, "device 3 committed without a transaction",
			[]string{"3 begins profile", "", "3 begun", ""}},
		"a scope used twice": {historyItself, "transaction 1/1 was begun twice",
			[]string{"3 begins profile", "3 begins contact"}},
	} {
		t.Run(name, func(t *testing.T) { reject(t, edit(t, transacted, test.edits...), test.rule, test.words) })
	}
}

// A history with a kill while a commit has no ack, and while another device's message is held back.
const (
	commitsAtKill = `
	server
	1 connected new
	2 connected new
	3 connected new
	1 dry
	2 dry
	3 dry
	1 begins contact
	1 begun
	1 sent a 1
	1 sent typing 2 ephemeral
	1 sent b 3
	2 sent deferred 4
	2 acked 4 102
	1 acked 1 100
	1 acked 3 101
	1 commits
	kill
	1 ended
	2 ended
	3 ended
	server
	1 connected
	2 connected
	3 connected
	`
	notThere = `
	1 received deferred 10 102
	3 received deferred 10 102
	`
	wasThere = `
	2 received a 8 100
	3 received a 8 100
	2 received b 9 101
	3 received b 9 101
	1 received deferred 10 102
	3 received deferred 10 102
	`
	afterCommit = `
	1 dry
	2 dry
	3 dry
	2 begins settings
	2 begun
	2 sent c 5
	2 acked 5 103
	2 commits
	2 committed
	1 received c 20 103
	3 received c 20 103
	`
)

func TestACommitAtAKill(t *testing.T) {
	accept(t, commitsAtKill+notThere+afterCommit)
	accept(t, commitsAtKill+wasThere+afterCommit)
	for name, test := range map[string]struct {
		rule       int
		words      string
		transcript string
	}{
		"there for one device": {27, "message 1/1 of transaction 1/1 reached another device, and message 1/1 never device 3",
			edit(t, wasThere, "3 received a 8 100", "", "3 received b 9 101", "")},
		"a part for all": {27, "message 1/1 of transaction 1/1 reached another device, and message 1/3 never device 2",
			edit(t, wasThere, "2 received b 9 101", "", "3 received b 9 101", "")},
		"all for one, a part for another": {27, "message 1/1 of transaction 1/1 reached another device, and message 1/3 never device 2",
			edit(t, wasThere, "2 received b 9 101", "")},
		"what was held back is lost": {15, "message 2/1 was acked and never reached device 1",
			edit(t, notThere, "1 received deferred 10 102", "")},
		"what was held back is before it": {26, "message 2/1 was sent when transaction 1/1 had taken the lock, and comes before it",
			edit(t, wasThere, "1 received deferred 10 102", "1 received deferred 7 102", "3 received deferred 10 102", "",
				"3 received a 8 100", "3 received deferred 7 102\n3 received a 8 100")},
		"another timestamp than the acked one": {15, "message 1/3 has two timestamps, 101 and 102",
			edit(t, wasThere, "2 received b 9 101", "2 received b 9 102")},
		"an ephemeral outlives the server": {20, "ephemeral message 1/2 outlived its server",
			wasThere + "2 received typing 11 101 ephemeral"},
		"the end outlives the server":  {28, "transaction 1/1 outlived its server", notThere + "2 hears 1 contact"},
		"the lock outlives the server": {28, "transaction 1/1 outlived its server", notThere + "2 begins more\n2 rejected 1 contact"},
	} {
		t.Run(name, func(t *testing.T) { reject(t, commitsAtKill+test.transcript+afterCommit, test.rule, test.words) })
	}
	reject(t, edit(t, commitsAtKill, "1 commits", "")+wasThere+afterCommit,
		28, "message 1/1 was received, and its transaction 1/1 was never committed")
}
