// Package redis runs Redis and maps the work of a mediator to its streams.
//
// # The mappings
//
// Devices write all that they have to say in one system call, and Redis answers all that it has read in one turn after one
// sync of its append-only file, if it is told to sync before it answers.
//
//   - [StreamPerDevice]: a device that is to receive has a stream of its own. The sender appends to that of each (XADD), the
//     device waits with XREAD BLOCK and deletes what it acknowledges (XDEL). Each message is acknowledged by itself, as in the
//     mediator's protocol, and no device needs to know what another one has.
//   - [Cursor]: a group has one stream. A device stores the id of the last message that it has read in a hash of the group
//     (HSET), from which it would go on after a lost connection, reads the cursors of all (HVALS), and deletes what all have
//     (XTRIM MINID). It promises less: a device cannot acknowledge one message and leave an earlier one.
//
// The third way, a stream per group with a consumer group per device (XREADGROUP, XACK), was tried: about 0.7 times the
// messages of a stream per device, with more CPU, since Redis writes two records to its file for each delivery.
package redis
