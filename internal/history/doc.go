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
//   - Sent is recorded before the Reflect is written, AckSent after the ReflectedAck was, all else as soon as it was read.
//   - ServerKilled is called before the signal is sent. A server is not started before the one before it has ended.
//   - Connected names the server that has sent the ServerInfo. If a device cannot be sure which that was, it drops the
//     connection and records nothing of it.
//   - When the history ends, every device has had a connection that has run dry after the last message was sent and after
//     all that was sent to another server was lost or read. Else messages are missing that are only late.
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
//   - That order is the order of acceptance: of two Reflects on one connection, and of two of which one was acked before
//     the other was sent, the earlier has the lower id. In it timestamps never go back (B15); nor do they from an ack to
//     what is sent after it, though nobody else was there (B16).
//   - An ephemeral comes once at most, and from the server that it was sent to (B20).
//   - What was delivered and not acknowledged when its connection ended is delivered again before the next connection
//     that runs dry does so (B18).
//   - What was acknowledged is not delivered again (B17), unless within [AckGrace] after the ack the server was killed, or
//     the connection ended in a way that may have swallowed the ack.
//   - A message that was acked to its sender reaches every other slot, and so does one that was not, if it reaches any
//     (B14, B15).
//   - A device is promoted once per connection, after its queue has run dry (B10), and no two lead at a time (B12). The
//     end of a leadership is not seen by the others, so two count only if the former leader's connection is known to have
//     been in the group after the other's promotion was received: it got an ack for what it sent later, or something that
//     was sent later.
//
// # Slots
//
// A message is due to a slot that existed when it was sent, that is, whose ServerInfo had arrived. A Connected with NewSlot
// begins a slot and ends the device's earlier one. Dropped means that the slot of the device may be gone from then on: what
// it gets is still checked, but nothing is due to it any more.
//
// Transactions are not known here. What is staged or deferred breaks the rule of acceptance and the one of timestamps by
// design (B26); a history with transactions needs rules of its own for these two.
package history
