// Package devicegroup is the core of one device group: who is in it, who leads, and what goes to whom in which order.
//
// # Shape
//
// A [Group] is pure: no goroutine, channel, lock, clock, randomness, socket or file. Something that happened goes in
// with the time: [Group.Register], [Group.Receive], [Group.End], [Group.Drained], [Group.Written], [Group.Tick],
// [Group.Committed]. What follows from it is then asked for:
//
//   - [Group.Seal] gives what is to be stored next; the answer of the store comes back by [Group.Committed].
//   - [Group.Woken] gives the connections that have something to be sent, and [Group.Next] what that is, frame by frame.
//   - [Group.Deadline] says when Tick is due, [Group.Probe] which connection is to be looked at, [Group.Notices] what an
//     operator should know.
//
// The caller serialises all calls of one group.
//
// # Invariants
//
// What became true takes effect at once for the group, but shows on a connection only when everything accepted up to
// then is durable: each visible effect waits behind the commits before it, in the order of events (B15, B45). When a
// commit fails, nothing that waited for it is ever shown; the group is then dead, its connections are closed, and the
// caller claims it anew (B43).
//
// The queue is the outbox. A connection has a cursor into the group's queue, not copies: a slow device costs disk, not
// memory. Frames that have a place in the stream carry the number behind which they go out; all others go ahead (B38).
//
// A connection that has left the group, for whatever reason, is ignored from then on; it only gets what was meant for
// it before, and its close code.
package devicegroup
