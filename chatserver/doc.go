// Package chatserver is a small chat server: it speaks the chat server protocol (package csp), keeps messages until they
// are acknowledged, and lets new identities register. It is there so that a client can be tried and tested against
// something real; it is not made for the public.
//
// # What it promises
//
//   - A message is on disk before it is acked to its sender, and is deleted when its receiver acks it. One that was not
//     acked is sent again at the receiver's next login. When the disk fails, nothing is acked and the connection ends.
//   - Messages of a receiver are sent in the order in which they arrived here, each stored one at most once per connection.
//     The same message (sender and message id) sent again while it waits is acked again and not stored twice.
//   - Of several connections of an identity the one that unblocked last gets the messages. If that ends, the one that
//     unblocked before it goes on where it stood.
//   - Memory is bounded: what waits for a receiver waits on disk, and a connection's writer reads it from there. What else
//     a connection has to send (acks, echoes) is limited to 256 KiB; beyond that nothing more is read from it.
//   - The log holds neither addresses nor identities. The box of a message is never opened.
//
// # What it decides where the protocol leaves it open
//
//   - A message with flag 0x20 is deleted 60 s after it arrived unless it was acked by then, sent or not.
//   - A device cookie that is missing from a login without device id is taken as one of zeroes in every respect: it is
//     kept, and the next login with another one sets the flag. The first one kept of an identity sets no flag.
//   - If 10,000 messages wait for a receiver, the next one is not acked: its sender's connection ends with the close error
//     "Queue of the receiver is full", may reconnect.
//   - Idle is who has not sent a whole frame. The connection is closed without a close error.
//   - A payload that makes no sense inside a sound box (a message cut short, a foreign sender) ends the connection with a
//     close error that says so; a frame that cannot be opened ends it without a word.
//   - An identity that vanishes from the file, or gets another key there, is not cut off: it counts from the next login on.
//
// # Who does what
//
//   - A connection has two goroutines: the reader (conn.go), which does the handshake and handles what comes, and the
//     writer (writer.go), which alone seals, and alone writes after the handshake.
//   - sessions.go decides who gets the messages of an identity and whose connection ends for another one's. It has no I/O.
//   - store.go has one goroutine, the committer, which does all writing: it takes all that waits, does it in one
//     transaction, and then tells each who waits. queue.go and cookies.go are what is done in that transaction.
//   - known.go knows public keys: those of the identity file (identities.go), which wins, and the registered ones.
//   - register.go is the HTTP interface; package chatserver/directory holds its protocol and the calls for clients.
package chatserver
