// Package powercut finds out what a power cut would leave of the store. It has three parts.
//
// # Recording
//
// A process that keeps a store is run under strace, which writes down every write, resize, sync, rename and so on with
// all its bytes, and every write to standard output, by which the process says what it has acknowledged ([Recording]).
// Nothing that the process does to its files may be missing: a call that is not modelled is an error, a shared map that
// can be written to is one, and when the process has ended the files are compared with what was recorded.
//
// # Replay
//
// [Recording.Replay] cuts the power after every operation. What was synced is there; of the rest, any part:
//
//   - A write is there or not, 512 bytes at a time, in any order. Of two writes to the same 512 bytes, none is there, the
//     earlier one alone, or both: the page cache has no older version any more.
//   - A change of size is there or not. Data behind the end that is there makes the file longer, with zeros before it.
//   - A name that was made, moved or removed is so only after a sync of its directory. Before that it may be or not, and
//     changes of different names get there in any order; those of one name, or of one file, keep theirs. The sync of a
//     file says nothing of its name. A move from one directory to another takes place as a whole, and for good when both
//     have been synced.
//   - What a sync covered that has failed is never made durable by a later one. The same holds for a write in which the
//     process was killed, for nobody knows whether it took place.
//
// This allows more than ext4 does, and no more than POSIX. The sync of a file covers what was written before it began.
//
// Each cut is tried with everything there that was done so far, and before each sync is over, which is when most is in
// doubt, with nothing and with many seeded selections, or with all that there are if these are few.
//
// # Verdict
//
// A [Plan] is a long row of commits that is the same for the same seed, with acks, deletions, groups that go and come
// back, and bodies of up to 64 KiB. The command in driver carries it out, says when each commit begins and is
// acknowledged, and compacts meanwhile. [Plan.Check] opens what a cut has left and compares all of it: what was
// acknowledged is there, deletions included, what was begun is there wholly or not at all, and nothing else.
//
// The real server is recorded likewise, with an invitation that one group alone may ever use, and so is `mediator restore`, of
// which a cut may leave what was there or what the backup holds, or a directory that no server starts on and another restore
// puts right.
//
//	make powercut                                                      for ten minutes
//	make powercut MINUTES=60 SEED=17                                   for longer, another plan
//	go test -tags integration ./internal/powercut -powercut.keep DIR   keep the traces, and what a finding looked like
package powercut
