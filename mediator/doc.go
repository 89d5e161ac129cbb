// Package mediator is the server: it accepts WebSocket connections, lets devices prove that they belong to their group,
// and carries out what the group's core (package devicegroup) decides.
//
// # Who does what
//
//   - A [Server] is an http.Handler. An upgraded connection costs one goroutine, its reader; its writer runs only while
//     there is something to write. The writer alone writes to the socket and closes it.
//   - A group has one owner at a time: whoever holds its lock. The reader of a connection takes it for one event, the
//     committer to fetch a batch and to hand in the store's answer, a writer to fetch what is to be sent. Nobody sends,
//     and nobody waits for the disk, under that lock, but for the claim of a group that nobody uses yet.
//   - What may be seen of users in the log goes through package privacy alone (B42); errors of the network are logged by kind,
//     since their text holds addresses.
//
// # Locks
//
// In this order, each may be held while the next is taken: registry, group, connection. The outbox and the alarm clock
// have locks of their own that are taken last.
package mediator
