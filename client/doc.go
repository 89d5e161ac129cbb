// Package client is the device's side: the Go SDK for whoever wants to be a device of
// a group. The tests of this project and its command line are such devices.
//
// # A device
//
// Connect and Start make a [Device]. It registers with the server, stays connected,
// and comes back when a connection is lost: after a random wait that grows from
// failure to failure. After a close code of 41xx it does not come back, for those
// tell something that does not mend itself; [Device.Err] has the code then. Whoever
// uses a device learns what happens from the functions in [Config], which are called
// one at a time and in order.
//
// # What is promised
//
// Reflect returns without an error when the server has the envelope on disk. An
// [UnknownError] means that it may have got it: the connection or the context ended
// between sending and answer. Any other error means that it has not been sent and
// never will be.
//
// A message is acknowledged when Receive has returned nil, never before; until then
// it stays on the server and comes again with the next connection. Messages are
// handed on in the order that all devices of the group see. Each envelope is handed
// on once as long as the [NonceStore] remembers its nonce, however often the server
// delivers it; but a process that ends between the end of Receive and the nonce's
// storing will see it again.
//
// Nothing grows without limit. 64 messages wait for Receive, then the connection is
// not read any more; 64 requests wait for the connection, then submitting waits; 256
// are ahead of their answers. That is also why Receive must not wait for an answer of
// the server: it would wait for messages that wait for it ([ErrInReceive]).
//
// # Registration
//
// A device must know whether the server has a slot for it, and is refused if it errs
// (4115). So whoever keeps a device in a file stores what OnRegistered tells before
// that returns, and starts the device with Registered the next time. A device that
// was dropped, by itself or by another, starts anew without.
//
// # Transactions
//
// What all devices share is changed under the group's lock, so that no two devices
// overwrite each other: [Device.Transaction] waits for the lock, runs a function that
// reflects through a [Transaction], and commits. The others see all of it or nothing,
// and what this device reflects elsewhere meanwhile does not get into it.
//
// # The chat server
//
// A device with a [ChatConfig] logs in to the chat server through the mediator, with
// each connection anew, and is then another client of the chat server that any device
// may send messages with. The leader alone gets what others send to the identity. It
// reflects each message, and when the mediator has it on disk calls Receive, remembers
// the nonce, and tells the chat server, in this order: whatever ends the device in
// between, the message comes again to the next leader, which reflects it again, and
// each device receives it once, as long as its store remembers the nonce. Sent
// messages are reflected first and sent then.
//
// The chat server's connection ends with that of the mediator, and ends it: by close
// codes 4000, 4001 and 4009, when the chat server breaks its protocol
// ([ChatServerError]), does not answer the login within 20 s, or is silent for 15 s
// and then for the 10 s that it has for an echo. The device connects again, unless
// the chat server itself said that it must not ([ChatClosedError]).
//
// Up to 8 MiB of chat messages wait to be reflected. Beyond it they stay on the chat
// server until those have been handled and the device has connected again.
//
// # What it never does
//
// It does not reflect anything again by itself: what is to happen with an unknown
// outcome only the caller can know ([Device.ReflectSealed] makes it safe). It does
// not acknowledge on one connection what another has delivered. It does not tell the
// server anything of the keys but the proof of having them. It does not run the
// work of a transaction twice. It does not send a chat message again by itself, nor
// talk to the chat server other than through the mediator.
package client
