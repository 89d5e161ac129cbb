// Package history decides whether what the devices of one group have seen can be the work of a correct mediator, however
// often that was killed meanwhile. The crash test judges its runs by it, and so can any program that drives a mediator.
//
// # Recording
//
// A [Run] has the clock and counts the starts of the server, each of which is a server of its own here, with a number from
// 1. Each device of a group writes down what it does and sees in a [Recorder]; [Run.History] takes the recorders of a group
// together. What the verdict rests on:
//
//   - Every envelope that is reflected in a group is unique; a second attempt is another message. Messages are told apart
//     by the [Content] of their envelope, so that one that arrives damaged is one that nobody has sent.
//   - So is every scope, by which transactions are told apart, also in TransactionRejected and TransactionEnded.
//   - Sent, BeginSent and CommitSent are recorded before the message is written, AckSent after the ReflectedAck was, all
//     else as soon as it was read.
//   - A device begins and commits in turn: it sends CommitTransaction only behind a BeginTransaction that was not rejected.
//   - ServerKilled is called before the signal is sent. A server is not started before the one before it has ended.
//   - Connected names the server that has sent the ServerInfo. If a device cannot be sure which that was, it drops the
//     connection and records nothing of it.
//   - When the history ends, every device has had a connection that has run dry after the last message was sent and after
//     all that was sent to another server was lost or read, and after every lock had ended. Else messages are missing that
//     are only late.
//
// # The rules
//
// [Check] finds the first violation of these, in the order of time where there is one:
//
//   - Acks of a connection come in the order of its Reflects, once each, and none for an ephemeral (B15, B20).
//   - What is received was reflected, by another device, with that content and that flag (B14, B20).
//   - A message has one reflected-id and one timestamp, at every receiver and each time it comes; the timestamp is the
//     acked one (B14, B15, B18). No id belongs to two messages.
//   - Ids rise on each connection, and what comes to a slot for the first time is above all that came before (B14). With
//     the rule before it follows that all slots see one order.
//   - That order is the order of acceptance, for a transaction that of its commit: of two Reflects on one connection, and of
//     two of which one was acked before the other was sent, the earlier has the lower id. In it timestamps never go back
//     (B15); nor do they from an ack to what is sent after it, though nobody else was there (B16).
//   - An ephemeral comes once at most, and from the server that it was sent to (B20).
//   - What was delivered and not acknowledged when its connection ended is delivered again before the next connection
//     that runs dry does so (B18).
//   - What was acknowledged is not delivered again (B17), unless within [AckGrace] after the ack the server was killed, or
//     the connection ended in a way that may have swallowed the ack. On a connection that is Unsure the grace begins when
//     something that was sent after the ack is answered. To all graces the time is added that the server has stalled, or
//     the longest that it took for an ack if that is more: a disk that is behind is late for all.
//   - A message that was acked to its sender reaches every other slot, and so does one that was not, if it reaches any
//     (B14, B15).
//   - A device is promoted once per connection, after its queue has run dry (B10), and no two lead at a time (B12). The
//     end of a leadership is not seen by the others, and a promotion may be read late. So one leads for certain from the
//     promotion on, as long as its connection is known to have been in the group: until the latest was sent for which it got
//     an ack, or that it received. And it was promoted after all was sent that it had received before.
//
// # Slots
//
// A message is due to a slot that existed when it was sent, that is, whose ServerInfo had arrived. A Connected with NewSlot
// begins a slot and ends the device's earlier one. Dropped means that the slot of the device may be gone from then on: what
// it gets is still checked, but nothing is due to it any more that comes behind the last that it has received.
//
// # Transactions
//
// What is sent between BeginSent and CommitSent, or the connection's end, belongs to a transaction, unless that was rejected.
// If there is no answer to BeginTransaction nobody knows: such messages are judged only if somebody has received them, and
// not by where they stand in the order.
//
//   - A transaction that was committed with an ack is wholly there for every slot. One whose commit has no ack is wholly
//     there for every slot or for none, and that is shown by anybody who has received anything of it, an ephemeral too. Of
//     one that was not committed, or not yet, nobody receives anything (B26 to B28).
//   - Its messages follow each other in the order without any other between them (B27).
//   - What another device sent when the lock had been taken comes behind it, and not before the commit (B26). An ack does
//     not tell when such a message has its place: until the lock is known to be free it may have been held back, and only
//     what was sent after that is known to be behind it.
//   - Timestamps are those of acceptance: what was held back has the time of its own ack, so it is not compared with the
//     transaction before it; all else is (B15, B26).
//   - No two transactions hold the lock at a time, as far as the answers show when that was: it was taken before the first
//     answer from within the transaction arrived, and held until the commit was sent (B24).
//   - A holder gets its BeginTransactionAck behind all that is before the transaction in the order (B24), and its
//     CommitTransactionAck behind that and behind the acks of all its messages (B26, B27). Each BeginTransaction has one
//     answer at most (B25).
//   - TransactionRejected names another device's transaction that had not ended (B25).
//   - TransactionEnded comes after the transaction's messages, where these come at all, and not while the lock is held; and
//     a device that was rejected hears of an end before it receives what was sent later, unless another end is due that may
//     have taken the place of the first (B21, B27). The holder's connection hears nothing, nor does anybody after a restart
//     of the server (B28).
//
// A slot is due a transaction if it existed when CommitTransaction was sent.
package history
