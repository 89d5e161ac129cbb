// Package model is a device group as the behaviour rules describe it, written to be plainly right and nothing else: a
// plain list of messages for every slot and for every connection, whole copies of what is stored, no cursor, no index,
// no trick. It judges what a real group sends. It knows nothing of how that one works: it imports the wire and the
// standard library only.
//
// # How it is used
//
// Whoever drives a real group tells the model of every event, in the order in which the group takes them:
// [Model.Connect], [Model.Receive], [Model.Written], [Model.Drained], [Model.End], [Model.Tick]. What the group then
// sends goes to [Model.Observe] and [Model.ObserveClose], which return an error that begins with the rule that is
// broken. When the driver lets everything drain, [Model.Complete] says what is still owed.
//
// What is stored when is the driver's to tell: [Model.Sealed] names the moment up to which everything goes into one
// commit, [Model.Stored] and [Model.Failed] how it ended, and [Model.Claim] begins again with what was stored. A commit
// may hold what is written lazily (acks, login times, confirmations, the time) or leave it out; the driver knows.
// [Model.Shown] notes that nothing waits for a commit.
//
// # What is certain
//
// The model leaves open what the rules leave open, and only that: the order between the stream and what goes ahead of it,
// which number comes next after a restart, whether an ephemeral that waits for the store still fits. Where the answer to
// an event would depend on it (an acknowledgement of a number that may or may not have been drawn), [Model.CertainAck],
// [Model.CertainLock] and [Model.Certain] say so and the driver leaves the event out. If such an event is part of another
// one, [Model.Doubtful] says so afterwards: the driver then forgets both groups but for what is stored.
package model
